"""What the report says on noise, from plain figures written by hand."""

import csv
import io
import json

import pytest
from support.paper_items import META, table_one, window_noise

from neuroattack.paper.published import DELTAS, TABLE_I
from neuroattack.paper.report.noise_figure_content import window_verdict
from neuroattack.paper.report.noise_in_training import (
    collapse_verdict,
    on_collapse,
    on_retraining,
)
from neuroattack.paper.report.noise_on_test import on_clipping, on_test_noise, steepest_stretches
from neuroattack.paper.report.rows import csv_text, further_rows, item_rows
from neuroattack.paper.report.save import save_paper
from neuroattack.paper.report.sections import section_of
from neuroattack.paper.report.summary import summary_rows
from neuroattack.paper.whole import Paper

SMOOTH = [0.97, 0.964, 0.923, 0.817, 0.508, 0.331, 0.204, 0.167]


def plain(text):
    return text.replace("\u00a0", " ").replace("\u2212", "-")


def said(item, figures):
    return plain("\n".join(section_of(item, figures).sentences))


def verdicts(item, figures):
    return {plain(row.about): row.verdict for row in summary_rows({item: figures})}


def normal_test_noise():
    """Return the paper's column beside a smooth one that is 9.6 points above it at 0.08."""
    return {
        "noise": "normal",
        "clipping": "range",
        "farthest_delta": 0.08,
        "farthest": 0.096,
        "within_6_points": [0.1, 0.15, 0.2, 0.3, 0.4],
        "beyond_6_points": [0.08],
        "deltas": list(DELTAS),
        "paper": [value / 100 for value in TABLE_I["normal"]["test"]],
        "rules": [
            {
                "clipping": "range",
                "rates": SMOOTH,
                "spiking": [0.95, 0.94, 0.855, 0.761, 0.438, 0.253, 0.148, 0.12],
            },
            {"clipping": "zero", "rates": [0.97] * 8, "spiking": [None] * 8},
        ],
        "seeds": [
            {"seed": seed, "rates": [value + 0.001 * seed for value in SMOOTH]} for seed in (0, 1)
        ],
    }


def test_a_cell_that_is_far_from_the_paper_comes_with_all_that_was_tried():
    text = plain(on_test_noise(normal_test_noise()))
    assert "within 6 points of the paper at delta 0.1, 0.15, 0.2, 0.3 and 0.4" in text
    assert "and beyond at 0.08; it is farthest at 0.08, by +9.6 points" in text
    assert (
        "Tried at 0.08, where the paper has 82.7 %: clipped to [0, 0.2] 92.3 % as rates and "
        "85.5 % in spikes; clipped at 0 only 97.0 % as rates; and under the first rule as rates "
        "92.3 % and 92.4 % with the trainings of 2 seeds."
    ) in text
    assert "Within 6 points there: clipped to [0, 0.2] in spikes." in text
    # 94.42 - 82.73, 82.73 - 77.07; 96.4 - 92.3, 92.3 - 81.7.
    assert (
        "loses, in points, 11.7 from 0.05 to 0.08 (here 4.1) and 5.7 from 0.08 to 0.1 (here 10.6)"
    ) in text
    # 11.69 / 3, 5.66 / 2 and 28.84 / 5.
    assert "3.9 from 0.05, 2.8 from 0.08 and 5.8 from 0.1: steep, flatter and steep again" in text
    # Of five columns, the one in spikes that is not measured is left out, the level one has one.
    assert "Of our 5 columns" in text
    assert "5 have one steepest stretch only" in text


def test_a_column_that_is_near_needs_no_trials():
    found = normal_test_noise() | {"beyond_6_points": [], "within_6_points": list(DELTAS[2:])}
    text = on_test_noise(found)
    assert "at every delta from 0.08 to 0.4" in text
    assert "Tried at" not in text
    assert "steep" not in text


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1.0, 0.9, 0.5, 0.4], [1]),
        ([1.0, 0.5, 0.4, 0.0], [0, 2]),
        # The same loss in half the distance is steeper.
        ([1.0, 0.8, 0.6, 0.6], [0]),
    ],
)
def test_steepest_stretches_are_found_by_loss_per_delta(column, expected):
    assert steepest_stretches([0.1, 0.2, 0.4, 0.5], column) == expected


