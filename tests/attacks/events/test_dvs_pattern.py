"""Patterns of DVS-Attacks."""

import numpy as np
import pytest
from support.toy_events import SHAPE, SPARSE, queried, recorder

from neuroattack.attacks.bounds import L0, L2, Bound
from neuroattack.attacks.events.dvs_pattern import DVSPattern, pattern_positions
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import make_attack
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError

PATTERNS = ["frame", "corner", "dash", "moving-dash"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("norm", ["events", "insertions"])
def test_as_many_events_are_inserted_as_the_bound_allows(pattern, norm):
    bound = Bound(norm, 0.5)
    found, seen = queried(DVSPattern(bound, 200, 0, pattern))
    assert found.queries == len(seen) == 200
    most = int(0.5 * SPARSE.sum())
    for sample in seen:
        assert (sample >= SPARSE).all()
        assert (sample - SPARSE).sum() == most
    assert len({sample.tobytes() for sample in seen}) > 100
    assert bound.holds(SPARSE, found.adversarial)


def test_a_large_bound_gives_the_published_patterns():
    empty = np.zeros(SHAPE)
    empty[0, 0, 4, 4] = 1
    frame = np.ones(SHAPE)
    frame[:, :, 1:-1, 1:-1] = 0
    frame[0, 0, 4, 4] = 1
    _, seen = queried(DVSPattern(Bound("events", 1e6), 3, 0, "frame"), empty)
    for sample in seen:
        np.testing.assert_array_equal(sample, frame)
    # Two pixels, both polarities, all steps.
    bound = Bound("insertions", 2 * 2 * SHAPE[0])
    for pattern in ("corner", "dash"):
        _, seen = queried(DVSPattern(bound, 8, 0, pattern), empty)
        places = [np.argwhere((sample - empty).any(axis=(0, 1))).tolist() for sample in seen]
        assert places[:4] == [
            [[0, 0], [0, 1]],
            [[7, 0], [7, 1]],
            [[0, 6], [0, 7]],
            [[7, 6], [7, 7]],
        ]
        # The fifth has three pixels, in the first 16 of 24 steps, or is one pixel further.
        fifth = {"corner": [[0, 0], [0, 1], [0, 2]], "dash": [[0, 1], [0, 2]]}
        assert places[4] == fifth[pattern]
        assert seen[4].any(axis=(1, 2, 3)).sum() == {"corner": 16, "dash": 24}[pattern]


def test_a_moving_dash_has_few_events_per_pixel_and_one_polarity():
    empty = np.zeros((24, 2, 8, 16))
    empty[0, 0, 4, 4] = 1
    attack = DVSPattern(Bound("events", 48), 8, 0, "moving-dash", dwell_steps=5)
    _, seen = queried(attack, empty)
    for sample in seen:
        inserted = sample - empty
        assert inserted.sum() == 48
        assert inserted.sum(axis=(0, 1)).max() <= 5
        assert (inserted.sum(axis=(0, 2, 3)) > 0).sum() == 1
        assert (inserted.sum(axis=(1, 2, 3)) == 2).all()


def test_positions_are_at_the_border():
    corner = pattern_positions("corner", 34, 34)
    assert len(corner) == 5 * 4 * 16
    assert {row for pixels in corner for row, _ in pixels} == {*range(5), *range(29, 34)}
    assert len(corner[-1]) == 17
    assert all(len(pixels) == 2 for pixels in pattern_positions("dash", 34, 34))
    frame = pattern_positions("frame", 4, 3)
    assert frame[0][:4] == ((0, 0), (0, 1), (0, 2), (1, 2))
    assert len(frame) == 10
    assert all(sorted(pixels) == sorted(frame[0]) for pixels in frame)


@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 9), (5, 2)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_small_sensors(pattern, sides):
    for pixels in pattern_positions(pattern, *sides):
        assert pixels
        assert all(0 <= row < sides[0] and 0 <= column < sides[1] for row, column in pixels)
    sample = np.zeros((6, *sides))
    found, _ = queried(DVSPattern(Bound("events", 4), 20, 0, pattern), sample)
    assert found.queries == 20


def test_labels_suffice_and_the_budget_holds():
    attack = DVSPattern(Bound("events", 0.2), 100)
    found, seen = queried(attack, response="labels", budget=70)
    assert found.queries == len(seen) == 70
    assert attack.kind == "decision"
    again, _ = queried(attack, response="labels", budget=70)
    np.testing.assert_array_equal(found.adversarial, again.adversarial)


def test_other_bounds_shapes_and_settings_are_refused():
    for bound in (L2(1.0), L0(5), Bound("jitter", 2), Bound("deletions", 0.1)):
        target, seen = recorder()
        with pytest.raises(UnsupportedFeatureError, match=bound.norm):
            DVSPattern(bound).run(target, SPARSE, Goal(0))
        assert not seen
    target, seen = recorder()
    with pytest.raises(UnsupportedFeatureError, match=r"dvs-pattern.*without patch_px"):
        DVSPattern(Bound("events", 0.1, patch_px=5)).run(target, SPARSE, Goal(0))
    assert not seen
    with pytest.raises(UnsupportedFeatureError, match="norm 'deletions'"):
        make_attack("dvs-pattern", Bound("deletions", 0.1), 10, 0)
    with pytest.raises(UnsupportedFeatureError, match=r"expected \(steps, \.\.\., rows, columns"):
        queried(DVSPattern(Bound("events", 0.1)), np.zeros((24, 30)))
    with pytest.raises(UnknownNameError, match="did you mean 'corner'"):
        DVSPattern(Bound("events", 0.1), pattern="cornre")
    with pytest.raises(ValidationError, match="dwell_steps"):
        DVSPattern(Bound("events", 0.1), dwell_steps=0)
