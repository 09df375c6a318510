"""Distances of event samples, and optimal perturbations, against exhaustive search."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import EVENT_DISTANCES, measure_distances
from neuroattack.attacks.events.changes import best_event_change
from neuroattack.attacks.events.retiming import retimed
from neuroattack.errors import UnknownNameError, ValidationError

seeds = st.integers(0, 10**6)


def sample_of(rng, steps, neurons, density=0.3):
    return (rng.random((steps, neurons)) < density).astype(float)


def plain_distances(one, other):
    """All distances by loops over neurons and events."""
    clean = max(int(one.sum()), 1)
    inserted, deleted = int((other > one).sum()), int((other < one).sum())
    moves = []
    for neuron in range(one.shape[1]):
        before, after = (np.flatnonzero(each[:, neuron]).tolist() for each in (one, other))
        if len(before) != len(after):
            moves = None
            break
        moves += [abs(a - b) for a, b in zip(before, after, strict=True)]
    return {
        "events": (inserted + deleted) / clean,
        "insertions": math.inf if deleted else inserted / clean,
        "deletions": math.inf if inserted else deleted / clean,
        "jitter": math.inf if moves is None else max(moves, default=0),
        "shift": math.inf if moves is None else sum(moves) / clean,
        "moved": math.inf if moves is None else deleted / clean,
    }


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_distances_are_those_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    one = sample_of(rng, 9, 4)
    other = one.copy()
    if rng.random() < 0.5:
        for neuron in range(4):
            other[:, neuron] = rng.permutation(one[:, neuron])
    else:
        other = np.abs(other - (rng.random(other.shape) < 0.1))
    expected = plain_distances(one, other)
    for name, distance in EVENT_DISTANCES.items():
        assert distance(one, other) == pytest.approx(expected[name])
    measured = measure_distances(one, other, are_events=True)
    assert measured == {
        name: pytest.approx(value) if math.isfinite(value) else None
        for name, value in expected.items()
    }


def combinations(times, steps, reach, refractory):
    """All retimings of the events of one neuron."""
    for new in itertools.combinations(range(steps), len(times)):
        if all(abs(a - b) <= reach for a, b in zip(new, times, strict=True)) and all(
            new[i + 1] - new[i] >= min(refractory + 1, times[i + 1] - times[i])
            for i in range(len(times) - 1)
        ):
            yield new


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_retiming_is_optimal(seed):
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 8))
    sample = sample_of(rng, steps, 2, 0.4) > 0
    scores = rng.normal(size=(steps, 2))
    reach, refractory = int(rng.integers(0, steps)), int(rng.integers(0, 3))
    per_step, per_move = rng.choice([0.0, 0.3]), rng.choice([0.0, 0.5])
    found = retimed(sample, scores, reach, refractory, per_step, per_move)

    def value(new, times, neuron):
        shift = np.abs(np.array(new, int) - np.array(times, int))
        gain = scores[list(new), neuron].sum() if len(new) else 0.0
        return gain - per_step * shift.sum() - per_move * np.count_nonzero(shift)

    for neuron in range(2):
        times = np.flatnonzero(sample[:, neuron]).tolist()
        best = max(
            value(new, times, neuron) for new in combinations(times, steps, reach, refractory)
        )
        new = np.flatnonzero(found[:, neuron]).tolist()
        assert len(new) == len(times)
        assert value(new, times, neuron) == pytest.approx(best, abs=1e-6)


@given(seeds, st.sampled_from(["events", "insertions", "deletions"]))
@settings(max_examples=60, deadline=None)
def test_insertions_and_deletions_are_optimal(seed, norm):
    rng = np.random.default_rng(seed)
    sample = sample_of(rng, 4, 3)
    slopes = rng.normal(size=sample.size)
    bound = Bound(norm, 0.6)
    change = best_event_change(bound, sample, slopes)
    adversarial = sample + change.reshape(sample.shape)
    assert set(np.unique(adversarial)) <= {0.0, 1.0}
    assert bound.holds(sample, adversarial)
    most = int(0.6 * max(sample.sum(), 1) + 1e-9)
    allowed = {"events": (-1, 1), "insertions": (1,), "deletions": (-1,)}[norm]
    gains = [
        slope * direction
        for slope, present in zip(slopes, sample.ravel(), strict=True)
        for direction in ((-1,) if present else (1,))
        if direction in allowed
    ]
    best = sum(sorted((gain for gain in gains if gain > 0), reverse=True)[:most])
    assert change @ slopes == pytest.approx(best)


@given(seeds, st.sampled_from(sorted(EVENT_DISTANCES)), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_changes_are_within_their_bound(seed, norm, refractory):
    rng = np.random.default_rng(seed)
    sample = sample_of(rng, 20, 5, 0.2).reshape(20, 5, 1)
    bound = Bound(norm, 2 if norm == "jitter" else 0.5, refractory)
    change = best_event_change(bound, sample, rng.normal(size=sample.size))
    adversarial = sample + change.reshape(sample.shape)
    assert set(np.unique(adversarial)) <= {0.0, 1.0}
    assert bound.holds(sample, adversarial)
    for neuron in range(5):
        before, after = (np.flatnonzero(each[:, neuron, 0]) for each in (sample, adversarial))
        new = set(after.tolist()) - set(before.tolist())
        if norm in {"events", "insertions"}:
            # An inserted event is far enough from all others.
            for t in new:
                assert all(abs(t - other) > refractory for other in after if other != t)
        elif norm in {"jitter", "shift", "moved"}:
            gaps = np.minimum(np.diff(before), refractory + 1)
            assert (np.diff(after) >= gaps).all()


def best_of_all_patches(bound, sample, slopes):
    """The largest gain, by planning without a patch in each of all squares in turn."""
    rows, columns = sample.shape[-2:]
    side = bound.patch_px
    gains = []
    for row in range(rows - side + 1):
        for column in range(columns - side + 1):
            inside = np.zeros(sample.shape)
            inside[..., row : row + side, column : column + side] = 1
            alone = slopes * inside.ravel()
            gains.append(best_event_change(replace(bound, patch_px=0), sample, alone) @ slopes)
    return max(gains)


@given(
    seeds,
    st.sampled_from(["events", "insertions", "deletions", "jitter"]),
    st.integers(0, 2),
    st.integers(1, 3),
)
@settings(max_examples=80, deadline=None)
def test_the_best_patch_is_found(seed, norm, refractory, side):
    rng = np.random.default_rng(seed)
    shape = (6, 2, 3, 4) if seed % 2 else (6, 4, 3)
    sample = (rng.random(shape) < 0.3).astype(float)
    slopes = rng.normal(size=sample.size)
    if seed % 3 == 0:
        # Equal gains.
        slopes = np.rint(slopes)
    bound = Bound(norm, 2 if norm == "jitter" else rng.choice([0.05, 0.2, 2]), refractory, side)
    change = best_event_change(bound, sample, slopes)
    assert bound.holds(sample, sample + change.reshape(shape))
    assert change @ slopes == pytest.approx(best_of_all_patches(bound, sample, slopes), abs=1e-6)


@pytest.mark.parametrize("norm", ["shift", "moved"])
@pytest.mark.parametrize("seed", range(3))
def test_a_good_patch_is_found_to_retime_many_events(norm, seed):
    rng = np.random.default_rng(seed)
    sample = (rng.random((20, 1, 5, 5)) < 0.3).astype(float)
    slopes = rng.normal(size=sample.size)
    bound = Bound(norm, 0.1, 0, 3)
    change = best_event_change(bound, sample, slopes)
    assert bound.holds(sample, sample + change.reshape(sample.shape))
    assert change @ slopes >= 0.9 * best_of_all_patches(bound, sample, slopes)


@pytest.mark.parametrize("norm", EVENT_DISTANCES)
def test_a_patch_larger_than_the_sensor_is_no_constraint(norm):
    rng = np.random.default_rng(4)
    sample = (rng.random((12, 2, 3, 5)) < 0.2).astype(float)
    slopes = rng.normal(size=sample.size)
    bound = Bound(norm, 2 if norm == "jitter" else 0.4)
    np.testing.assert_array_equal(
        best_event_change(replace(bound, patch_px=5), sample, slopes),
        best_event_change(bound, sample, slopes),
    )


@pytest.mark.parametrize("norm", ["shift", "moved"])
def test_budgets_of_retiming_are_used(norm):
    rng = np.random.default_rng(3)
    sample = sample_of(rng, 30, 20, 0.15)
    slopes = rng.normal(size=sample.size)
    bound = Bound(norm, 0.4)
    adversarial = sample + best_event_change(bound, sample, slopes).reshape(sample.shape)
    assert 0.3 <= bound.distance(sample, adversarial) <= 0.4


def test_zero_slopes_change_nothing():
    sample = sample_of(np.random.default_rng(0), 10, 4)
    for norm in EVENT_DISTANCES:
        assert not best_event_change(Bound(norm, 1), sample, np.zeros(sample.size)).any()


def test_bounds_on_events_are_written_as_text():
    bound = Bound.from_text("events=0.05,refractory_steps=2")
    assert bound == Bound("events", 0.05, 2)
    assert Bound.from_text(str(bound)) == bound
    assert str(Bound("jitter", 3)) == "jitter=3"
    both = Bound("events", 0.05, refractory_steps=2, patch_px=5)
    assert str(both) == "events=0.05,refractory_steps=2,patch_px=5"
    for text in (str(both), "events=0.05, patch_px=5, refractory_steps=2"):
        assert Bound.from_text(text) == both
    assert str(Bound("jitter", 3, patch_px=5)) == "jitter=3,patch_px=5"
    for text in (
        *("jitter=2.5", "events=0", "events=0.1,refractory=2", "l2=2,refractory_steps=1"),
        *("l0=2,patch_px=5", "events=0.1,patch_px=-1", "events=0.1,patch_px=1.5"),
        *("events=0.1,", "events=0.1,patch_px", "events=0.1,patch_px=5,patch_px=5"),
    ):
        with pytest.raises((ValidationError, UnknownNameError)):
            Bound.from_text(text)


def test_patches_need_rows_and_columns():
    bound = Bound("events", 0.1, patch_px=5)
    bound.check_shape((20, 16, 16))
    with pytest.raises(ValidationError, match=r"patch_px=5.*\(20, 700\), expected \(steps"):
        bound.check_shape((20, 700))
    with pytest.raises(ValidationError, match="without patch_px"):
        bound.holds(np.zeros((20, 700)), np.zeros((20, 700)))
