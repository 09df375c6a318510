"""Verdicts on the paper's claims follow from the numbers, each at its threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paper_items import attack_table, table_one, transformations, whole_paper, window_noise
from support.population_items import group, population

from neuroattack.paper import verdicts
from neuroattack.paper.items import ITEMS
from neuroattack.paper.population import compare_groups
from neuroattack.paper.save import verdict_table
from neuroattack.paper.tables import fell_and_rose

WORDS = ("reproduced", "partly", "not reproduced", "undecided")


def judged(item, figures):
    return [claim.verdict for claim in ITEMS[item].claims(figures)]


def of_claim(part, figures, item="table1"):
    return [one.verdict for one in ITEMS[item].claims(figures) if part in one.claim]


@pytest.mark.parametrize(
    ("met", "verdict"),
    [
        ([True, True], "reproduced"),
        ([True, False], "partly"),
        ([False], "not reproduced"),
        ([], "not reproduced"),
    ],
)
def test_conditions(met, verdict):
    assert verdicts.by_conditions(met) == verdict


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(0.1, 0.2), (0.3, 0.4)], "reproduced"),
        ([(0.1, 0.2), (-0.1, 0.4)], "partly"),
        ([(0.1, 0.2), (-0.2, -0.1)], "partly"),
        ([(-0.2, -0.1), (-0.1, 0.4)], "not reproduced"),
        ([(-0.1, 0.4), (0.0, 0.4)], "undecided"),
        ([None], "undecided"),
        ([None, (-0.2, -0.1)], "not reproduced"),
    ],
)
def test_intervals(intervals, verdict):
    assert verdicts.by_intervals(intervals, 1) == verdict
    turned = [one and (-one[1], -one[0]) for one in intervals]
    assert verdicts.by_intervals(turned, -1) == verdict


def test_every_verdict_is_one_word_of_four_and_every_claim_has_its_own_text():
    table = verdict_table(whole_paper())
    assert {row[-1] for row in table.rows} <= set(WORDS)
    assert len({tuple(row[:2]) for row in table.rows}) == len(table.rows)
    assert len(table.rows) == 2 + 2 + 2 + 4 + 1 + 2 + 2 + 1 + 3 + 3


@pytest.mark.parametrize(
    ("rates", "spikes", "verdict"),
    [
        (0.971, 0.953, "reproduced"),
        (0.973, 0.953, "partly"),
        (0.971, 0.951, "partly"),
        (0.973, 0.951, "not reproduced"),
    ],
)
def test_clean_accuracy_is_that_of_the_paper_within_a_point(rates, spikes, verdict):
    figures = table_one()
    figures["clean"] |= {"accuracy": rates, "spiking_accuracy": spikes}
    assert of_claim("clean accuracy of the SDBN", figures) == [verdict]


@pytest.mark.parametrize(
    ("apart", "verdict"),
    [(0.0, "reproduced"), (0.059, "reproduced"), (0.061, "not reproduced")],
)
def test_test_noise_is_near_within_six_points(apart, verdict):
    assert of_claim("test noise", table_one(apart=apart))[0] == verdict


def test_test_noise_that_is_near_at_some_magnitudes_is_partly():
    figures = table_one()
    figures["test_noise"][1] |= {"within_6_points": [0.1], "beyond_6_points": [0.2]}
    assert of_claim("uniform test noise", figures) == ["partly"]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.004, 0.005, 0.006), "reproduced"),
        ((-0.004, -0.005, -0.006), "not reproduced"),
        ((-0.004, 0.001, 0.006), "undecided"),
    ],
)
def test_small_noise_is_judged_by_its_interval(gains, verdict):
    assert of_claim("gain from normal", table_one(gains=gains)) == [verdict]


@pytest.mark.parametrize(
    ("delta", "lowest", "verdict"),
    [
        (0.15, 0.1, "reproduced"),
        (0.15, 0.2, "reproduced"),
        (0.15, 0.21, "partly"),
        (0.2, 0.1, "partly"),
        (0.3, 0.405, "partly"),
        (None, 0.6, "not reproduced"),
    ],
)
def test_a_collapse_is_judged_by_where_it_comes_and_how_far_it_goes(delta, lowest, verdict):
    figures = table_one()
    figures["collapse"]["columns"] = [
        figures["collapse"]["columns"][0] | {"delta": delta, "paper_delta": 0.15, "lowest": lowest}
    ]
    assert of_claim("collapse", figures) == [verdict]


@pytest.mark.parametrize(
    ("middle", "corner", "verdict"),
    [
        ((0.70, 0.72), (0.93, 0.95), "reproduced"),
        ((0.93, 0.95), (0.70, 0.72), "not reproduced"),
        ((0.92, 0.94), (0.93, 0.95), "undecided"),
        ((0.93, 0.95), (0.92, 0.94), "undecided"),
    ],
)
def test_a_window_is_judged_by_the_intervals_of_the_sdbn(middle, corner, verdict):
    figures = window_noise()
    for curve in figures["curves"]:
        if curve["network"] == "sdbn" and curve["place"] in ("middle", "corner"):
            low, high = middle if curve["place"] == "middle" else corner
            curve |= {"accuracy": (low + high) / 2, "accuracy_ci95": [low, high]}
    assert judged("figure3", figures) == [verdict]


def test_an_attack_is_judged_by_its_course():
    up, down = (0.0, 0.4, 0.8), (0.0, 0.8, 0.3)
    for network, item, expected in (
        ("dnn", "table2", ["reproduced", "not reproduced"]),
        ("sdbn", "table3", ["not reproduced", "reproduced"]),
    ):
        assert judged(item, attack_table(network, (up, down))) == expected
    # The true class lost, and to a third one: the target class has not won.
    figures = attack_table("dnn", (up, up))
    figures["cases"]["I"]["predicted"][-1] = 8
    assert judged("table2", figures) == ["partly", "reproduced"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_falls_and_rises_are_counted_as_by_hand(history):
    fell = rose = 0
    for i in range(1, len(history)):
        fell += history[i] < history[i - 1]
        rose += history[i] > history[i - 1]
    assert fell_and_rose(history) == (fell, rose)


@pytest.mark.parametrize(
    ("five", "three", "verdict"),
    [(0.83, 0.08, "reproduced"), (0.83, 0.1, "partly"), (0.9, 0.1, "not reproduced")],
)
def test_clean_shares_are_those_of_the_paper_within_a_point(five, three, verdict):
    spike_fractions = [0.0] * 10
    spike_fractions[5], spike_fractions[3] = five, three
    figures = {
        "spike_fractions": spike_fractions,
        "paper": {"p_max_class": 0.8269, "p_target": 0.0764},
    }
    assert judged("figure9", figures) == [verdict]


@pytest.mark.parametrize(
    ("of_sdbn", "of_dnn", "verdict"),
    [(1, 9, "reproduced"), (9, 1, "not reproduced"), (5, 5, "undecided")],
)
def test_the_papers_question_is_answered_by_intervals(of_sdbn, of_dnn, verdict):
    assert judged("population", population(of_sdbn, of_dnn))[0] == verdict


def test_one_group_that_is_undecided_makes_the_answer_partly():
    assert judged("population", population(1, 9, random_sdbn=9))[0] == "partly"


def test_errors_without_any_attack_decide_nothing():
    figures = population(9, 9)
    # The SDBN's originals are wrong in 8 of 10 trials, the DNN's in 1: the attack adds less there.
    unequal = group("sdbn", "I", fooled=9), group("dnn", "I", fooled=9)
    for attack in unequal[0].attacks:
        attack["clean"]["untargeted"] = 8
    figures["comparisons"] = [compare_groups("for a test", *unequal)]
    assert judged("population", figures)[0] == "reproduced"
    assert figures["comparisons"][0]["untargeted_difference"] == 0


@pytest.mark.parametrize(
    ("correlation", "verdict"),
    [
        ({"rho": 0.5, "p_value": 0.04}, "reproduced"),
        ({"rho": 0.5, "p_value": 0.06}, "not reproduced"),
        ({"rho": -0.5, "p_value": 0.01}, "not reproduced"),
        (None, "not reproduced"),
    ],
)
def test_a_gap_matters_where_its_correlation_is_positive_and_sure(correlation, verdict):
    figures = transformations()
    for study in figures["networks"].values():
        for one in study["transformations"]:
            one["untargeted"]["gap_correlation"] = correlation
    assert judged("transformations", figures) == [verdict] * 3
