"""Comparison of two robustness cards, and errors for unusable ones."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audit_cards import SUITE, made_up

from neuroattack.errors import FileError, ValidationError
from neuroattack.experiments.audit.comparison import compare, read_baseline
from neuroattack.statistics import newcombe_interval


def baseline_of(card, folder, edit=lambda values: None):
    values = card.as_json()
    edit(values)
    path = folder / "before.json"
    path.write_text(json.dumps(values))
    return read_baseline(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cards")


def test_a_card_compared_with_itself_has_no_regression(folder):
    card = made_up({"count-regression": [0.5, 1.0, 0.0, 0.25]}, energy=0.1)
    found = compare(baseline_of(card, folder), card, 0.0)
    assert [change.fall for change in found.changes] == [0.0, 0.0, 0.0]
    assert found.regressions == ()
    assert found.as_json()["regressions"] == []
    assert found.not_compared == ()
    assert found.baseline.verdict == card.headline.verdict


fractions = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@given(before=fractions, now=fractions)
def test_the_interval_of_a_fall_is_that_of_newcombe(folder, before, now):
    found = compare(
        baseline_of(made_up({"count-regression": before}), folder),
        made_up({"count-regression": now}),
        0.05,
    )
    (change,) = (each for each in found.changes if each.figure.key == "attacks/count-regression/40")
    expected = newcombe_interval((sum(now), sum(before)), (4, 4))
    assert change.fall == pytest.approx(sum(now) / 4 - sum(before) / 4)
    assert change.fall_ci95 == pytest.approx(expected)
    assert change.supported == (change.fall_ci95[0] > 0)


def test_the_sign_of_a_fall_depends_on_what_is_better(folder):
    before = made_up({"count-regression": [0.0] * 4, "square": [1.0] * 4}, accuracy=0.9, energy=0.0)
    now = made_up({"count-regression": [1.0] * 4, "square": [0.5] * 4}, accuracy=0.7, energy=0.2)
    found = compare(baseline_of(before, folder), now, 0.05)
    falls = {change.figure.key: change.fall for change in found.changes}
    assert falls == pytest.approx(
        {
            "clean/accuracy": 0.2,
            "attacks/count-regression/40": 1.0,
            "attacks/square/40": -0.5,
            "energy/spikes": 0.2,
        }
    )
    regressions = found.as_json()["regressions"]
    assert regressions[0]["key"] == "attacks/count-regression/40"
    assert {each["key"] for each in regressions} == set(falls) - {"attacks/square/40"}
    assert {each["key"]: each["supported"] for each in regressions} == {
        "attacks/count-regression/40": True,
        # 0.9 (0.8 to 1) and 0.7 (0.6 to 1) overlap.
        "clean/accuracy": False,
        "energy/spikes": None,
    }
    accuracy = next(each for each in found.changes if each.figure.key == "clean/accuracy")
    # 0.2 - hypot(0.9 - 0.8, 1 - 0.7) to 0.2 + hypot(1 - 0.9, 0.7 - 0.6).
    assert accuracy.fall_ci95 == pytest.approx((0.2 - 0.1**0.5, 0.2 + 0.02**0.5))


@pytest.mark.parametrize(("margin", "fallen"), [(0.2, 0), (0.19, 1), (0.21, 0), (0.0, 1)])
def test_only_a_fall_beyond_the_margin_is_a_regression(folder, margin, fallen):
    before, now = made_up({"a": [0.0] * 4}, accuracy=0.9), made_up({"a": [0.0] * 4}, accuracy=0.7)
    assert len(compare(baseline_of(before, folder), now, margin).regressions) == fallen


@pytest.mark.parametrize("margin", [-0.01, 1, float("nan"), float("inf")])
def test_a_margin_out_of_range_is_refused(folder, margin):
    card = made_up({"a": [0.0] * 4})
    with pytest.raises(ValidationError, match="margin"):
        compare(baseline_of(card, folder), card, margin)


def test_cards_of_the_earlier_schema_are_compared(folder):
    def earlier(values):
        values["schema"] = 2
        del values["bracket"]

    card = made_up({"a": [0.0, 0.5, 1.0, 0.25]})
    found = compare(baseline_of(made_up({"a": [0.0] * 4}), folder, earlier), card, 0.05)
    assert [change.figure.key for change in found.regressions] == ["attacks/a/40"]
    assert card.as_json()["schema"] == 3


def test_figures_of_only_one_card_are_named(folder):
    before = made_up({"count-regression": [0.0] * 4, "square": [0.0] * 4})
    now = made_up({"count-regression": [0.0] * 4}, energy=0.5)
    found = compare(baseline_of(before, folder), now, 0.05)
    assert found.not_compared == ("attacks/square/40", "energy/spikes")
    assert found.as_json()["against"]["not_compared"] == ["attacks/square/40", "energy/spikes"]
    assert found.as_json()["against"]["compared"] == 2


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        (SUITE | {"version": 2}, ("'version'", "2", "1")),
        (SUITE | {"budgets": [10, 50]}, ("'budgets'", "10, 50", "10, 40")),
        (SUITE | {"more": 1}, ("'more'", "1", "None")),
        ({"version": 1, "budgets": [10, 40]}, ("'images'", "None", "4")),
    ],
)
def test_another_suite_is_refused(folder, suite, words):
    card = made_up({"a": [0.0] * 4})
    with pytest.raises(FileError, match="cannot be compared") as refused:
        compare(baseline_of(made_up({"a": [0.0] * 4}, suite=suite), folder), card, 0.05)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


def _without(key):
    return lambda values: values.pop(key)


def _with(value, *keys):
    def edit(values):
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return edit


def _twice(values):
    figures = values["sections"]["clean"]["figures"]
    figures.append(copy.deepcopy(figures[0]))


_FIGURE = ("sections", "clean", "figures", 0)


@pytest.mark.parametrize(
    "edit",
    [
        *(map(_without, ("kind", "schema", "verdict", "suite", "sections", "provenance"))),
        _with("neuroattack report", "kind"),
        _with(1, "schema"),
        _with(4, "schema"),
        _with("secure", "verdict"),
        _with([], "suite"),
        _with({"clean": 3}, "sections"),
        _with("0.9", *_FIGURE, "value"),
        _with(True, *_FIGURE, "value"),
        _with(float("nan"), *_FIGURE, "value"),
        _with(float("inf"), *_FIGURE, "value"),
        _with([0.8], *_FIGURE, "ci95"),
        _with([0.8, None], *_FIGURE, "ci95"),
        _with([0.95, 1.0], *_FIGURE, "ci95"),
        _with(7, *_FIGURE, "key"),
        _with("", "provenance"),
        _twice,
    ],
)
def test_a_malformed_audit_is_refused(folder, edit):
    with pytest.raises(FileError, match=r"is not an audit\.json") as refused:
        baseline_of(made_up({"a": [0.5] * 4}), folder, edit)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"null",
        b"\xff\xfe{}",
        b'{"kind": "neuroattack audit", "kind": 1}',
        b"[" * 100_000,
        b'{"suite": ' * 5_000,
        b"9" * 10_000,
        b"cos\nsystem\n(S'exit 1'\ntR.",
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "before.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"before\.json: is ") as refused:
        read_baseline(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_baseline(tmp_path / "none.json")
    with pytest.raises(FileError, match="not a regular file"):
        read_baseline(tmp_path)


def test_cards_are_read_as_written(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(made_up({"count-regression": [0.0, 0.5, 1.0, 0.25]}).as_json()))
    assert read_baseline(path).figures["attacks/count-regression/40"][0] == pytest.approx(0.4375)
