"""How large a run of the paper's experiments is, and the networks that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import check_settings
from neuroattack.errors import ValidationError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.model_cells import NetworkKind, training_cell
from neuroattack.paper.attacked import Attacked
from neuroattack.paper.clean_answers import CleanAnswers, clean_cell, read_clean
from neuroattack.validation import check_whole

__all__ = ["DNN", "FINE_TUNED", "RECIPE", "SDBN", "SOURCE", "TARGET", "PaperRun", "PaperSettings"]

RECIPE = "paper"
FINE_TUNED_RECIPE = "fine-tuned"

SDBN, FINE_TUNED, DNN = "sdbn", "sdbn-fine-tuned", "dnn"
"""Networks by the names that results have for them."""

SOURCE, TARGET = 5, 3

MAX_DISTANCE = 22.0
MOVED_PIXELS = 10
DELTA = 0.1


@dataclass(frozen=True)
class PaperSettings:
    """Sizes of a run.

    Parameters
    ----------
    seed : int
        Of everything; trainings that are repeated take the seeds after it too.
    training_seeds : int
        Trainings of the comparison between clean and slightly noisy training images.
    images : int or None
        Test images of the noise study, the first so many; None for all.
    population : int
        Images of a population.
    sweep : int
        Images for each number of steps and of repeats.
    draws : int
        Fresh draws by which an adversarial image is judged.
    steps : int
        Time steps T, where they are not varied.
    backend : str
        Where spikes are simulated.

    Raises
    ------
    ValidationError
        If a size is out of range.
    """

    seed: int = 0
    training_seeds: int = 3
    images: int | None = None
    population: int = 200
    sweep: int = 40
    draws: int = 50
    steps: int = 350
    backend: str = "native"

    def __post_init__(self) -> None:
        check_settings(self.backend, self.steps, self.seed)
        check_whole("training seeds", self.training_seeds, 2, 1000)
        check_whole("population", self.population, 1, 100_000)
        check_whole("sweep", self.sweep, 1, 100_000)
        check_whole("draws", self.draws, 1, 100_000)


@dataclass
class PaperRun:
    """A run: settings, data set, and the folder where everything is kept as it gets done.

    Parameters
    ----------
    dataset : Dataset
        Ten classes of digits.
    folder : Path
        Of the cells.
    settings : PaperSettings
        Sizes.
    workers : int, optional
        Processes side by side; results do not depend on it.
    on_progress : callable, optional
        Called with what is being done, the fraction of it done, and a few words.

    Raises
    ------
    ValidationError
        If the data set lacks the classes of the paper's attack.
    """

    dataset: Dataset
    folder: Path
    settings: PaperSettings = field(default_factory=PaperSettings)
    workers: int | None = None
    on_progress: Callable[[str, float, str], None] | None = None

    def __post_init__(self) -> None:
        if self.dataset.classes <= max(SOURCE, TARGET):
            raise ValidationError(
                f"classes of data set {self.dataset.name!r}", self.dataset.classes, "ten digits"
            )

    def run(self, what: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Do cells, showing progress under that name; return their results."""
        show = self.on_progress
        return run_cells(
            self.folder,
            cells,
            workers=self.workers,
            on_progress=None if show is None else lambda part, state: show(what, part, state),
        )

    @cached_property
    def models(self) -> dict[str, str]:
        """Files of the networks under attack, in the folder; trained at first use."""
        plan: dict[str, tuple[NetworkKind, str]] = {
            SDBN: ("sdbn", RECIPE),
            FINE_TUNED: ("sdbn", FINE_TUNED_RECIPE),
            DNN: ("dnn", ""),
        }
        results = self.run(
            "Training networks",
            [
                training_cell(kind, self.dataset, seed=self.settings.seed, recipe=recipe)
                for kind, recipe in plan.values()
            ],
        )
        return {name: result["model"] for name, result in zip(plan, results, strict=True)}

    def attacked(self, name: str) -> Attacked:
        """Return a network as it is attacked.

        Parameters
        ----------
        name : str
            ``"sdbn"`` or ``"sdbn-fine-tuned"`` in spikes, with ``"-exact"`` as rates; ``"dnn"``, or
            ``"dnn-sampled"`` with as many counts as the SDBN has output spikes in the mean.
        """
        if name == f"{DNN}-sampled":
            spikes = float(self._clean_results[SDBN]["spikes"])
            return Attacked(self.models[DNN], "dnn", "sampled", spikes=spikes)
        if name == DNN or name.endswith("-exact"):
            model = name.removesuffix("-exact")
            return Attacked(self.models[model], "dnn" if name == DNN else "sdbn", "exact")
        return Attacked(
            self.models[name],
            "sdbn",
            "spikes",
            steps=self.settings.steps,
            backend=self.settings.backend,
        )

    @cached_property
    def _clean_results(self) -> dict[str, dict[str, Any]]:
        names = (SDBN, f"{SDBN}-exact", FINE_TUNED, f"{FINE_TUNED}-exact", DNN)
        every = range(len(self.dataset.test.labels))
        cells = [
            clean_cell(
                f"clean-{name}", self.attacked(name), every, self.dataset, seed=self.settings.seed
            )
            for name in names
        ]
        return dict(zip(names, self.run("Classifying", cells), strict=True))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Test images that all networks classify correctly, in one draw each where there is one."""
        labels = self.dataset.test.labels
        everywhere = np.ones(len(labels), bool)
        for result in self._clean_results.values():
            everywhere &= read_clean(self.folder, result)[0] == labels
        return everywhere

    def clean_shares(self, name: str, indices: Sequence[int], draws: int) -> CleanAnswers:
        """Return what a network answers to test images, in the mean of so many draws."""
        cell = clean_cell(
            f"shares-{name}",
            self.attacked(name),
            indices,
            self.dataset,
            seed=self.settings.seed,
            draws=draws,
        )
        return read_clean(self.folder, self.run("Clean shares", [cell])[0])

    def attack(self, size: int, max_iterations: int = 100) -> GreedyWindow:
        """Return Algorithm 1 with the paper's constants and a centred window of that side."""
        shape = self.dataset.test.images.shape[1:]
        return GreedyWindow(
            queries=None,
            window=Window.centred(shape, size),
            moved_pixels=MOVED_PIXELS,
            delta=DELTA,
            max_distance=MAX_DISTANCE,
            max_iterations=max_iterations,
        )

    def with_steps(self, name: str, steps: int, repeats: int = 1) -> Attacked:
        """Return a spiking network shown for so many steps, each query so often."""
        return replace(self.attacked(name), steps=steps, repeats=repeats)
