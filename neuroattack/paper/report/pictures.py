"""The picture of every item that has one, and the files it is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuroattack.files import atomic_path
from neuroattack.paper.report.figures_attack import (
    clean_shares_figure,
    course_figure,
    stages_figure,
)
from neuroattack.paper.report.figures_images import (
    adversarial_figure,
    noisy_figure,
    window_images_figure,
)
from neuroattack.paper.report.figures_noise import rules_figure, table_figure, window_figure
from neuroattack.paper.report.figures_population import population_figure, sampling_figure
from neuroattack.paper.report.figures_visibility import distances_figure, survival_figure
from neuroattack.paper.settings import MAX_DISTANCE, SOURCE, TARGET

__all__ = ["draw_item", "write_picture"]

Figures = Mapping[str, Any]
Images = Mapping[str, NDArray[Any]]

_DPI = 150

_DRAWN: dict[str, Callable[[Figures, Images], Figure]] = {
    "table1": lambda figures, _: rules_figure(figures),
    "figure2": lambda figures, _: table_figure(figures),
    "figure3": lambda figures, _: window_figure(figures),
    "figure4": lambda _, images: noisy_figure(images),
    "table2": lambda figures, _: course_figure(figures, MAX_DISTANCE),
    "table3": lambda figures, _: course_figure(figures, MAX_DISTANCE),
    "figure6": window_images_figure,
    "figure7": lambda figures, _: stages_figure(figures, SOURCE, TARGET),
    "figure8": adversarial_figure,
    "figure9": lambda figures, _: clean_shares_figure(figures, SOURCE, TARGET),
    "population": lambda figures, _: population_figure(figures),
    "sampling": lambda figures, _: sampling_figure(figures),
    "transformations": lambda figures, _: survival_figure(figures),
    "imperceptibility": lambda figures, _: distances_figure(figures),
}


def draw_item(item: str, figures: Figures, images: Images) -> Figure:
    """Draw an item.

    Parameters
    ----------
    item : str
        Its name.
    figures : mapping
        Its figures, as the study gives them.
    images : mapping of str to array
        Its images, by their names within the item.
    """
    return _DRAWN[item](figures, images)


def write_picture(stem: Path, figure: Figure) -> None:
    """Write a figure beside `stem` as .png and as .svg, the same bytes every time.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    with atomic_path(stem.with_suffix(".png")) as path:
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})
    # Letters as outlines look alike wherever the file is opened.
    with (
        matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "path"}),
        atomic_path(stem.with_suffix(".svg")) as path,
    ):
        figure.savefig(path, format="svg", metadata={"Date": None})
