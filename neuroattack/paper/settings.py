"""Settings of a run of the paper's experiments, and the networks that they share."""

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
from neuroattack.paper.networks import DNN, FINE_TUNED, SDBN, AttackedNetwork
from neuroattack.validation import check_integer

__all__ = ["MAX_DISTANCE", "RECIPE", "SOURCE", "TARGET", "Figures", "Images", "PaperRun"]
__all__ += ["PaperSettings", "Study"]

RECIPE = "paper"

SOURCE, TARGET = 5, 3
"""True class and target class of the paper's attack."""

MAX_DISTANCE = 22.0
"""D_max of the paper's attack."""

Figures = Mapping[str, Any]
"""Results of an item as JSON values."""

Images = Mapping[str, NDArray[Any]]
"""Images of an item, by name."""

Study = tuple[Figures, Images]

# Typical number of iterations of an attack, to estimate the remaining time.
_USUAL_ITERATIONS = 22


@dataclass(frozen=True)
class PaperSettings:
    """Sizes of a run.

    Parameters
    ----------
    seed : int
        Random seed. Repeated trainings also use the seeds that follow it.
    training_seeds : int
        Number of training seeds in the comparison of training with and without small noise.
    images : int or None
        Number of test images in the noise study, from the first one. None uses all.
    population : int
        Number of images per group in the attack on many images.
    sweep : int
        Number of images for each number of time steps and of trials per query.
    trials : int
        Number of fresh trials that verify an adversarial image.
    steps : int
        Time steps T of the spiking networks.
    backend : str
        Backend of the spiking networks.

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
        check_integer("training seeds", self.training_seeds, 2, 1000)
        check_integer("population", self.population, 1, 100_000)
        check_integer("sweep", self.sweep, 1, 100_000)
        check_integer("trials", self.trials, 1, 100_000)


@dataclass
class PaperRun:
    """A run of the paper's experiments.

    Results are stored in the folder as soon as they are computed. They do not depend on the number
    of worker processes.

    Parameters
    ----------
    dataset : Dataset
        Data set.
    folder : Path
        Folder of the stored results.
    settings : PaperSettings, optional
        Settings.
    workers : int, optional
        Number of worker processes.
    on_progress : callable, optional
        Function called with the name of a task, the fraction done, and a short status.

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
        """Run cells and return their results; report progress under the task's name."""
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
        attacked: AttackedNetwork,
        queries: float,
        files: tuple[str, ...] = (),
        **arguments: Any,
    ) -> Cell:
        """Return a cell of :mod:`neuroattack.paper.cells`.

        Parameters
        ----------
        name : str
            Name of the cell.
        work : callable
            Function that computes the cell.
        attacked : AttackedNetwork
            Network.
        queries : float
            Estimated number of queries.
        files : tuple of str, optional
            Keys of the result whose values are file names.
        **arguments
            Further arguments of `work`, besides the network, the data set and the seed.
        """
        data = {"dataset": self.dataset.name, "checksum": self.dataset.checksum}
        shared = {"attacked": asdict(attacked), **data, "seed": self.settings.seed}
        return Cell(name, work, {**shared, **arguments}, queries * attacked.query_s, files)

    def clean_cell(self, name: str, kind: str, indices: Sequence[int], trials: int) -> Cell:
        """Return the cell that classifies test images, with `trials` trials per image."""
        return self.network_cell(
            f"{kind}-{name}",
            classify_clean,
            self.attacked(name),
            queries=len(indices) * trials,
            files=("outputs",),
            indices=list(indices),
            trials=trials,
        )

    def attack_cell(
        self,
        name: str,
        attacked: AttackedNetwork,
        attack: GreedyWindow,
        image_goals: ImageGoals,
        **options: bool,
    ) -> Cell:
        """Return the cell that attacks test images and verifies the adversarial images.

        With ``keep_history=True`` it also stores the images of all iterations.
        """
        trials = self.settings.trials
        each = attack.max_queries_per_iteration * _USUAL_ITERATIONS + 2 * trials
        arguments: dict[str, Any] = {
            "attack": asdict(attack),
            "image_goals": [list(goal) for goal in image_goals],
            "trials": trials,
        }
        return self.network_cell(
            name,
            attack_images,
            attacked,
            len(image_goals) * each,
            ("images",),
            **arguments,
            **options,
        )

    @cached_property
    def models(self) -> dict[str, str]:
        """Model files of the networks under attack, by name; trained at first use."""
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

    def attacked(self, name: str, steps: int | None = None, repeats: int = 1) -> AttackedNetwork:
        """Return a network of :data:`neuroattack.paper.networks.NAMES`.

        `steps` and `repeats` apply to spiking networks. The mean total count per query of the
        sampled DNN is the mean number of output spikes of the spiking SDBN.
        """
        if name == f"{DNN}-sampled":
            spikes = float(self._clean_results[SDBN]["spikes"])
            return AttackedNetwork(self.models[DNN], "dnn", "sampled", spikes=spikes)
        if name == DNN or name.endswith("-exact"):
            model = name.removesuffix("-exact")
            return AttackedNetwork(self.models[model], "dnn" if name == DNN else "sdbn", "exact")
        steps, backend = steps or self.settings.steps, self.settings.backend
        return AttackedNetwork(self.models[name], "sdbn", "spikes", steps, repeats, backend=backend)

    @cached_property
    def _clean_results(self) -> dict[str, dict[str, Any]]:
        names = (SDBN, f"{SDBN}-exact", FINE_TUNED, f"{FINE_TUNED}-exact", DNN)
        indices = range(len(self.dataset.test.labels))
        cells = [self.clean_cell(name, "clean", indices, 1) for name in names]
        return dict(zip(names, self.run("Classifying test images", cells), strict=True))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image is classified correctly by all networks, in one trial each."""
        files = [self.folder / result["outputs"] for result in self._clean_results.values()]
        decided = np.array([read_kept(file, "decided")[0] for file in files])
        return np.asarray(np.all(decided == self.dataset.test.labels, axis=0))

    def clean_fractions(
        self, name: str, indices: Sequence[int], trials: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the predicted classes and mean output spike fractions of clean test images.

        The prediction is that of the summed counts of all trials. The arrays have shapes (images,)
        and (images, classes).
        """
        cell = self.clean_cell(name, "spike_fractions", indices, trials)
        (result,) = self.run("Classifying clean images", [cell])
        decided, spike_fractions = read_kept(
            self.folder / result["outputs"], "decided", "spike_fractions"
        )
        return decided, spike_fractions

    def attack(self, size: int, max_iterations: int = 100) -> GreedyWindow:
        """Return Algorithm 1 with the paper's constants and a centered window of `size` pixels."""
        shape = self.dataset.test.images.shape[1:]
        constants: dict[str, Any] = {"moved_pixels": 10, "delta": 0.1, "max_distance": MAX_DISTANCE}
        window = Window.centered(shape, size)
        return GreedyWindow(queries=None, window=window, **constants, max_iterations=max_iterations)

    def generator(self, stream: int) -> np.random.Generator:
        """Return the random generator of a stream of the run's seed."""
        seed = np.random.SeedSequence(self.settings.seed, spawn_key=(stream,))
        return np.random.default_rng(seed)
