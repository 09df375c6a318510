"""Verdicts on the paper's claims, at the thresholds of their rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paper_items import all_items, attack_table, table_one, transformations, window_noise
from support.population_items import group, population

from neuroattack.paper import verdicts
from neuroattack.paper.items import ITEMS
from neuroattack.paper.population import compare_groups
from neuroattack.paper.save import verdict_table
from neuroattack.paper.tables import fell_and_rose

VERDICTS = ("reproduced", "partly", "not reproduced", "undecided")


def verdicts_of(item, figures):
    return [claim.verdict for claim in ITEMS[item].claims(figures)]


# Positions of the claims of Table I.
CLEAN_SDBN, NORMAL_TEST, UNIFORM_TEST, SMALL_NORMAL, FIRST_COLLAPSE = 0, 2, 3, 4, 6


def verdict_at(position, figures):
    return verdicts_of("table1", figures)[position]


@pytest.mark.parametrize(
    ("met", "verdict"),
    [
        ([True, True], "reproduced"),
        ([True, False], "partly"),
        ([False], "not reproduced"),
        ([], "not reproduced"),
    ],
)
def test_rule_for_conditions(met, verdict):
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
def test_rule_for_intervals(intervals, verdict):
    assert verdicts.by_intervals(intervals, 1) == verdict
    negated = [one and (-one[1], -one[0]) for one in intervals]
    assert verdicts.by_intervals(negated, -1) == verdict


def test_verdicts_are_valid_and_claims_are_unique():
    table = verdict_table(all_items())
    assert {row[-1] for row in table.rows} <= set(VERDICTS)
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
def test_clean_accuracy_is_reproduced_within_a_point(rates, spikes, verdict):
    figures = table_one()
    figures["clean"] |= {"accuracy": rates, "spiking_accuracy": spikes}
    assert verdict_at(CLEAN_SDBN, figures) == verdict


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.0, "reproduced"), (0.059, "reproduced"), (0.061, "not reproduced")],
)
def test_accuracy_under_test_noise_is_reproduced_within_six_points(difference, verdict):
    assert verdict_at(NORMAL_TEST, table_one(difference=difference)) == verdict


def test_agreement_at_some_magnitudes_of_test_noise_is_partly():
    figures = table_one()
    figures["test_noise"][1] |= {"within_6_points": [0.1], "beyond_6_points": [0.2]}
    assert verdict_at(UNIFORM_TEST, figures) == "partly"


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.004, 0.005, 0.006), "reproduced"),
        ((-0.004, -0.005, -0.006), "not reproduced"),
        ((-0.004, 0.001, 0.006), "undecided"),
    ],
)
def test_verdict_on_small_noise_depends_on_the_interval(gains, verdict):
    assert verdict_at(SMALL_NORMAL, table_one(gains=gains)) == verdict


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
def test_verdict_on_a_collapse_depends_on_its_delta_and_lowest_accuracy(delta, lowest, verdict):
    figures = table_one()
    figures["collapse"]["columns"] = [
        figures["collapse"]["columns"][0] | {"delta": delta, "paper_delta": 0.15, "lowest": lowest}
    ]
    assert verdict_at(FIRST_COLLAPSE, figures) == verdict


@pytest.mark.parametrize(
    ("middle", "corner", "verdict"),
    [
        ((0.70, 0.72), (0.93, 0.95), "reproduced"),
        ((0.93, 0.95), (0.70, 0.72), "not reproduced"),
        ((0.92, 0.94), (0.93, 0.95), "undecided"),
        ((0.93, 0.95), (0.92, 0.94), "undecided"),
    ],
)
def test_verdict_on_windows_depends_on_the_intervals_of_the_sdbn(middle, corner, verdict):
    figures = window_noise()
    for curve in figures["curves"]:
        if curve["network"] == "sdbn" and curve["window"] in ("middle", "corner"):
            low, high = middle if curve["window"] == "middle" else corner
            curve |= {"accuracy": (low + high) / 2, "accuracy_ci95": [low, high]}
    assert verdicts_of("figure3", figures) == [verdict]


def test_verdict_on_an_attack_depends_on_falls_and_the_final_class():
    up, down = (0.0, 0.4, 0.8), (0.0, 0.8, 0.3)
    for network, item, expected in (
        ("dnn", "table2", ["reproduced", "not reproduced"]),
        ("sdbn", "table3", ["not reproduced", "reproduced"]),
    ):
        assert verdicts_of(item, attack_table(network, (up, down))) == expected
    # A third class wins, not the target class.
    figures = attack_table("dnn", (up, up))
    figures["cases"]["I"]["predicted"][-1] = 8
    assert verdicts_of("table2", figures) == ["partly", "reproduced"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_falls_and_rises_equal_a_plain_loop(history):
    fell = rose = 0
    for i in range(1, len(history)):
        fell += history[i] < history[i - 1]
        rose += history[i] > history[i - 1]
    assert fell_and_rose(history) == (fell, rose)


@pytest.mark.parametrize(
    ("five", "three", "verdict"),
    [(0.83, 0.08, "reproduced"), (0.83, 0.1, "partly"), (0.9, 0.1, "not reproduced")],
)
def test_clean_spike_fractions_are_reproduced_within_a_point(five, three, verdict):
    spike_fractions = [0.0] * 10
    spike_fractions[5], spike_fractions[3] = five, three
    figures = {
        "spike_fractions": spike_fractions,
        "paper": {"p_max_class": 0.8269, "p_target": 0.0764},
    }
    assert verdicts_of("figure9", figures) == [verdict]


@pytest.mark.parametrize(
    ("of_sdbn", "of_dnn", "verdict"),
    [(1, 9, "reproduced"), (9, 1, "not reproduced"), (5, 5, "undecided")],
)
def test_verdict_on_the_gain_depends_on_intervals(of_sdbn, of_dnn, verdict):
    assert verdicts_of("population", population(of_sdbn, of_dnn))[0] == verdict


def test_one_undecided_group_makes_the_verdict_partly():
    assert verdicts_of("population", population(1, 9, random_sdbn=9))[0] == "partly"


def test_errors_on_clean_images_do_not_count_as_success():
    figures = population(9, 9)
    # The SDBN misclassifies its clean images in 8 of 10 trials, the DNN in 1: the attack adds less.
    unequal = group("sdbn", "I", fooled=9), group("dnn", "I", fooled=9)
    for attack in unequal[0].attacks:
        attack["clean"]["untargeted"] = 8
    figures["comparisons"] = [compare_groups("test", *unequal)]
    assert verdicts_of("population", figures)[0] == "reproduced"
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
def test_verdict_on_the_gap_needs_a_significant_positive_correlation(correlation, verdict):
    figures = transformations()
    for study in figures["networks"].values():
        for one in study["transformations"]:
            one["untargeted"]["gap_correlation"] = correlation
    assert verdicts_of("transformations", figures) == [verdict] * 3
