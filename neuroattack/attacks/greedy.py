"""Algorithm 1 of Marchisio et al. (2020): greedy pixel changes in a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.perception import Window, distance, standard_deviation
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult, Step
from neuroattack.encoding.readout import decide, spike_fractions
from neuroattack.errors import QueryRefusedError, UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.targets.defenses import QueryLimited
from neuroattack.validation import check_integer, check_positive

__all__ = ["GreedyWindow"]

Clipping = Literal["clip", "skip"]
SdOf = Literal["original", "current"]
Overshoot = Literal["discard", "keep"]
Score = Literal["fraction", "rate"]


class _Moves(NamedTuple):
    """Possible changes of single pixels, one entry per change, in row-major pixel order."""

    pixel: NDArray[np.intp]
    intensity: NDArray[np.float64]
    images: NDArray[np.float64]

    def none(self) -> _Moves:
        """Return an empty set of changes."""
        return _Moves(self.pixel[:0], self.intensity[:0], self.images[:0])


@dataclass(frozen=True, eq=False, kw_only=True)
class GreedySearchResult(SearchResult):
    """Result of a search by Algorithm 1.

    Parameters
    ----------
    window : Window
        Window of the search.
    best_iteration : int
        Iteration of largest gap within the bound, the first of equals.

    `trace` contains all iterations, the clean image first; it is empty if the budget does not
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

    Each iteration queries the current image and, for each pixel of the window, the image with this
    pixel changed by +delta and by -delta: one batch of at most ``2 N^2 + 1`` queries with one
    trial each. Each pixel's direction is the one with the larger gap; its priority is the increase
    in gap times the pixel's SD. The M pixels of highest priority are then changed by delta, whether
    or not the gap increases, until the distance D reaches its maximum.

    Choices that the paper leaves open are parameters or stated in the notes.

    Parameters
    ----------
    bound : Bound, optional
        Norm bound on the returned image; it does not restrict the search. By default D_max is the
        only bound, as in the paper.
    queries : int or None, optional
        Maximum number of queries; None for the target's whole budget.
    seed : int, optional
        No effect: the algorithm is deterministic.
    window : int or Window, optional
        Area A of N x N pixels: the side N of a window in the center of the image, or a window,
        also as a mapping of top, left and size.
    moved_pixels : int, optional
        Number M of pixels changed per iteration, 1 to N^2.
    delta : float, optional
        Change of a pixel, in intensities of [0, 1]. The paper does not give the "perturbation
        unit" of the changes it tests; here it is delta too.
    max_distance : float, optional
        Maximum distance D_max of Eq. 4.
    score : {"fraction", "rate"}, optional
        P of Eq. 3: the output spike fraction of a class (the paper's percentages), or its spike
        count divided by `steps`, which does not depend on other classes.
    steps : int, optional
        Number of time steps T, for the score ``"rate"``.
    sd_of : {"original", "current"}, optional
        Image whose SD is used in priorities and D: the clean image, or (another reading of
        Algorithm 1) the current image of each iteration.
    clipping : {"clip", "skip"}, optional
        Whether changes beyond [0, 1] are clipped or excluded. Saturated pixels are excluded in
        either case.
    overshoot : {"discard", "keep"}, optional
        Whether the first image with D above its maximum is discarded, as in Eq. 4 and the paper's
        tables, or kept, as in the pseudocode.
    max_iterations : int, optional
        Maximum number of iterations. The paper has none, but its loop may not terminate, because
        changes up and down can cancel.

    Notes
    -----
    - Pixels of SD 0 are never changed, because D would be infinite.
    - Ties: for equal gaps the pixel is increased, as in the pseudocode; for equal priorities the
      first pixel in row-major order is changed first.
    - The best iteration is the one of largest gap in its single trial. On a stochastic target
      this gap is biased upward; measure the success rate with
      :func:`~neuroattack.attacks.result.verify`.
    - The search ends if the budget does not cover another iteration. If it does not cover the
      first one, no query is made and the clean image is returned.

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
            check_integer("queries of an attack", self.queries, 1)
        if isinstance(self.window, Mapping):
            # From a settings file or the command line.
            object.__setattr__(self, "window", _window(self.window))
        side = self._side
        check_integer("window size", side, 1)
        check_integer(f"moved pixels M of a {side} x {side} window", self.moved_pixels, 1, side**2)
        check_positive("delta", self.delta)
        check_positive("maximum distance D_max", self.max_distance)
        if self.delta > 1:
            raise ValidationError("delta", self.delta, "at most 1, the whole intensity range")
        check_integer("steps", self.steps, 1)
        check_integer("maximum iterations", self.max_iterations, 1)
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
        """``"score"``."""
        return "score"

    @property
    def max_queries_per_iteration(self) -> int:
        """Maximum number of queries per iteration: ``2 N^2 + 1``."""
        return 1 + 2 * self._side**2

    @property
    def _side(self) -> int:
        return self.window.size if isinstance(self.window, Window) else self.window

    def window_in(self, shape: tuple[int, ...]) -> Window:
        """Return the window for an image shape; raise ValidationError if it does not fit."""
        if not isinstance(self.window, Window):
            return Window.centered(shape, self.window)
        self.window.check_inside(shape)
        return self.window

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Raise UnsupportedFeatureError unless images are two-dimensional and hold the window."""
        del n_classes
        if len(image_shape) != 2:
            raise UnsupportedFeatureError(
                f"attack 'greedy-window': got images of shape {image_shape}, expected "
                "(height, width), as its window is a square of pixels; use another attack"
            )
        try:
            self.window_in(image_shape)
        except ValidationError as error:
            raise UnsupportedFeatureError(f"attack 'greedy-window': {error}") from error

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
            Black box to query.
        image : float array, shape (height, width)
            Clean image, intensities in [0, 1].
        goal : Goal
            True class and optional target class.
        on_step : callable, optional
            Called with each :class:`~neuroattack.attacks.result.Step` after its queries.

        Returns
        -------
        GreedySearchResult
            Image of largest gap within the bound, and the trace.

        Raises
        ------
        ValidationError
            If the image, the window or the goal does not fit the target.
        UnsupportedFeatureError
            If the target returns labels, or images do not have the shape (height, width).
        """
        check_kind(self, target)
        self.check_fits(target.image_shape, target.n_classes)
        original = valid_original(target, image, goal)
        if self.queries is not None:
            target = QueryLimited(target, self.queries)
        return _Search(self, target, original, goal).run(on_step)


class _Search:
    """State of one search."""

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

    def run(self, on_step: Callable[[Step], None] | None) -> GreedySearchResult:
        enough = _affordable(self._target, self._attack.max_queries_per_iteration)
        stopped_by = self._iterate(on_step) if enough else "budget"
        history, best = [Incumbent(self._original, -np.inf, 0)], 0
        bound = self._attack.bound
        for step, image in zip(self._trace, self._images, strict=True):
            if step.gap > history[-1].gap and (bound is None or bound.holds(self._original, image)):
                history.append(Incumbent(image, step.gap, step.queries))
                best = step.iteration
        return GreedySearchResult(
            self._original,
            history[-1].image,
            self._goal,
            self._trace[-1].queries if self._trace else 0,
            stopped_by,
            tuple(history),
            tuple(self._trace),
            window=self._window,
            best_iteration=best,
        )

    def _iterate(self, on_step: Callable[[Step], None] | None) -> str:
        """Run all iterations; return the reason for the end of the search."""
        attack, target, original = self._attack, self._target, self._original
        current, current_distance = original, 0.0
        moved: tuple[tuple[int, int, float], ...] = ()
        queries_before = target.queries
        stopped_by = ""
        while True:
            sd = self._sd(current)
            moves = self._moves(current, sd)
            if stopped_by:
                moves = moves.none()
            elif not _affordable(target, 1 + len(moves.pixel)):
                stopped_by, moves = "budget", moves.none()
            if not _affordable(target, 1):
                return stopped_by
            try:
                counts = target.query(np.concatenate([current[None], moves.images]))
            except QueryRefusedError:
                return "refused"
            gaps = self._goal.gap(self._scores(counts))
            self._images.append(current)
            step = Step(
                iteration=len(self._trace),
                predicted=int(decide(counts[:1])[0]),
                spike_fractions=tuple(spike_fractions(counts[:1])[0].tolist()),
                gap=float(gaps[0]),
                distance=current_distance,
                moved=moved,
                queries=target.queries - queries_before,
            )
            self._trace.append(step)
            if on_step:
                on_step(step)
            if stopped_by:
                return stopped_by
            if not len(moves.pixel):
                return "no candidates"
            current, moved = self._move(current, moves, gaps[1:] - gaps[0], sd)
            current_distance = self._distance(current)
            if current_distance >= attack.max_distance:
                stopped_by = "distance"
                if current_distance > attack.max_distance and attack.overshoot == "discard":
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

    def _moves(self, current: NDArray[np.float64], sd: NDArray[np.float64]) -> _Moves:
        values = current[self._window.slices].ravel()
        pixel = np.repeat(np.arange(values.size), 2)
        # Up before down, so that ties are resolved in favor of an increase.
        intended = values[pixel] + np.tile([self._attack.delta, -self._attack.delta], values.size)
        intensity = np.clip(intended, 0.0, 1.0)
        possible = (intensity != values[pixel]) & (sd.ravel()[pixel] > 0)
        if self._attack.clipping == "skip":
            possible &= intensity == intended
        pixel, intensity = pixel[possible], intensity[possible]
        images = np.repeat(current[None], len(pixel), axis=0)
        row, column = np.divmod(pixel, self._window.size)
        images[np.arange(len(pixel)), row + self._window.top, column + self._window.left] = (
            intensity
        )
        return _Moves(pixel, intensity, images)

    def _move(
        self,
        current: NDArray[np.float64],
        moves: _Moves,
        gain: NDArray[np.float64],
        sd: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], tuple[tuple[int, int, float], ...]]:
        """Change the M pixels of highest priority, each in its better direction."""
        priority = gain * sd.ravel()[moves.pixel]
        chosen: list[int] = []
        pixels: set[int] = set()
        for index in np.argsort(-priority, kind="stable"):
            pixel = int(moves.pixel[index])
            if pixel not in pixels:
                pixels.add(pixel)
                chosen.append(int(index))
            if len(chosen) == self._attack.moved_pixels:
                break
        image = current.copy()
        moved = []
        for index in chosen:
            row, column = divmod(int(moves.pixel[index]), self._window.size)
            position = (row + self._window.top, column + self._window.left)
            image[position] = moves.intensity[index]
            moved.append((*position, float(image[position] - current[position])))
        return image, tuple(moved)


def _affordable(target: Target, queries: int) -> bool:
    return target.remaining is None or queries <= target.remaining


def _window(values: Mapping[str, Any]) -> Window:
    if sorted(values) != ["left", "size", "top"]:
        raise ValidationError(
            "window",
            dict(values),
            "a side, or a table such as {top=4, left=4, size=7}",
        )
    return Window(**values)
