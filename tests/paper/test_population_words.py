"""What the report says of populations and of sampling, following the numbers."""

import csv
import io

import pytest
from support.population_items import group, population, sampling

from neuroattack.paper.population import compare_groups
from neuroattack.paper.report.rows import csv_text, item_rows
from neuroattack.paper.report.sections import section_of
from neuroattack.paper.report.summary import summary_rows

QUESTION = "Is the SDBN more secure than the DNN?"


def said(item, figures):
    return "\n".join(section_of(item, figures).sentences).replace("\u00a0", " ")


def summary(figures):
    return {row.about: row for row in summary_rows({"population": figures})}


@pytest.mark.parametrize(
    ("of_sdbn", "of_dnn", "verdict", "sentence"),
    [
        (1, 9, "yes", "the attack succeeds less on the spiking SDBN in every group"),
        (9, 1, "no, less", "the attack succeeds more on the spiking SDBN in every group"),
        (5, 5, "undecided", "no interval excludes 0"),
    ],
)
def test_the_papers_question_is_answered_by_intervals(of_sdbn, of_dnn, verdict, sentence):
    figures = population(of_sdbn, of_dnn)
    assert summary(figures)[QUESTION].verdict == verdict
    assert sentence in said("population", figures)


def test_errors_without_any_attack_decide_nothing():
    figures = population(9, 9)
    # The SDBN's originals are wrong in 8 of 10 draws, the DNN's in 1: the attack adds less there.
    unequal = group("sdbn", "I", fooled=9), group("dnn", "I", fooled=9)
    for attack in unequal[0].attacks:
        attack["clean"]["untargeted"] = 8
    figures["comparisons"] = [compare_groups("for a test", *unequal)]
    row = summary(figures)[QUESTION]
    assert row.verdict == "yes"
    assert "\u221270.0" in row.found
    # Success alone is the same.
    assert figures["comparisons"][0]["untargeted_difference"] == 0


def test_a_verdict_counts_no_group_that_is_not_beside_it():
    row = summary(population(1, 9, random_sdbn=9))[QUESTION]
    assert row.verdict == "yes in 2 and undecided in 1 of 3 groups"
    assert row.found.count("case ") == 3
    assert "random classes" in row.found
    assert row.found.startswith("targeted searches, misclassified as any class")


def test_a_noiseless_network_is_said_to_take_one_draw():
    text = said("population", population())
    assert (
        "judged by 10 fresh draws, one alone on the DNN and SDBN as rates, where every draw is "
        "the same"
    ) in text


def test_searches_that_end_at_the_cap_are_named_where_they_are_many():
    figures = population()
    assert "ended after 60 iterations" not in said("population", figures)
    for share, named in ((0.1, False), (0.125, True)):
        figures["groups"][0]["capped_share"] = share
        text = said("population", figures)
        assert (
            "ended after 60 iterations and not at D_max, where more than 10 %: spiking SDBN 12.5 % "
            "in 1 of 3 groups" in text
        ) is named


@pytest.mark.parametrize("item", [("population", population()), ("sampling", sampling())])
def test_what_a_share_of_falls_leaves_out_is_said_where_it_is_shown(item):
    assert "An equal P(target) is no fall, and a P(target) of 0 cannot fall" in said(*item)


@pytest.mark.parametrize(
    ("spikes", "sentence"),
    [
        ((10.0, 70.0, 200.0, 280.0), "go from 10.0 at T = 50 to 200.0 at T = 1,000; each step of"),
        ((10.0, 70.0, 70.5, 280.0), "from T = 350 on they grow by no more than 1 %, so more steps"),
        ((70.0, 10.0, 200.0, 280.0), "not every step of T brings more"),
        ((5.0, 5.0, 5.0, 20.0), "from T = 50 on they grow by no more than 1 %"),
    ],
)
def test_whether_more_steps_bring_more_spikes_is_told_from_their_numbers(spikes, sentence):
    assert said("sampling", sampling(spikes)).count(sentence) == 2


def test_equal_figures_at_several_steps_are_named_for_their_network():
    figures = sampling()
    assert "All figures are equal" not in said("sampling", figures)
    groups = {
        (group["network"], group["steps"], group["repeats"]): group for group in figures["groups"]
    }
    groups["sdbn", 1000, 1] |= {**groups["sdbn", 350, 1], "steps": 1000}
    assert said("sampling", figures).count("All figures are equal at T = 350 and 1,000:") == 1


def test_an_interval_that_holds_0_is_told_by_its_width():
    text = said("sampling", sampling(fooled=(1, 2, 9, [9, 9, 9, 8] * 10)))
    of_means = "points wide with 40 images, so nothing within it is shown or excluded"
    assert text.count(of_means) == 2
    # A quarter of the images lower by 0.1: Student's interval, by hand.
    mean, sd = -0.025, (0.1**2 * 0.25 * 0.75 * 40 / 39) ** 0.5
    half = 2.0226909 * sd / 40**0.5
    shown = f"{100 * mean:.1f} points (95 % interval {100 * (mean - half):.1f} to "
    shown += f"{100 * (mean + half):.1f}); the attack gains less on the former"
    assert shown.replace("-", "\u2212") in text


def test_the_gain_is_told_and_not_the_errors_without_attack():
    text = said("sampling", sampling(fooled=(1, 2, 3, 4)))
    assert "unattacked errors go from 10.0 % to 10.0 %" in text
    # One draw in ten of the originals is wrong: 3 of 10 are a gain of 2.
    assert "+20.0 points" in text
    assert "search and verdict have the same T and repeats" in text


@pytest.mark.parametrize(
    ("item", "figures"), [("population", population()), ("sampling", sampling())]
)
def test_the_csv_has_groups_and_comparisons(item, figures):
    text = csv_text(item_rows(item, figures, {}))
    rows = list(csv.DictReader(io.StringIO(text)))
    of_kind = {
        kind: [row for row in rows if row["row"] == kind] for kind in ("group", "comparison")
    }
    for kind, name in (("group", "groups"), ("comparison", "comparisons")):
        assert len(of_kind[kind]) == len(figures[name])
    for row, found in zip(of_kind["comparison"], figures["comparisons"], strict=True):
        assert (row["first"], row["second"]) == (found["first"], found["second"])
        assert float(row["untargeted_gain_difference"]) == found["untargeted_gain_difference"]
        ends = [float(row[f"untargeted_gain_ci95_{end}"]) for end in ("low", "high")]
        assert ends == found["untargeted_gain_ci95"]
    for row, found in zip(of_kind["group"], figures["groups"], strict=True):
        assert float(row["capped_share"]) == found["capped_share"]
        assert int(row["stopped_by_distance"]) == found["images"]
