"""Black-box attacks stay within every bound on events, and use it."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_events import SPARSE, queried

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.registry import make_attack
from neuroattack.errors import UnsupportedFeatureError


def plainly_within(bound, sample, found):
    """Check a bound and its refractory period by loops over neurons and events."""
    before, after = (each.reshape(len(each), -1).T > 0 for each in (sample, found))
    clean = max(int(before.sum()), 1)
    changes = int((before ^ after).sum())
    retiming = bound.norm in ("jitter", "shift", "moved")
    if bound.norm == "insertions":
        assert (after >= before).all()
    if bound.norm == "deletions":
        assert (after <= before).all()
    if not retiming:
        assert changes <= bound.maximum * clean + 1e-9
    total = 0
    for old, new in zip(before, after, strict=True):
        was, now = np.flatnonzero(old).tolist(), np.flatnonzero(new).tolist()
        if retiming:
            assert len(was) == len(now)
            shifts = [abs(a - b) for a, b in zip(was, now, strict=True)]
            total += sum(shifts)
            assert bound.norm != "jitter" or max(shifts, default=0) <= bound.maximum
            for k in range(1, len(now)):
                gap = min(was[k] - was[k - 1], bound.refractory_steps + 1)
                assert now[k] - now[k - 1] >= gap
        else:
            for one, two in itertools.pairwise(now):
                assert two - one > bound.refractory_steps or (one in was and two in was)
    if bound.norm == "shift":
        assert total <= bound.maximum * clean + 1e-9
    if bound.norm == "moved":
        assert changes / 2 <= bound.maximum * clean + 1e-9


def plainly_within_patch(patch_px, sample, found):
    places = np.argwhere(sample != found)[:, -2:].tolist()
    for row, column in places:
        for other_row, other_column in places:
            assert abs(row - other_row) < patch_px
            assert abs(column - other_column) < patch_px


BOUNDS = [("events", 0.3), ("insertions", 0.3), ("deletions", 0.3), ("jitter", 3)]
BOUNDS += [("shift", 0.5), ("moved", 0.3)]


@pytest.mark.parametrize("name", ["random-noise", "sparse-rs", "dvs-pattern", "count-regression"])
@pytest.mark.parametrize(("norm", "maximum"), BOUNDS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    refractory=st.integers(0, 4),
    patch=st.sampled_from([0, 1, 2, 3, 9]),
    density=st.sampled_from([0.0, 0.05, 0.4]),
)
def test_attacks_stay_within_every_bound_on_events(
    name, norm, maximum, seed, refractory, patch, density
):
    bound = Bound(norm, maximum, refractory, patch)
    sample = (np.random.default_rng(seed).random((15, 2, 4, 4)) < density).astype(float)
    try:
        attack = make_attack(name, bound, 40, seed)
    except UnsupportedFeatureError:
        assert name in ("sparse-rs", "dvs-pattern")
        return
    if patch and name == "dvs-pattern":
        return
    found, seen = queried(attack, sample)
    returned = [found.adversarial]
    # Count regression also queries samples outside the bound, to learn from them.
    for one in returned if name == "count-regression" else returned + seen:
        assert set(np.unique(one)) <= {0.0, 1.0}
        assert bound.holds(sample, one)
        plainly_within(bound, sample, one)
        if patch:
            plainly_within_patch(patch, sample, one)


@pytest.mark.parametrize("norm", ["events", "insertions", "deletions"])
def test_random_noise_changes_as_many_events_as_the_bound_allows(norm):
    for maximum in (0.1, 0.8, 1.0):
        _, seen = queried(RandomNoise(Bound(norm, maximum), 20))
        for sample in seen:
            assert np.count_nonzero(sample != SPARSE) == int(maximum * SPARSE.sum() + 1e-9)
        assert maximum == 1.0 or len({sample.tobytes() for sample in seen}) == 20


@pytest.mark.parametrize("norm", ["events", "insertions", "deletions"])
def test_random_searches_use_patches_all_over_the_sensor(norm):
    bound = Bound(norm, 0.05, patch_px=3)
    for name in ("random-noise", "sparse-rs"):
        _, seen = queried(make_attack(name, bound, 200, 0))
        changed = [sample != SPARSE for sample in seen]
        # There are few events to delete in a patch.
        least = 1 if norm == "deletions" else int(0.05 * SPARSE.sum())
        assert min(np.count_nonzero(each) for each in changed) >= least
        assert np.any(changed, axis=(0, 1, 2)).mean() > 0.5


def test_random_noise_retimes_most_events_within_the_jitter():
    _, seen = queried(RandomNoise(Bound("jitter", 3), 50))
    moved = [np.count_nonzero((sample != SPARSE) & (SPARSE > 0)) for sample in seen]
    assert np.mean(moved) > 0.6 * SPARSE.sum()


@pytest.mark.parametrize("norm", ["events", "insertions", "deletions"])
def test_sparse_rs_searches_samples_within_the_bound(norm):
    _, seen = queried(make_attack("sparse-rs", Bound(norm, 0.2, 2), 50, 0))
    changed = [np.count_nonzero(sample != SPARSE) for sample in seen]
    assert min(changed) > 0.5 * 0.2 * SPARSE.sum()


def test_events_that_are_too_close_violate_the_refractory_period():
    sample = np.zeros((12, 1))
    sample[[2, 4, 9]] = 1
    closer, far = sample.copy(), sample.copy()
    closer[[5]] = 1
    far[[7]] = 1
    bound = Bound("events", 1)
    assert bound.holds(sample, closer)
    assert not Bound("events", 1, 2).holds(sample, closer)
    assert Bound("events", 1, 1).holds(sample, far)
    assert not Bound("events", 1, 2).holds(sample, far)
    # Both clean events of steps 2 and 4 may stay, move together, or move apart, but not closer.
    for steps, allowed in (([3, 5, 9], True), ([2, 5, 9], True), ([3, 4, 9], False)):
        moved = np.zeros((12, 1))
        moved[steps] = 1
        assert Bound("jitter", 2, 2).holds(sample, moved) is allowed
        assert Bound("jitter", 2).holds(sample, moved)


@given(seed=st.integers(0, 10**6), patch=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_patches_contain_all_changes(seed, patch):
    rng = np.random.default_rng(seed)
    sample = (rng.random((3, 2, 4, 5)) < 0.3).astype(float)
    changed = np.abs(sample - (rng.random(sample.shape) < 0.02))
    pixels = {(row, column) for _, _, row, column in np.argwhere(sample != changed).tolist()}
    is_within = any(
        all(top <= row < top + patch and left <= column < left + patch for row, column in pixels)
        for top in range(4)
        for left in range(5)
    )
    assert Bound("events", 100, patch_px=patch).holds(sample, changed) is is_within
