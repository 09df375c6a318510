import json
import math

import numpy as np
import pytest
from support.campaign_files import campaign_file
from support.toy_targets import gray, linear_scores, linear_target

from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.experiments.preflight import measure_randomness
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import HardLabel


def poisson_target(means, seed=0):
    rng = np.random.default_rng(seed)
    return BlackBox(lambda rows: rng.poisson(means, (len(rows), 3)).astype(np.int32), (2, 2), 3)


def test_counts_of_known_rates():
    found = measure_randomness(
        poisson_target([60.0, 20.0, 0.0]), np.zeros((2, 2)), 0, trials=20_000
    )
    assert not found.deterministic
    assert found.mean_spikes == pytest.approx(80, rel=0.01)
    assert found.mean_gap == pytest.approx(-40, rel=0.02)
    assert found.gap_sd == pytest.approx(math.sqrt(80), rel=0.03)
    assert (found.correct, found.undecided, found.saturated, found.repeats) == (1, 0, 0, 1)
    # Half of n trials each: the difference of two means has variance 4 SD^2 / n.
    n = found.queries_for_one_spike
    assert 2 * found.gap_sd / math.sqrt(n) <= 1 / 3 < 2 * found.gap_sd / math.sqrt(n - 1)


def test_a_small_gap_needs_repeats():
    found = measure_randomness(
        poisson_target([22.0, 18.0, 0.0]), np.zeros((2, 2)), 0, trials=20_000
    )
    assert found.repeats == math.ceil((2 * found.gap_sd / found.mean_gap) ** 2)
    assert found.repeats == pytest.approx((2 * math.sqrt(40) / 4) ** 2, abs=1.5)


def test_constant_responses_are_deterministic():
    found = measure_randomness(linear_target(linear_scores()), gray(), 0, trials=5)
    assert (found.deterministic, found.gap_sd, found.repeats) == (True, 0, 1)


def test_one_class_with_all_spikes_is_saturation_but_silence_is_not():
    answers = np.array([[9, 0, 0], [9, 1, 0], [0, 0, 0], [4, 4, 0]], np.int32)
    target = BlackBox(lambda rows: answers[: len(rows)], (2, 2), 3)
    found = measure_randomness(target, np.zeros((2, 2)), 0, trials=4)
    assert (found.saturated, found.undecided, found.correct) == (0.25, 0.5, 0.5)


def test_shared_randomness_is_avoided_by_single_queries():
    target = linear_target(linear_scores(), noise_seed=1, randomness="shared")
    assert not measure_randomness(target, gray(), 0, trials=10).deterministic
    assert target.queries == 10


def test_queries_are_counted_and_labels_refused():
    with pytest.raises(BudgetExceededError):
        measure_randomness(linear_target(linear_scores(), budget=9), gray(), 0, trials=10)
    with pytest.raises(ValidationError, match="got labels"):
        measure_randomness(HardLabel(linear_target(linear_scores())), gray(), 0)


def test_the_command(tmp_path, command):
    campaign_file(tmp_path)
    code, out, _ = command("preflight", tmp_path / "net.h5", "--queries", "20", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["deployment"], found["queries"], found["deterministic"]) == ("native", 20, False)
    assert found["steps"] == 350 * found["repeats"]
    assert command("preflight", tmp_path / "net.h5", "--queries", "5")[0] == 0