def test_what_was_chosen_after_seeing_the_papers_numbers_is_said_to_be():
    figures = table_one()
    text = plain(on_clipping(figures))
    assert "only then one was chosen for each kind of noise, clipped to [0, 0.2] for normal" in text
    whole = said("table1", figures)
    assert text in whole
    first = whole.splitlines()[0]
    assert "chosen among a handful so that noise on test images acts" in first
    assert "the threshold of the output units is divided by 5" in first
    assert "With the threshold as trained, accuracy in spikes is 90.00 %." in first


def test_noises_are_compared_under_the_same_rule():
    figures = table_one()
    # Of eight magnitudes: normal noise lower at the first three as clipped at 0, at none else.
    for found in figures["test_noise"]:
        for rule in found["rules"]:
            lower = found["noise"] == "normal" and rule["clipping"] == "zero"
            rule["rates"] = [0.8 - 0.1 * (lower and place < 3) for place in range(8)]
    assert (
        "lowers accuracy more than uniform noise at 0 of 8 clipped to [0, 0.2], 3 of 8 clipped at "
        "0 only and 0 of 8 not clipped, of the magnitudes; in the paper at 8 of 8"
    ) in said("figure2", figures)


@pytest.mark.parametrize(
    ("middle", "corner", "verdict", "sentence"),
    [
        ((0.70, 0.72), (0.93, 0.95), "shown", "in the middle harms more, as the paper finds"),
        ((0.93, 0.95), (0.70, 0.72), "refuted", "in the corner harms more, against the paper"),
        ((0.92, 0.94), (0.93, 0.95), "undecided", "overlap: a difference between the two"),
        ((0.93, 0.95), (0.92, 0.94), "undecided", "overlap: a difference between the two"),
    ],
)
def test_a_window_is_judged_three_ways(middle, corner, verdict, sentence):
    figures = window_noise()
    for curve in figures["curves"]:
        if curve["network"] == "sdbn" and curve["place"] in ("middle", "corner"):
            low, high = middle if curve["place"] == "middle" else corner
            curve |= {"accuracy": (low + high) / 2, "accuracy_ci95": [low, high]}
    assert window_verdict(figures) == verdict
    assert list(verdicts("figure3", figures).values()) == [verdict]
    assert sentence in said("figure3", figures)


@pytest.mark.parametrize(
    ("gains", "verdict", "sentence"),
    [
        ((0.004, 0.005, 0.006), "shown", "The gain that the paper reports is there."),
        ((-0.004, -0.005, -0.006), "refuted", "It is a loss, against the paper."),
        ((-0.004, 0.001, 0.006), "undecided", "The interval holds 0"),
    ],
)
def test_small_noise_is_judged_by_its_interval(gains, verdict, sentence):
    figures = table_one(gains=gains)
    about = "Training on normal noise of 0.02 raises accuracy"
    assert verdicts("table1", figures)[about] == verdict
    assert sentence in said("table1", figures)


def column(delta, lowest, paper_delta=0.15):
    return {
        "noise": "normal",
        "mode": "train",
        "delta": delta,
        "lowest": lowest,
        "lowest_delta": 0.4,
        "paper_delta": paper_delta,
        "paper_lowest": 0.1026,
    }


@pytest.mark.parametrize(
    ("delta", "lowest", "verdict"),
    [
        (0.15, 0.1, "shown"),
        (0.2, 0.2, "shown, at more noise"),
        (0.1, 0.1, "shown, at less noise"),
        (0.3, 0.405, "partly"),
        (0.15, 0.21, "partly"),
        (None, 0.6, "refuted"),
    ],
)
def test_a_collapse_is_judged_by_where_it_comes_and_how_far_it_goes(delta, lowest, verdict):
    assert collapse_verdict(column(delta, lowest)) == verdict
    figures = table_one()
    figures["collapse"]["columns"] = [column(delta, lowest)]
    about = "Collapse below 50 %, normal noise on training images"
    assert verdicts("table1", figures)[about] == verdict


def test_the_lowest_accuracy_is_printed_beside_the_papers():
    found = {"below": 0.5, "columns": [column(0.3, 0.405), column(0.2, 0.1)]}
    text = plain(on_collapse(found))
    assert "normal noise on training images at 0.3 (the paper at 0.15)" in text
    assert "in that order, 40.5 % at 0.4 (the paper 10.3 %) and 10.0 % at 0.4" in text
    assert "In 1 of 2 of these columns it stays above 20 %" in text
    figures = table_one()
    figures["collapse"]["columns"] = [column(0.3, 0.405)]
    row = next(r for r in summary_rows({"table1": figures}) if r.about.startswith("Collapse"))
    assert plain(row.paper) == "from delta 0.15; the lowest 10.3 %"
    assert plain(row.found) == "from delta 0.3; the lowest 40.5 %"


