"""All items of the paper and beyond it: study, figure, tables and claims of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from neuroattack import __version__
from neuroattack.errors import UnknownNameError
from neuroattack.paper import afterwards as after
from neuroattack.paper import noise, sample, tables, verdicts
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
    """An item: its title, and what computes, draws, tabulates and judges it."""

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
        "Table II: the DNN", sample.table_two, draw_sample.history, tables.attack, verdicts.attack
    ),
    "table3": Item(
        "Table III: the SDBN",
        sample.table_three,
        draw_sample.history,
        tables.attack,
        verdicts.attack,
    ),
    "figure6": Item(
        "Figure 6: sample and windows", sample.windows, draw_sample.windows, tables.windows
    ),
    "figure7": Item(
        "Figure 7: probabilities of the DNN", sample.stages, draw_sample.stages, tables.stages
    ),
    "figure8": Item(
        "Figure 8: adversarial images", sample.images, draw_sample.images, tables.images
    ),
    "figure9": Item(
        "Figure 9: clean shares",
        sample.clean,
        draw_sample.spike_fractions,
        tables.spike_fractions,
        verdicts.spike_fractions,
    ),
    "population": Item(
        "Population", many.population, draw_many.population, tables.population, verdicts.population
    ),
    "sampling": Item("Sampling noise", many.sampling, draw_many.sampling, tables.sampling),
    "transformations": Item(
        "Transformations", after.transformed, draw_many.survival, tables.survival, verdicts.gaps
    ),
    "imperceptibility": Item(
        "Imperceptibility", after.distances, draw_many.distances, tables.distances
    ),
}
"""In the order of the paper, then what goes beyond it."""


def expand_items(names: Sequence[str]) -> list[str]:
    """Return items in the order of :data:`ITEMS`, ``"all"`` being all of them.

    Raises
    ------
    UnknownNameError
        If there is no such item.
    """
    for name in names:
        if name != "all" and name not in ITEMS:
            raise UnknownNameError("item of the paper", name, ["all", *ITEMS])
    return [item for item in ITEMS if item in names or "all" in names]


def reproduce(run: PaperRun, names: Sequence[str]) -> dict[str, Study]:
    """Compute items; what the run's folder has already is not computed again."""
    about = {
        "dataset": run.dataset.name,
        "dataset_checksum": run.dataset.checksum,
        "seed": run.settings.seed,
        "settings": asdict(run.settings),
        "version": __version__,
    }
    found: dict[str, Study] = {}
    for item in expand_items(names):
        figures, images = ITEMS[item].study(run)
        found[item] = {"item": item, **about, **figures}, images
    return found
