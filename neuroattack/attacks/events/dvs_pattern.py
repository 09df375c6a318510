"""Patterns of DVS-Attacks: events along the border of the sensor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.events.changes import changed_events
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import SearchResult
from neuroattack.attacks.search.proposals import best_proposal
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["DVSPattern", "Pattern", "pattern_positions"]

Pattern = Literal["frame", "corner", "dash", "moving-dash"]
"""Pattern of inserted events."""

Pixels = tuple[tuple[int, int], ...]
"""Rows and columns of pixels."""

_NORMS = ("events", "insertions")


@dataclass(frozen=True)
class DVSPattern:
    """Patterns of DVS-Attacks, Marchisio et al., IJCNN 2021 (arXiv 2107.00415).

    They insert events at the border of the sensor, where they attract little attention:

    - ``frame``: all pixels of the border;
    - ``corner``: two pixels in a corner, in the order top left, bottom left, top right, bottom
      right; then three pixels, and so on, up to half a row, and the same in the next row;
    - ``dash``: two adjacent pixels, which start in the corners and move to the middle of the row
      from query to query;
    - ``moving-dash``: the mask filter-aware dash of the paper. It has one polarity and moves by two
      pixels whenever it has stayed for some steps, so that no pixel has many events.

    In the paper, all pixels of a pattern have events of both polarities in all steps. The frame is
    inserted without a query; the others are inserted one after the other until the sample is
    misclassified, without using the counts. Here, the number of events is bounded. They are
    inserted step by step from an onset, and continue at the beginning of the sample after its last
    step. If the bound allows more events than a pattern has, those of the following position are
    added. Each query is the next position; the onset is the first step until all positions were
    queried, then random. Because targets are random, the search does not end with the first
    success: the sample of largest gap in its single trial is returned.

    Parameters
    ----------
    bound : Bound
        Bound on ``events`` or ``insertions``, without a patch; with another one, the attack raises
        an error before the first query.
    queries : int, optional
        Maximum number of queries.
    seed : int, optional
        Random seed of the onsets.
    pattern : {"frame", "corner", "dash", "moving-dash"}, optional
        Pattern of inserted events.
    dwell_steps : int, optional
        For ``moving-dash``: number of time steps that the dash stays at each position.

    Raises
    ------
    ValidationError, UnknownNameError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0
    pattern: Pattern = "dash"
    dwell_steps: int = 10

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        check_integer("dwell_steps", self.dwell_steps, 1)
        if self.pattern not in get_args(Pattern):
            raise UnknownNameError("pattern", self.pattern, get_args(Pattern))

    @property
    def supports_events(self) -> bool:
        """Whether the bound is on inserted events."""
        return self.bound.norm in _NORMS

    @property
    def name(self) -> str:
        """``"dvs-pattern"``."""
        return "dvs-pattern"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: labels suffice."""
        return "decision"

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Raise an error if the bound is not on insertions, or samples have no rows and columns.

        Raises
        ------
        UnsupportedFeatureError
            If the bound is on another distance, such as one of images, or has a patch, or the shape
            does not fit.
        """
        del n_classes
        if self.bound.norm not in _NORMS:
            raise UnsupportedFeatureError(
                f"attack {self.name!r} inserts events: got a bound on {self.bound.norm}, expected "
                f"one on {' or '.join(_NORMS)}"
            )
        if self.bound.patch_px:
            raise UnsupportedFeatureError(
                f"attack {self.name!r} inserts events along the whole border: got the bound "
                f"{self.bound}, expected one without patch_px"
            )
        if len(image_shape) < 3:
            raise UnsupportedFeatureError(
                f"attack {self.name!r}: got samples of shape {image_shape}, expected "
                "(steps, ..., rows, columns)"
            )

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial sample; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        self.check_fits(target.image_shape, target.n_classes)
        original = valid_original(target, image, goal, self.bound)
        rng = np.random.default_rng(self.seed)
        positions = pattern_positions(self.pattern, *original.shape[-2:])

        def propose(query: int) -> NDArray[np.float64]:
            onset = 0 if query < len(positions) else int(rng.integers(len(original)))
            first = query % len(positions)
            order = positions[first:] + positions[:first]
            return self._inserted(original, order, onset)

        return best_proposal(target, original, goal, self.bound, self.queries, propose)

    def _inserted(
        self, original: NDArray[np.float64], positions: list[Pixels], onset: int
    ) -> NDArray[np.float64]:
        """Return the sample with events at these positions, as many as the bound allows."""
        rows, columns = original.shape[-2:]
        sample: NDArray[np.float64] = original.reshape(len(original), -1, rows, columns).copy()
        left, reach = changed_events(self.bound, original), self.bound.refractory_steps
        for step, channel, row, column in self._cells(sample.shape, positions, onset):
            if not left:
                break
            around = sample[max(step - reach, 0) : step + reach + 1, channel, row, column]
            if not around.any():
                sample[step, channel, row, column] = 1
                left -= 1
        return sample.reshape(original.shape)

    def _cells(
        self, shape: tuple[int, ...], positions: list[Pixels], onset: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield step, channel, row and column of events, in the order of insertion."""
        steps, channels, _, columns = shape
        seen: set[tuple[int, int]] = set()
        for pixels in positions:
            new = [pixel for pixel in pixels if pixel not in seen]
            seen.update(new)
            for k, (row, start) in itertools.product(range(steps), new):
                step = (onset + k) % steps
                if self.pattern != "moving-dash":
                    for channel in range(channels):
                        yield step, channel, row, start
                    continue
                is_left = start < columns / 2
                moved = 2 * (k // self.dwell_steps) * (1 if is_left else -1)
                yield step, (1 if is_left else 0) % channels, row, (start + moved) % columns


def pattern_positions(pattern: Pattern, rows: int, columns: int) -> list[Pixels]:
    """Return the pixels of a pattern at each of its positions, in the published order.

    The positions of a frame are its border, clockwise, with another first pixel each. The other
    patterns are in the outer eighth of the rows, as in the experiments on N-MNIST.
    """
    if pattern == "frame":
        border = [(0, column) for column in range(columns)]
        border += [(row, columns - 1) for row in range(1, rows)]
        border += [(rows - 1, column) for column in reversed(range(columns - 1))]
        border += [(row, 0) for row in reversed(range(1, rows - 1))]
        border = list(dict.fromkeys(border))
        return [(*border[first:], *border[:first]) for first in range(len(border))]
    positions = []
    for inset in range(-(-rows // 8)):
        for length in range(2, max(columns // 2, 2) + 1):
            first = 0 if pattern == "corner" else length - 2
            run = range(first, min(length, columns))
            for is_left, row in itertools.product((True, False), (inset, rows - 1 - inset)):
                positions.append(
                    tuple((row, column if is_left else columns - 1 - column) for column in run)
                )
    return list(dict.fromkeys(positions))
