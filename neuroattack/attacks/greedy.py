"""Algorithm 1 of the paper: greedy moves of the most promising pixels of a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.perception import Window, distance, standard_deviation
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, Incumbent, SearchResult, Step
from neuroattack.encoding.readout import decide, spike_fractions
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.targets.defenses import QueryLimited
from neuroattack.validation import check_positive, check_whole

__all__ = ["GreedyWindow"]

Clipping = Literal["clip", "skip"]
SdOf = Literal["original", "current"]
Overshoot = Literal["discard", "keep"]
Score = Literal["fraction", "rate"]


class _Trials(NamedTuple):
    """Single-pixel moves that are possible, one entry a move, pixels in row-major order."""

    pixel: NDArray[np.intp]
    reached: NDArray[np.float64]
    images: NDArray[np.float64]

    def none(self) -> _Trials:
        """Return no trials, of the same shapes."""
        return _Trials(self.pixel[:0], self.reached[:0], self.images[:0])


@dataclass(frozen=True, eq=False, kw_only=True)
class GreedySearchResult(SearchResult):
    """Result of a search by Algorithm 1.

    Parameters
    ----------
    window : Window
        Pixels that the search could move.
    best_iteration : int
        Iteration of highest gap, the earliest of equals.

    Its `trace` has all iterations, the clean image first; it is empty where the budget does not
    cover the first iteration.
    """

    window: Window
    best_iteration: int

    @property
    def best(self) -> Step:
        """The best iteration."""
        return self.trace[self.best_iteration]


@dataclass(frozen=True)
class GreedyWindow:
    """Algorithm 1 of Marchisio et al., "Is Spiking Secure?", IJCNN 2020.

    Every iteration measures the image's gap, and the gap with each pixel of the window moved
    alone by +delta and by -delta, all in one batch of at most ``2 N^2 + 1`` queries, one draw
    each, or all under one draw if the target shows batches so. A pixel's direction is the one
    with the larger gap; its priority is that gap's gain times the pixel's SD. The M pixels of
    highest priority are then moved by delta, whether or not their gain is positive, until the
    distance D would pass its maximum.

    The paper leaves choices open; each is a parameter here or stated below.

    Parameters
    ----------
    bound : Bound, optional
        Images beyond it are not returned, whatever the search does; by default D_max is the only
        bound, as in the paper.
    queries : int or None, optional
        Maximum number of queries; None for as many as the target's budget allows.
    seed : int, optional
        Has no effect: the algorithm is deterministic.
    window : int or Window, optional
        The paper's area A of N x N pixels: its side N, for a window in the center of the image,
        or the window itself, also as a mapping of top, left and size.
    moved_pixels : int, optional
        M, pixels moved in an iteration, 1 to N^2.
    delta : float, optional
        Size of a move, in intensities of [0, 1]. The paper's "perturbation unit" of a trial is
        not given; a trial moves its pixel by delta too, so that it tries what is then done.
    max_distance : float, optional
        D_max of Eq. 4.
    score : {"fraction", "rate"}, optional
        P of Eq. 3: a class's share of the output spikes (the paper's percentages), or its spikes
        over `steps`, which does not change when only another class's spikes do.
    steps : int, optional
        Time steps T that counts are divided by where the score is ``"rate"``.
    sd_of : {"original", "current"}, optional
        Image whose SD is used. With ``"original"``, priorities and D weigh a pixel alike
        throughout. Algorithm 1 may also be read as taking SD anew each time: with ``"current"``,
        priorities use the SD of the image that is about to be moved, and the D of an image that
        of the image itself.
    clipping : {"clip", "skip"}, optional
        A move that would leave [0, 1] is cut short there, or is no candidate. A saturated pixel
        is no candidate in its direction under either.
    overshoot : {"discard", "keep"}, optional
        Whether the first image with D above its maximum is dropped, as Eq. 4 and the paper's
        tables have it, or still counts, as its pseudocode has it.
    max_iterations : int, optional
        The paper's loop need not end: moves up and down may cancel for ever.

    Notes
    -----
    - A pixel of SD 0 is never moved: its D would be infinite.
    - Equal gaps up and down: the pixel is raised, as in the pseudocode. Equal priorities: the
      first pixel in row-major order goes first.
    - The best iteration is that of the highest gap in its one draw. On a random target that is
      a lucky draw among many: judge the image by :func:`~neuroattack.attacks.result.verify`.
    - Where the budget does not hold another whole iteration, the search ends with what it has;
      where it does not hold the first one, with the original image and without a query.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound | None = None
    queries: int | None = 2000
    seed: int = 0
    window: int | Window = 7
    moved_pixels: int = 10
    delta: float = 0.1
    max_distance: float = 22.0
    score: Score = "fraction"
    steps: int = 1
    sd_of: SdOf = "original"
    clipping: Clipping = "clip"
    overshoot: Overshoot = "discard"
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.queries is not None:
            check_whole("queries of an attack", self.queries, 1)
        if isinstance(self.window, Mapping):
            # As files and command lines give one.
            object.__setattr__(self, "window", _window(self.window))
        side = self._side
        check_whole("window size", side, 1)
        check_whole(f"moved pixels M of a {side} x {side} window", self.moved_pixels, 1, side**2)
        check_positive("delta", self.delta)
        check_positive("maximum distance D_max", self.max_distance)
        if self.delta > 1:
            raise ValidationError("delta", self.delta, "at most 1, the whole intensity range")
        check_whole("steps", self.steps, 1)
        check_whole("maximum iterations", self.max_iterations, 1)
        for thing, choice, choices in (
            ("score", self.score, Score),
            ("sd_of", self.sd_of, SdOf),
            ("clipping", self.clipping, Clipping),
            ("overshoot", self.overshoot, Overshoot),
        ):
            if choice not in get_args(choices):
                raise ValidationError(thing, repr(choice), " or ".join(get_args(choices)))

    @property
    def name(self) -> str:
        """``"greedy-window"``."""
        return "greedy-window"

    @property
    def kind(self) -> AttackKind:
        """Spike counts."""
        return "score"

    @property
    def most_queries_an_iteration(self) -> int:
        """Queries of an iteration at most: the image, and each pixel of the window moved."""
        return 1 + 2 * self._side**2

    @property
    def _side(self) -> int:
        return self.window.size if isinstance(self.window, Window) else self.window

    def window_in(self, shape: tuple[int, ...]) -> Window:
        """Return the window in images of that shape; ValidationError if it does not fit."""
        if not isinstance(self.window, Window):
            return Window.centred(shape, self.window)
        self.window.check_inside(shape)
        return self.window

    def run(
        self,
        target: Target,
        image: ArrayLike,
        goal: Goal,
        on_step: Callable[[Step], None] | None = None,
    ) -> GreedySearchResult:
        """Search for an adversarial image.

        Parameters
        ----------
        target : Target
            The black box.
        image : float array, shape (height, width)
            The original, intensities in [0, 1].
        goal : Goal
            True class, and target class if there is one.
        on_step : callable, optional
            Called with every :class:`~neuroattack.attacks.result.Step` when it is known.

        Returns
        -------
        GreedySearchResult
            With the image of highest gap of those within the bound, and the trace.

        Raises
        ------
        ValidationError
            If the image, the window or the goal does not fit the target.
        UnsupportedFeatureError
            If the target returns the class alone.
        """
        check_kind(self, target)
        original = valid_original(target, image, goal)
        if self.queries is not None:
            target = QueryLimited(target, self.queries)
        return _Run(self, target, original, goal).whole(on_step)


