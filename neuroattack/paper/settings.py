"""Size of a run of the paper's experiments, and the networks that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
from neuroattack.experiments.engine.cells import Cell, read_kept
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.model_cells import NetworkKind, training_cell
from neuroattack.paper.cells import ImageGoals, attack_images, classify_clean
from neuroattack.paper.networks import DNN, FINE_TUNED, SDBN, Attacked
from neuroattack.validation import check_whole

__all__ = ["MAX_DISTANCE", "RECIPE", "SOURCE", "TARGET", "Figures", "Images", "PaperRun"]
__all__ += ["PaperSettings", "Study"]

RECIPE = "paper"

SOURCE, TARGET = 5, 3
"""True class and target class of the paper's attack."""

MAX_DISTANCE = 22.0

Figures = Mapping[str, Any]
"""Results of an item, JSON values."""

Images = Mapping[str, NDArray[Any]]
"""Images of an item, by name."""

Study = tuple[Figures, Images]

# Of an attack, for the estimate of the time left.
_USUAL_ITERATIONS = 22


@dataclass(frozen=True)
class PaperSettings:
    """Sizes of a run.

    Parameters
    ----------
    seed : int
        Random seed; repeated trainings use the seeds after it too.
    training_seeds : int
        Trainings with and without small training noise that are compared.
    images : int or None
        Test images of the noise study, from the first; None for all.
    population, sweep : int
        Images of a population, and for each number of time steps and of repeats.
    trials : int
        Fresh trials that verify an adversarial image.
    steps, backend
        Time steps T and backend of the spiking networks.

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
    trials: int = 50
    steps: int = 350
    backend: str = "native"

    def __post_init__(self) -> None:
        check_settings(self.backend, self.steps, self.seed)
        check_whole("training seeds", self.training_seeds, 2, 1000)
        check_whole("population", self.population, 1, 100_000)
        check_whole("sweep", self.sweep, 1, 100_000)
        check_whole("trials", self.trials, 1, 100_000)


@dataclass
class PaperRun:
    """A run: settings, data set, and the folder that keeps results as they are computed.

    Results do not depend on the number of worker processes. `on_progress` is called with the name
    of a task, the fraction done, and its state in a few words.

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

    def run(self, task: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Run cells, reporting progress under the task's name; return their results."""
        show = self.on_progress
        return run_cells(
            self.folder,
            cells,
            workers=self.workers,
            on_progress=None if show is None else lambda part, state: show(task, part, state),
        )

    def network_cell(
        self,
        name: str,
        work: Callable[..., Mapping[str, Any]],
        attacked: Attacked,
        queries: float,
        files: tuple[str, ...] = (),
        **arguments: Any,
    ) -> Cell:
        """Return a cell of :mod:`neuroattack.paper.cells`.

        `queries` are estimated, `files` the keys of its result that name a file, and `arguments`
        those of the work, beside network, data set and seed.
        """
        data = {"dataset": self.dataset.name, "checksum": self.dataset.checksum}
        about = {"attacked": asdict(attacked), **data, "seed": self.settings.seed}
        return Cell(name, work, {**about, **arguments}, queries * attacked.query_s, files)

    def clean_cell(self, name: str, kind: str, indices: Sequence[int], trials: int) -> Cell:
        """Return the cell that classifies test images in so many trials each."""
        queries, about = len(indices) * trials, {"indices": list(indices), "trials": trials}
        network = self.attacked(name)
        return self.network_cell(
            f"{kind}-{name}", classify_clean, network, queries, ("answers",), **about
        )

    def attack_cell(
        self,
        name: str,
        attacked: Attacked,
        attack: GreedyWindow,
        image_goals: ImageGoals,
        **options: bool,
    ) -> Cell:
        """Return the cell that attacks test images and verifies what was found.

        With ``keep_history=True`` it keeps the images of all iterations.
        """
        trials = self.settings.trials
        each = attack.most_queries_an_iteration * _USUAL_ITERATIONS + 2 * trials
        about = {
            "attack": asdict(attack),
            "image_goals": [list(image_goal) for image_goal in image_goals],
            "trials": trials,
        }
        return self.network_cell(
            name, attack_images, attacked, len(image_goals) * each, ("images",), **about, **options
        )

    @cached_property
    def models(self) -> dict[str, str]:
        """Files of the networks under attack, in the folder; trained at first use."""
        plan: dict[str, tuple[NetworkKind, str]] = {
            SDBN: ("sdbn", RECIPE),
            FINE_TUNED: ("sdbn", "fine-tuned"),
            DNN: ("dnn", ""),
        }
        cells = [
            training_cell(kind, self.dataset, seed=self.settings.seed, recipe=recipe)
            for kind, recipe in plan.values()
        ]
        results = self.run("Training networks", cells)
        return {name: result["model"] for name, result in zip(plan, results, strict=True)}

    def attacked(self, name: str, steps: int | None = None, repeats: int = 1) -> Attacked:
        """Return a network of :data:`neuroattack.paper.networks.NAMES`.

        The sampled DNN returns as many counts as the SDBN has output spikes in the mean. `steps`
        and `repeats` apply to spiking networks.
        """
        if name == f"{DNN}-sampled":
            spikes = float(self._clean[SDBN]["spikes"])
            return Attacked(self.models[DNN], "dnn", "sampled", spikes=spikes)
        if name == DNN or name.endswith("-exact"):
            model = name.removesuffix("-exact")
            return Attacked(self.models[model], "dnn" if name == DNN else "sdbn", "exact")
        steps, backend = steps or self.settings.steps, self.settings.backend
        return Attacked(self.models[name], "sdbn", "spikes", steps, repeats, backend=backend)

    @cached_property
    def _clean(self) -> dict[str, dict[str, Any]]:
        names = (SDBN, f"{SDBN}-exact", FINE_TUNED, f"{FINE_TUNED}-exact", DNN)
        every = range(len(self.dataset.test.labels))
        cells = [self.clean_cell(name, "clean", every, 1) for name in names]
        return dict(zip(names, self.run("Classifying", cells), strict=True))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Test images that all networks classify correctly, in one trial each."""
        files = [self.folder / result["answers"] for result in self._clean.values()]
        decided = np.array([read_kept(file, "decided")[0] for file in files])
        return np.asarray(np.all(decided == self.dataset.test.labels, axis=0))

    def clean_fractions(
        self, name: str, indices: Sequence[int], trials: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the decided class of test images, and their shares in the mean of so many trials.

        Shapes are (images,) and (images, classes).
        """
        cell = self.clean_cell(name, "spike_fractions", indices, trials)
        (result,) = self.run("Clean shares", [cell])
        decided, spike_fractions = read_kept(
            self.folder / result["answers"], "decided", "spike_fractions"
        )
        return decided, spike_fractions

    def attack(self, size: int, max_iterations: int = 100) -> GreedyWindow:
        """Return Algorithm 1 with the paper's constants and a centred window of that side."""
        shape = self.dataset.test.images.shape[1:]
        constants: dict[str, Any] = {"moved_pixels": 10, "delta": 0.1, "max_distance": MAX_DISTANCE}
        window = Window.centred(shape, size)
        return GreedyWindow(queries=None, window=window, **constants, max_iterations=max_iterations)

    def generator(self, stream: int) -> np.random.Generator:
        """Return the random generator of a stream of the run."""
        seed = np.random.SeedSequence(self.settings.seed, spawn_key=(stream,))
        return np.random.default_rng(seed)
