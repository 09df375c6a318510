"""Algorithm 1 on targets with known counts, compared with the pseudocode of the paper."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import verify
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import BlackBox

SHAPE = (9, 9)
CLASSES = 4


def linear_target(seed=0, budget=None, scale=1000):
    """Return a target with linear counts, and its counts as a function of an image."""
    weights = np.random.default_rng(seed).random((81, CLASSES))

    def answer(rows):
        return np.rint(scale * rows @ weights).astype(np.int32)

    return BlackBox(answer, SHAPE, CLASSES, budget), answer


def random_image(seed=1):
    return np.random.default_rng(seed).random(SHAPE)


def algorithm_1(answer, x, window, m, delta, d_max, target_class, iterations, sd_of="original"):
    """Follow the pseudocode pixel by pixel; return every image with its gap and D."""

    def gap(image):
        counts = answer(image.reshape(1, -1))[0]
        p = [c / counts.sum() for c in counts]
        return p[target_class] - max(p[c] for c in range(CLASSES) if c != target_class)

    cells = [
        (window.top + i, window.left + j) for i in range(window.size) for j in range(window.size)
    ]

    def sd_of_cells(image):
        mu = sum(image[c] for c in cells) / len(cells)
        total = sum((image[c] - mu) ** 2 for c in cells)
        return {c: math.sqrt((total - (image[c] - mu) ** 2) / len(cells)) for c in cells}

    adversarial = x.copy()
    found = [(x.copy(), gap(x), 0.0)]
    while len(found) <= iterations:
        base = gap(adversarial)
        sd = sd_of_cells(adversarial if sd_of == "current" else x)
        best = {}
        for c in cells:
            for sign in (1, -1):
                trial = adversarial.copy()
                trial[c] = min(max(trial[c] + sign * delta, 0), 1)
                if trial[c] == adversarial[c]:
                    continue
                priority = (gap(trial) - base) * sd[c]
                if c not in best or priority > best[c][0]:
                    best[c] = (priority, trial[c])
        for c in sorted(best, key=lambda c: -best[c][0])[:m]:
            adversarial[c] = best[c][1]
        sd = sd_of_cells(adversarial if sd_of == "current" else x)
        d = sum(abs(adversarial[c] - x[c]) / sd[c] for c in cells)
        if d > d_max:
            break
        found.append((adversarial.copy(), gap(adversarial), d))
    return found


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.integers(2, 5),
    st.sampled_from(["original", "current"]),
    st.data(),
)
def test_every_iteration_equals_the_pseudocode(seed, image_seed, size, sd_of, data):
    m = data.draw(st.integers(1, size**2))
    window = Window(2, 3, size)
    target, answer = linear_target(seed)
    image = random_image(image_seed)
    attack = GreedyWindow(
        queries=None,
        window=window,
        moved_pixels=m,
        delta=0.1,
        max_distance=6.0,
        max_iterations=15,
        sd_of=sd_of,
    )
    search = attack.run(target, image, Goal(0, 2))
    expected = algorithm_1(answer, image, window, m, 0.1, 6.0, 2, 15, sd_of)
    assert len(search.trace) == len(expected)
    rebuilt = image.copy()
    for step, (made, gap, distance) in zip(search.trace, expected, strict=True):
        for row, column, change in step.moved:
            rebuilt[row, column] += change
        np.testing.assert_allclose(rebuilt, made, atol=1e-12)
        assert step.gap == pytest.approx(gap)
        assert step.distance == pytest.approx(distance)
    best = max(range(len(expected)), key=lambda i: (expected[i][1], -i))
    assert search.best_iteration == best
    np.testing.assert_allclose(search.adversarial, expected[best][0], atol=1e-12)


def test_ties_raise_the_pixel_and_take_the_first_in_row_major_order():
    # Constant counts: all gaps are equal, so that only the rules for ties matter.
    target = BlackBox(
        lambda rows: np.tile(np.array([[5, 3, 1, 0]], np.int32), (len(rows), 1)), SHAPE, CLASSES
    )
    image = np.full(SHAPE, 0.5)
    image[8, 8] = 0.7
    attack = GreedyWindow(
        queries=None, window=Window(4, 4, 5), moved_pixels=3, max_iterations=1, max_distance=1e6
    )
    step = attack.run(target, image, Goal(0, 1)).trace[1]
    assert [(row, column) for row, column, _ in step.moved] == [(4, 4), (4, 5), (4, 6)]
    assert all(change > 0 for *_, change in step.moved)


def test_a_step_is_one_batch_of_at_most_2n2_plus_1_queries():
    batches = []
    _, answer = linear_target()
    target = BlackBox(lambda rows: (batches.append(len(rows)), answer(rows))[1], SHAPE, CLASSES)
    image = np.clip(random_image(), 0.2, 0.8)
    search = GreedyWindow(queries=None, window=Window(0, 0, 5), max_distance=2.0).run(
        target, image, Goal(0, 1)
    )
    assert batches[0] == 2 * 25 + 1
    assert search.queries == sum(batches)
    assert [step.queries for step in search.trace] == np.cumsum(batches).tolist()


def test_only_the_window_changes_and_trace_distances_are_correct():
    target, _ = linear_target()
    image = random_image()
    search = GreedyWindow(queries=None, window=Window(4, 4, 5), max_distance=8.0).run(
        target, image, Goal(0, 3)
    )
    outside = np.ones(SHAPE, bool)
    outside[4:9, 4:9] = False
    np.testing.assert_array_equal(search.adversarial[outside], image[outside])
    assert all(step.distance <= 8.0 for step in search.trace)
    assert search.trace[0].distance == 0
    assert 0 <= search.adversarial.min() <= search.adversarial.max() <= 1


def test_overshoot_keep():
    target, _ = linear_target()
    attack = GreedyWindow(queries=None, window=Window(4, 4, 5), max_distance=1.0, overshoot="keep")
    search = attack.run(target, random_image(), Goal(0, 3))
    assert search.stopped_by == "distance"
    assert search.trace[-1].distance > 1.0
    assert all(step.distance < 1.0 for step in search.trace[:-1])


@pytest.mark.parametrize("level", [0, 51, 77, 128, 254])
def test_pixels_of_sd_zero_are_never_moved(level):
    target, _ = linear_target()
    search = GreedyWindow(queries=None, window=Window(0, 0, 5)).run(
        target, np.full(SHAPE, level / 255), Goal(0, 1)
    )
    assert search.stopped_by == "no candidates"
    assert search.queries == 1


def test_saturated_pixels_and_skipped_changes():
    image = np.where(np.arange(81).reshape(SHAPE) % 2 == 0, 1.0, 0.05)
    # Half of the 16 pixels of the window are white and can only decrease.
    for clipping, of_dark in (("clip", {0.1, -0.05}), ("skip", {0.1})):
        target, _ = linear_target()
        attack = GreedyWindow(
            queries=None,
            window=Window(0, 0, 4),
            moved_pixels=16,
            clipping=clipping,
            max_iterations=3,
            max_distance=1e6,
        )
        search = attack.run(target, image, Goal(0, 1))
        assert search.trace[0].queries == 1 + 8 + 8 * len(of_dark)
        changes = {(row, column): change for row, column, change in search.trace[1].moved}
        assert len(changes) == 16
        for pixel, change in changes.items():
            assert round(change, 12) in ({-0.1} if image[pixel] == 1 else of_dark)
        if clipping == "skip":
            sizes = [abs(change) for step in search.trace for *_, change in step.moved]
            np.testing.assert_allclose(sizes, 0.1)


def test_untargeted_gap_is_best_wrong_score_minus_true_score():
    scores = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    np.testing.assert_allclose(Goal(0).gap(scores), [-0.2, 0.7])
    np.testing.assert_allclose(Goal(0, 2).gap(scores), [-0.2, -0.7])


def test_rate_score_ignores_the_other_classes_spikes():
    # Pixel (0, 0) adds spikes to a class that is neither the target nor the best other class.
    def answer(rows):
        idle = np.rint(100 * rows[:, 0])
        return np.stack([np.full(len(rows), 30), np.full(len(rows), 20), idle], 1).astype(np.int32)

    image = np.zeros((2, 2))
    image[1, 1] = 1.0
    for score, expected in (("rate", 0.0), ("fraction", 1 / 5 - 10 / 60)):
        target = BlackBox(answer, (2, 2), 3)
        attack = GreedyWindow(
            queries=None,
            window=Window(0, 0, 2),
            moved_pixels=1,
            score=score,
            steps=100,
            max_iterations=1,
        )
        search = attack.run(target, image, Goal(0, 1))
        assert search.trace[1].gap - search.trace[0].gap == pytest.approx(expected)


def test_the_budget_ends_the_search():
    image = np.clip(random_image(), 0.3, 0.7)
    for budget, iterations in ((51, 1), (52, 2), (101, 2), (102, 2), (103, 3)):
        target, _ = linear_target(budget=budget)
        search = GreedyWindow(queries=None, window=Window(0, 0, 5)).run(target, image, Goal(0, 1))
        assert (search.stopped_by, len(search.trace)) == ("budget", iterations)
        assert target.queries <= budget
        held = GreedyWindow(queries=budget, window=Window(0, 0, 5)).run(
            linear_target()[0], image, Goal(0, 1)
        )
        np.testing.assert_array_equal(held.adversarial, search.adversarial)
    target, _ = linear_target(budget=50)
    search = GreedyWindow(queries=None, window=Window(0, 0, 5)).run(target, image, Goal(0, 1))
    assert (search.stopped_by, search.queries, target.queries) == ("budget", 0, 0)
    np.testing.assert_array_equal(search.adversarial, image)


def test_changes_that_cancel_end_at_max_iterations():
    rng = np.random.default_rng(0)
    target = BlackBox(
        lambda rows: rng.integers(0, 50, (len(rows), CLASSES)).astype(np.int32), SHAPE, CLASSES
    )
    attack = GreedyWindow(queries=None, window=Window(0, 0, 5), max_distance=1e9, max_iterations=7)
    search = attack.run(target, random_image(), Goal(0, 1))
    assert (search.stopped_by, len(search.trace)) == ("iterations", 8)


def test_a_tie_is_not_a_success():
    counts = np.array([[5, 5, 0, 0], [0, 0, 0, 0], [0, 9, 1, 0], [9, 1, 0, 0]], np.int32)
    assert Goal(0).reached(counts).tolist() == [False, False, True, False]
    assert Goal(0, 1).reached(counts).tolist() == [False, False, True, False]
    assert Goal(0, 2).reached(counts).tolist() == [False, False, False, False]


def test_verification_counts_trials_and_gives_the_wilson_interval():
    answers = np.array([[0, 1], [1, 0]], np.int32)
    target = BlackBox(lambda rows: answers[np.arange(len(rows)) % 2], SHAPE, 2)
    found = verify(target, random_image(), Goal(0), 50)
    assert (found.successes, found.trials, target.queries, found.rate) == (25, 50, 50, 0.5)
    # Wilson's interval for 25 of 50, to four places (Agresti and Coull 1998's formula).
    assert found.ci95 == pytest.approx((0.3664, 0.6336), abs=5e-5)
    with pytest.raises(ValidationError, match="verification trials: got 0"):
        verify(target, random_image(), Goal(0), 0)
    common = BlackBox(lambda rows: answers[[0] * len(rows)], SHAPE, 2, randomness="shared")
    with pytest.raises(ValidationError, match="got 'shared', expected 'independent'"):
        verify(common, random_image(), Goal(0), 50)
    assert common.queries == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"moved_pixels": 26}, "moved pixels M of a 5 x 5 window: got 26"),
        ({"moved_pixels": 0}, "moved pixels M of a 5 x 5 window: got 0"),
        ({"moved_pixels": 2.5}, "moved pixels M of a 5 x 5 window: got 2.5"),
        ({"delta": 0.0}, "delta: got 0.0"),
        ({"delta": float("nan")}, "delta: got nan"),
        ({"delta": 1.5}, "delta: got 1.5, expected at most 1"),
        ({"max_distance": -1.0}, "D_max"),
        ({"score": "margin"}, "score: got 'margin', expected fraction or rate"),
        ({"max_iterations": 0}, "maximum iterations: got 0"),
    ],
)
def test_impossible_parameters_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        GreedyWindow(queries=None, window=Window(0, 0, 5), **changes)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal(7), "label: got 7, expected a class from 0 to 3"),
        (Goal(0, 4), "target class: got 4"),
        (Goal(1, 1), "target class: got 1"),
    ],
)
def test_impossible_goals_are_refused(goal, message):
    target, _ = linear_target()
    with pytest.raises(ValidationError, match=message):
        GreedyWindow(queries=None, window=Window(0, 0, 5)).run(target, random_image(), goal)
    assert target.queries == 0
