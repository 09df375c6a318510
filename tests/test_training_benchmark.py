"""Section ``training`` of the benchmark suite in quick mode; no figure is judged here."""

import pytest

from benchmarks import training
from benchmarks.registry import SECTIONS, Options


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def figures(said, tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmarks")
    return training.measure_training(Options(None, "digits", True, out, said.append))


def test_quick_mode_has_the_promised_keys_and_no_whole_training(figures, said):
    for key in ("fine_tuned_s", "fine_tuned_spiking_accuracy", "paper_s", "paper_rate_accuracy"):
        assert figures[key] is None
    assert said == ["training a few steps on a few digits"]


def test_a_few_steps_of_both_recipes_learn_something(figures):
    assert set(figures["tiny_rate_accuracy"]) == {"fine-tuned", "paper"}
    assert all(accuracy > 0.5 for accuracy in figures["tiny_rate_accuracy"].values())


def test_the_kernel_is_judged_by_its_least_favourable_shape(figures):
    ratios = [one["ratio"] for one in figures["siegert_kernel"]]
    assert figures["siegert_kernel_ratio"] == max(ratios)
    low, high = figures["siegert_kernel_ratio_spread"]
    assert 0 < low <= figures["siegert_kernel_ratio"] <= high


def test_the_tables_say_why_there_is_no_training(figures):
    recipes, kernel = SECTIONS["training"].tables(figures)
    assert "quick" in recipes.title
    assert len(kernel.rows) == len(figures["siegert_kernel"])


def test_the_table_of_whole_trainings_says_that_a_time_is_one_measurement(figures):
    measured = {
        "not_trained": None,
        "fine_tuned_s": 75.4,
        "fine_tuned_cpu_s": 120.0,
        "fine_tuned_rate_accuracy": 0.9887,
        "fine_tuned_spiking_accuracy": 0.9873,
        "paper_s": 100.6,
        "paper_cpu_s": 150.0,
        "paper_rate_accuracy": 0.9732,
    }
    recipes, _ = SECTIONS["training"].tables({**figures, **measured})
    assert "single training" in recipes.title
    assert recipes.rows[0] == ["fine-tuned", "75", "120", "98.87 %", "98.73 %"]
    assert recipes.rows[1] == ["paper", "101", "150", "97.32 %", ""]
