"""Registry of the items: tables and figures of the paper, and the further studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from neuroattack import __version__
from neuroattack.errors import UnknownNameError
from neuroattack.paper import adversarial_images, noise, sample, tables, verdicts
from neuroattack.paper import population as many
from neuroattack.paper.figures import noise as draw_noise
from neuroattack.paper.figures import population as draw_many
from neuroattack.paper.figures import sample as draw_sample
from neuroattack.paper.settings import Figures, PaperRun, Study
from neuroattack.report.table import Table

__all__ = ["ITEMS", "Item", "expand_items", "reproduce"]


def _nothing(_: Figures) -> tuple[()]:
    return ()


class Item(NamedTuple):
    """A table or figure of the paper, or a further study.

    Parameters
    ----------
    title : str
        Title.
    study : callable
        Function that computes the results.
    draw : callable
        Function that draws the figure.
    tables : callable, optional
        Function that returns the tables.
    claims : callable, optional
        Function that returns the claims of the paper with their verdicts.
    """

    title: str
    study: Callable[[PaperRun], Study]
    draw: Callable[[Figures, Mapping[str, Any]], Figure]
    tables: Callable[[Figures], Sequence[Table]] = _nothing
    claims: Callable[[Figures], Iterable[verdicts.Claim]] = _nothing


ITEMS = {
    "table1": Item(
        "Table I: accuracy under noise",
        noise.table_one,
        draw_noise.rules,
        tables.cells,
        verdicts.noise,
    ),
    "figure2": Item(
        "Figure 2: accuracy against noise", noise.figure_two, draw_noise.curves, tables.mismatch
    ),
    "figure3": Item(
        "Figure 3: noise in a window",
        noise.windows,
        draw_noise.windows,
        tables.curves,
        verdicts.window,
    ),
    "figure4": Item("Figure 4: noisy images", noise.images, draw_noise.images),
    "table2": Item(
        "Table II: attack on the DNN",
        sample.table_two,
        draw_sample.history,
        tables.attack,
        verdicts.attack,
    ),
    "table3": Item(
        "Table III: attack on the SDBN",
        sample.table_three,
        draw_sample.history,
        tables.attack,
        verdicts.attack,
    ),
    "figure6": Item(
        "Figure 6: attacked image and windows", sample.windows, draw_sample.windows, tables.windows
    ),
    "figure7": Item(
        "Figure 7: probabilities of the DNN", sample.stages, draw_sample.stages, tables.stages
    ),
    "figure8": Item(
        "Figure 8: adversarial images", sample.images, draw_sample.images, tables.images
    ),
    "figure9": Item(
        "Figure 9: clean output spike fractions",
        sample.clean,
        draw_sample.spike_fractions,
        tables.spike_fractions,
        verdicts.spike_fractions,
    ),
    "population": Item(
        "Attack on many images",
        many.population,
        draw_many.population,
        tables.population,
        verdicts.population,
    ),
    "sampling": Item("Sampling noise", many.sampling, draw_many.sampling, tables.sampling),
    "transformations": Item(
        "Transformations",
        adversarial_images.transformed,
        draw_many.survival,
        tables.survival,
        verdicts.gaps,
    ),
    "imperceptibility": Item(
        "Imperceptibility", adversarial_images.distances, draw_many.distances, tables.distances
    ),
}
"""Items by name: those of the paper in its order, then the further studies."""


def expand_items(names: Sequence[str]) -> list[str]:
    """Return the named items in the order of :data:`ITEMS`; ``"all"`` selects all of them.

    Raises
    ------
    UnknownNameError
        If a name is unknown.
    """
    for name in names:
        if name != "all" and name not in ITEMS:
            raise UnknownNameError("item of the paper", name, ["all", *ITEMS])
    return [item for item in ITEMS if item in names or "all" in names]


def reproduce(run: PaperRun, names: Sequence[str]) -> dict[str, Study]:
    """Compute items; reuse results that are already stored in the folder of the run."""
    origin = {
        "dataset": run.dataset.name,
        "dataset_checksum": run.dataset.checksum,
        "seed": run.settings.seed,
        "settings": asdict(run.settings),
        "version": __version__,
    }
    found: dict[str, Study] = {}
    for item in expand_items(names):
        figures, images = ITEMS[item].study(run)
        found[item] = {"item": item, **origin, **figures}, images
    return found
