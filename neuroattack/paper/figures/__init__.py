"""Figures of the items, drawn from their results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from neuroattack.paper.networks import DNN, FINE_TUNED, NAMES, SDBN
from neuroattack.report import style as st
from neuroattack.report.style import Look, hollow, key

__all__ = ["LOOKS", "network_keys", "paper_points"]

LOOKS = {
    SDBN: Look(st.BLUE, "o", "-"),
    f"{SDBN}-exact": Look(st.SKY, "s", (0, (4, 1.5))),
    DNN: Look(st.VERMILION, "^", (0, (5, 1.5, 1, 1.5))),
    f"{DNN}-sampled": Look(st.ORANGE, "D", (0, (1, 1.2))),
    FINE_TUNED: Look(st.GREEN, "v", (0, (8, 2))),
    f"{FINE_TUNED}-exact": Look(st.PURPLE, "P", (0, (5, 1, 1, 1, 1, 1))),
}
"""Color, marker and line of each network in all figures."""


def paper_points(axes: Axes, x: ArrayLike, y: ArrayLike, look: Look, size: float = 8) -> None:
    """Draw the paper's points, hollow and larger than ours."""
    axes.plot(x, y, **hollow(look.color, look.marker, size), zorder=4)


def network_keys(names: Iterable[str], **line: Any) -> list[Line2D]:
    """Return legend entries for networks."""
    return [key(NAMES[name], LOOKS[name], **line) for name in names]