def retrained(by_rule, by_decay, clean=0.97):
    """Return trainings on one noise: by clipping rule, and by decay under the first rule."""
    about = {"noise": "normal", "delta": 0.15, "paper_accuracy": 0.2461, "clean_accuracy": clean}
    found = [
        {**about, "clipping": "range", "fast_decay": decay, "accuracy": accuracy}
        for decay, accuracy in by_decay.items()
    ]
    found += [
        {**about, "clipping": rule, "fast_decay": 0.5, "accuracy": accuracy}
        for rule, accuracy in by_rule.items()
    ]
    return {"below": 0.5, "fast_decay": 0.5, "retried": found}


RULES = {"range": 0.743, "zero": 0.7, "none": 0.8}


def test_what_decides_about_collapse_is_said_only_as_far_as_it_was_tried():
    text = plain(on_retraining(retrained(RULES, {0.05: 0.098, 0.95: 0.844})))
    assert "where the paper has 24.6 %, in one training each" in text
    assert "74.3 % clipped to [0, 0.2], 70.0 % clipped at 0 only and 80.0 % not clipped" in text
    assert "10.0 points apart: the rule does not decide" in text
    assert "all are above 50 %" in text
    assert "in these trainings this forgetting decides whether" in text
    for accuracy in ("9.8 %", "74.3 %", "84.4 %"):
        assert accuracy in text.split("fast weights")[1]
    text = plain(on_retraining(retrained({**RULES, "zero": 0.2}, {0.05: 0.7, 0.95: 0.9})))
    assert "in these trainings the rule decides whether accuracy there falls below 50 %" in text
    assert "this forgetting does not decide" in text


def test_nothing_follows_where_networks_do_not_learn_without_noise_either():
    text = on_retraining(retrained(RULES, {0.05: 0.1, 0.95: 0.9}, clean=0.1))
    assert "decide whether it" not in text
    assert text.count("which shows nothing") == 2


def test_further_trials_of_table_one_have_rows_of_their_own():
    figures = {
        "clean": {"seed": 4},
        "small_noise": [
            {
                "noise": "uniform",
                "delta": 0.02,
                "seeds": [4, 5],
                "clean": [0.96, 0.97],
                "noisy": [0.95, 0.99],
                "difference": 0.005,
                "difference_ci95": [-0.1, 0.2],
                "spiking_difference": 0.01,
                "spiking_difference_ci95": None,
                "paper_difference": 0.006,
            }
        ],
        "test_noise": [normal_test_noise()],
        "collapse": retrained(RULES, {0.05: 0.098}),
    }
    rows = further_rows("table1", figures)
    first, second = rows["small-noise"]
    assert [first["seed"], first["clean_accuracy"], first["accuracy"]] == [4, 0.96, 0.95]
    assert second["difference"] == pytest.approx(0.02)
    assert (second["mean_difference_ci95_low"], second["mean_difference_ci95_high"]) == (-0.1, 0.2)
    assert second["mean_spiking_difference_ci95_low"] is None
    # Two rules with the run's seed, 4, and two other seeds.
    assert len(rows["rules"]) == 8 * (2 + 2)
    place = next(
        row
        for row in rows["rules"]
        if (row["clipping"], row["seed"], row["delta"]) == ("range", 4, 0.08)
    )
    assert (place["accuracy"], place["spiking_accuracy"]) == (0.923, 0.855)
    assert place["paper_accuracy"] == 0.8273
    assert len(rows["trainings"]) == 4
    assert not further_rows("table2", {})


def test_the_further_rows_are_written_beside_the_cells(tmp_path):
    figures = {"item": "table1", **table_one()}
    save_paper(tmp_path, Paper({"table1": figures}, {}), META)
    assert json.loads((tmp_path / "table1.json").read_text()) == figures
    expected = {"table1": item_rows("table1", figures, {})}
    expected |= {f"table1-{name}": rows for name, rows in further_rows("table1", figures).items()}
    assert set(expected) == {path.stem for path in tmp_path.glob("*.csv")}
    for name, rows in expected.items():
        text = (tmp_path / f"{name}.csv").read_text()
        assert text == csv_text(rows)
        assert len(list(csv.reader(io.StringIO(text)))) == 1 + len(rows)
