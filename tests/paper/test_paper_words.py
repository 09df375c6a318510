"""What the report of the paper says: sentences and verdicts that follow the numbers."""

import re

from hypothesis import given
from hypothesis import strategies as st
from support.paper_items import (
    META,
    attack_table,
    table_three,
    transformations,
)

from neuroattack.paper.published import TABLE_II, TABLE_III
from neuroattack.paper.report import words
from neuroattack.paper.report.attack_content import course_of
from neuroattack.paper.report.pictures import draw_item
from neuroattack.paper.report.provenance import provenance_rows
from neuroattack.paper.report.sections import section_of
from neuroattack.paper.report.summary import summary_rows


def said(item, figures):
    return "\n".join(section_of(item, figures).sentences).replace("\u00a0", " ")


def verdicts(item, figures):
    return {row.about: row.verdict for row in summary_rows({item: figures})}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_falls_are_counted_as_by_hand(course):
    figures = attack_table("sdbn", (course, course), TABLE_III)
    found = course_of(figures, "II")
    fell = 0
    for i in range(1, len(course)):
        if course[i] < course[i - 1]:
            fell += 1
    assert (found.iterations, found.fell) == (len(course) - 1, fell)
    assert found.as_target == sum(value > 0.5 for value in course[1:])
    assert found.highest["p_target"] == max(course)


def test_an_attack_is_judged_by_its_course():
    text = said("table3", table_three())
    assert "it falls in 3 of 5 iterations" in text
    assert "Of 10 fresh draws of the best image (iteration 3), 4 are taken" in text
    up, down = (0.0, 0.4, 0.8), (0.0, 0.8, 0.3)
    for network, item, rows, expected in (
        ("dnn", "table2", TABLE_II, ["shown", "refuted"]),
        ("sdbn", "table3", TABLE_III, ["refuted", "shown"]),
    ):
        figures = attack_table(network, (up, down), rows)
        assert list(verdicts(item, figures).values()) == expected
    # The true class lost, and to a third one: the target class has not won.
    figures = attack_table("dnn", (up, up), TABLE_II)
    figures["cases"]["I"]["predicted"][-1] = 8
    assert list(verdicts("table2", figures).values()) == ["partly", "shown"]


def test_one_draw_of_a_noisy_answer_is_not_called_noiseless():
    for network, noiseless in (("sdbn", False), ("dnn", True)):
        figures = attack_table(network, ((0.1, 0.2), (0.1, 0.2)), TABLE_II)
        for case in figures["cases"].values():
            case["draws"] = 1
        assert ("no noise" in said("table2", figures)) is noiseless


def test_transformations_without_a_misclassified_image_say_so():
    assert "none was misclassified" in said("transformations", transformations(before=2))
    assert "of which 10 were misclassified" in said("transformations", transformations(before=8))
    figure = draw_item("transformations", transformations(before=2), {})
    assert figure.axes


def test_numbers_are_written_for_people():
    assert words.signed(0.04) == "0.0"
    assert words.signed(-0.04) == "0.0"
    assert words.signed(-1.26) == "\u22121.3"
    assert words.points(0.0123) == "+1.2\u00a0points"
    assert words.points_ci95(0.01, (-0.02, 0.04), 0) == (
        "+1\u00a0points (95\u00a0% interval \u22122 to +4)"
    )
    assert [words.listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert words.number(1234.0) == "1,234"
    assert words.number(0.012345) == "0.0123"
    rows = dict(provenance_rows(META))
    assert rows["Time of this run"] == "1\u00a0h 2\u00a0min, from nothing"
    resumed = dict(provenance_rows(META | {"done_before": 7}))
    assert resumed["Time of this run"].endswith("where 7 pieces of work had been done before")
    assert rows["Settings"] == "seed 0, images all"


@given(st.floats(0, 1e5))
def test_a_duration_is_never_wrong_by_more_than_it_shows(seconds):
    text = dict(provenance_rows(META | {"seconds": seconds}))["Time of this run"]
    sizes = {"h": 3600, "min": 60, "s": 1}
    parts = re.findall(r"([\d.]+)\u00a0(h|min|s)", text)
    shown = sum(float(value) * sizes[unit] for value, unit in parts)
    assert abs(shown - seconds) <= sizes[parts[-1][1]] / 2 + 1e-6
    assert all(float(value) < 60 for value, unit in parts if unit != "h")