class _Run:
    """One search: the attack's parameters with the window placed, and what came of it."""

    def __init__(
        self, attack: GreedyWindow, target: Target, original: NDArray[np.float64], goal: Goal
    ) -> None:
        self._attack = attack
        self._target = target
        self._original = original
        self._goal = goal
        self._window = attack.window_in(original.shape)
        self._images: list[NDArray[np.float64]] = []
        self._trace: list[Step] = []

    def whole(self, on_step: Callable[[Step], None] | None) -> GreedySearchResult:
        enough = _affordable(self._target, self._attack.most_queries_an_iteration)
        stopped_by = self._search(on_step) if enough else "budget"
        kept, best = [Incumbent(self._original, -np.inf, 0)], 0
        bound = self._attack.bound
        for step, image in zip(self._trace, self._images, strict=True):
            if step.gap > kept[-1].gap and (bound is None or bound.holds(self._original, image)):
                kept.append(Incumbent(image, step.gap, step.queries))
                best = step.iteration
        return GreedySearchResult(
            self._original,
            kept[-1].image,
            self._goal,
            self._trace[-1].queries if self._trace else 0,
            stopped_by,
            tuple(kept),
            tuple(self._trace),
            window=self._window,
            best_iteration=best,
        )

    def _search(self, on_step: Callable[[Step], None] | None) -> str:
        """Iterate; return why the search ended."""
        attack, target, original = self._attack, self._target, self._original
        current, travelled = original, 0.0
        moved: tuple[tuple[int, int, float], ...] = ()
        queries_before = target.queries
        stopped_by = ""
        while True:
            sd = self._sd(current)
            trials = self._trials(current, sd)
            if stopped_by:
                trials = trials.none()
            elif not _affordable(target, 1 + len(trials.pixel)):
                stopped_by, trials = "budget", trials.none()
            if not _affordable(target, 1):
                return stopped_by
            try:
                counts = target.query(np.concatenate([current[None], trials.images]))
            except QueryRefusedError:
                return "refused"
            gaps = self._goal.gap(self._scores(counts))
            self._images.append(current)
            step = Step(
                iteration=len(self._trace),
                predicted=int(decide(counts[:1])[0]),
                spike_fractions=tuple(spike_fractions(counts[:1])[0].tolist()),
                gap=float(gaps[0]),
                distance=travelled,
                moved=moved,
                queries=target.queries - queries_before,
            )
            self._trace.append(step)
            if on_step:
                on_step(step)
            if stopped_by:
                return stopped_by
            if not len(trials.pixel):
                return "no candidates"
            current, moved = self._move(current, trials, gaps[1:] - gaps[0], sd)
            travelled = self._distance(current)
            if travelled >= attack.max_distance:
                stopped_by = "distance"
                if travelled > attack.max_distance and attack.overshoot == "discard":
                    return stopped_by
            elif len(self._trace) == attack.max_iterations:
                stopped_by = "iterations"

    def _scores(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        attack = self._attack
        return spike_fractions(counts) if attack.score == "fraction" else counts / attack.steps

    def _sd(self, current: NDArray[np.float64]) -> NDArray[np.float64]:
        image = self._original if self._attack.sd_of == "original" else current
        return standard_deviation(image[self._window.slices])

    def _distance(self, current: NDArray[np.float64]) -> float:
        area = self._window.slices
        return distance(current[area], self._original[area], self._sd(current))

    def _trials(self, current: NDArray[np.float64], sd: NDArray[np.float64]) -> _Trials:
        values = current[self._window.slices].ravel()
        pixel = np.repeat(np.arange(values.size), 2)
        # Up before down, so that the first of equal gaps is the raised pixel.
        wanted = values[pixel] + np.tile([self._attack.delta, -self._attack.delta], values.size)
        reached = np.clip(wanted, 0.0, 1.0)
        possible = (reached != values[pixel]) & (sd.ravel()[pixel] > 0)
        if self._attack.clipping == "skip":
            possible &= reached == wanted
        pixel, reached = pixel[possible], reached[possible]
        images = np.repeat(current[None], len(pixel), axis=0)
        row, column = np.divmod(pixel, self._window.size)
        images[np.arange(len(pixel)), row + self._window.top, column + self._window.left] = reached
        return _Trials(pixel, reached, images)

    def _move(
        self,
        current: NDArray[np.float64],
        trials: _Trials,
        gain: NDArray[np.float64],
        sd: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], tuple[tuple[int, int, float], ...]]:
        """Move the M pixels of highest priority, each in its better direction."""
        priority = gain * sd.ravel()[trials.pixel]
        chosen: list[int] = []
        pixels: set[int] = set()
        for trial in np.argsort(-priority, kind="stable"):
            pixel = int(trials.pixel[trial])
            if pixel not in pixels:
                pixels.add(pixel)
                chosen.append(int(trial))
            if len(chosen) == self._attack.moved_pixels:
                break
        image = current.copy()
        moved = []
        for trial in chosen:
            row, column = divmod(int(trials.pixel[trial]), self._window.size)
            place = (row + self._window.top, column + self._window.left)
            image[place] = trials.reached[trial]
            moved.append((*place, float(image[place] - current[place])))
        return image, tuple(moved)


def _affordable(target: Target, queries: int) -> bool:
    return target.remaining is None or queries <= target.remaining


def _window(sides: Mapping[str, Any]) -> Window:
    if sorted(sides) != ["left", "size", "top"]:
        raise ValidationError(
            "window",
            dict(sides),
            "a side, or a table of top, left and size: {top=4, left=4, size=7}",
        )
    return Window(**sides)
