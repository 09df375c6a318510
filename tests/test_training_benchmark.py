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
