"""Layout and look of events in pictures: planes, polarities, changes and time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.report.style import BLUE, INK, OTHERS, SMALL_PT, VERMILION

__all__ = ["CHANGES", "DENSE", "Pair", "change_keys", "draw_marks", "legend_below"]

CHANGES: dict[str, dict[str, Any]] = {
    "inserted": {"marker": "o", "zorder": 4},
    "deleted": {"marker": "x", "zorder": 3},
}
"""Markers of changed events; their color is that of the polarity.

Rings do not hide the crosses of events that are deleted at the same place."""

DENSE = 2000
"""Number of markers from which an SVG contains them as pixels, because pages would be large."""

_POLARITIES = (("ON", BLUE), ("OFF", VERMILION))


@dataclass(frozen=True, eq=False)
class Pair:
    """Clean event sample with an adversarial one, as arrays of steps, channels, rows and columns.

    Parameters
    ----------
    original : array of zeros and ones, shape (steps, ...)
        Clean sample. The last two axes are rows and columns, those between are channels. Samples
        of units, shape (steps, units), have one row.
    adversarial : array of the same shape, optional
        Adversarial sample.
    dt_s : float, optional
        Length of a time step in seconds; without it, times are in steps.

    Raises
    ------
    ValidationError
        If a sample has no axis of neurons, or the shapes differ.
    """

    original: NDArray[Any]
    adversarial: NDArray[Any] | None = None
    dt_s: float | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.original)
        if len(shape) < 2 or 0 in shape:
            raise ValidationError("event sample", f"shape {shape}", "(steps, ...), not empty")
        if self.adversarial is not None and np.shape(self.adversarial) != shape:
            raise ValidationError(
                "adversarial event sample", f"shape {np.shape(self.adversarial)}", f"{shape}"
            )

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """Clean sample, shape (steps, channels, rows, columns)."""
        return _planes(self.original)

    @cached_property
    def attacked(self) -> NDArray[np.bool_] | None:
        """Adversarial sample in the same shape."""
        return None if self.adversarial is None else _planes(self.adversarial)

    @property
    def samples(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Names and samples: the clean one, and the adversarial one if there is one."""
        found = [("Clean", self.clean)]
        return found if self.attacked is None else [*found, ("Adversarial", self.attacked)]

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return len(self.clean)

    @property
    def polarities(self) -> tuple[tuple[str, str], ...]:
        """Name and color per polarity: two for two channels, one otherwise."""
        return _POLARITIES if self.clean.shape[1] == 2 else (("events", BLUE),)

    @property
    def height(self) -> float:
        """Height of a frame relative to its width; a row of units is stretched."""
        rows, columns = self.clean.shape[-2:]
        return float(min(max(rows / columns, 0.3), 2.0))

    @property
    def aspect(self) -> Literal["auto", "equal"]:
        """Aspect of a frame's pixels."""
        return "equal" if 0.3 <= self.clean.shape[-2] / self.clean.shape[-1] <= 2.0 else "auto"

    @property
    def scale(self) -> float:
        """Length of a time step in :attr:`unit`."""
        return 1.0 if self.dt_s is None else self.dt_s * 1e3

    @property
    def unit(self) -> str:
        """Unit of times."""
        return "steps" if self.dt_s is None else "ms"

    def windows(self, count: int) -> list[slice]:
        """Return `count` time windows of equal length, or one per step if there are fewer steps."""
        edges = np.linspace(0, self.steps, min(count, self.steps) + 1).round().astype(int)
        return [slice(first, end) for first, end in itertools.pairwise(edges.tolist())]

    def span(self, window: slice) -> str:
        """Return a time window as text."""
        first, end = window.start * self.scale, window.stop * self.scale
        return f"{first:.4g}\u2013{end:.4g} {self.unit}"

    def changes(self, window: slice = slice(None)) -> dict[str, NDArray[np.bool_]]:
        """Return the inserted and the deleted events within a time window."""
        clean = self.clean[window]
        attacked = clean if self.attacked is None else self.attacked[window]
        return {"inserted": attacked & ~clean, "deleted": clean & ~attacked}


def _planes(sample: NDArray[Any]) -> NDArray[np.bool_]:
    array = np.asarray(sample) > 0
    shape = array.shape[1:] if array.ndim > 2 else (1, array.shape[1])
    return array.reshape(len(array), -1, *shape[-2:])


def draw_marks(
    axes: Axes, kind: str, x: NDArray[Any], y: NDArray[Any], color: str, size_pt: float
) -> Any:
    """Draw inserted or deleted events, and return the markers."""
    colors: dict[str, Any] = {"color": color}
    if kind == "inserted":
        colors = {"facecolors": "none", "edgecolors": color}
    else:
        # The arms of a cross reach out of a ring at the same place.
        size_pt *= 1.25
    return axes.scatter(
        x,
        y,
        size_pt**2,
        linewidths=min(1.4, 0.32 * size_pt),
        rasterized=len(x) > DENSE,
        **colors,
        **CHANGES[kind],
    )


def change_keys() -> list[Any]:
    """Return entries of a legend for unchanged, inserted and deleted events."""
    size: dict[str, Any] = {"markersize": 5, "markeredgewidth": 1.4}
    return [
        _entry("unchanged", color=OTHERS, marker="s", markersize=4.5),
        _entry("inserted", color=INK, marker="o", markerfacecolor="none", **size),
        _entry("deleted", color=INK, marker="x", **size),
    ]


def _entry(label: str, **look: Any) -> Line2D:
    return Line2D([], [], linestyle="none", label=label, **look)


def legend_below(
    figure: Figure, handles: Sequence[Line2D | Patch], loc: Any = "outside lower center"
) -> None:
    """Draw a legend in one line below all panels."""
    figure.legend(
        handles=list(handles),
        loc=loc,
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL_PT,
        labelcolor=INK,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.4,
    )
