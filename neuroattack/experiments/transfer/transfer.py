"""Transfer: adversarial images made on one deployment of a network, tried on all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from neuroattack.attacks.limits import Limit
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import check_draws
from neuroattack.datasets import Dataset
from neuroattack.errors import ValidationError
from neuroattack.experiments.common_images import choose_images
from neuroattack.experiments.engine.cells import Cell, run_cells
from neuroattack.experiments.model_cells import keep_model, keep_network
from neuroattack.experiments.transfer.cells import attack_there, show_there
from neuroattack.statistics import wilson_interval
from neuroattack.deployment.spec import DNN, DeploymentSpec, profile_checksum

__all__ = ["Goals", "Transfer", "TransferSettings", "transfer"]

Goals = Literal["untargeted", "random"]

# Seconds on one core of a query of 350 steps, and of one that the conventional network answers.
_SPIKING_COST, _EXACT_COST = 6e-4, 6e-5


@dataclass(frozen=True)
class TransferSettings:
    """What is made where.

    Parameters
    ----------
    places : tuple of DeploymentSpec
        At least two, all different; each makes images and is shown those of all.
    attack : str, optional
        Its name in :data:`neuroattack.attacks.registry.ATTACKS`.
    limit : str, optional
        As :meth:`neuroattack.attacks.limits.Limit.from_text` reads it.
    queries : int, optional
        Of a search.
    images : int, optional
        Test images, all of which every place classifies correctly.
    goals : {"untargeted", "random"}, optional
        Any wrong class, or a wrong class drawn for each image.
    draws : int, optional
        Fresh draws by which an image is judged at a place.
    seed : int, optional
        Of the choice of images and classes, and of the attack's chance.

    Raises
    ------
    ValidationError, UnknownNameError
        If a value is out of range, or there is no such attack.
    """

    places: tuple[DeploymentSpec, ...]
    attack: str = "adaptive"
    limit: str = "l2=2"
    queries: int = 500
    images: int = 20
    goals: Goals = "untargeted"
    draws: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        names = list(map(str, self.places))
        if len(set(names)) < max(2, len(names)):
            raise ValidationError(
                "places", ", ".join(names) or "none", "at least two, each of them once"
            )
        if self.goals not in get_args(Goals):
            raise ValidationError("goals", repr(self.goals), " or ".join(get_args(Goals)))
        check_draws(self.draws)
        make_attack(self.attack, Limit.from_text(self.limit), self.queries, self.seed)


@dataclass(frozen=True)
class Transfer:
    """How images fared where they were made, and elsewhere.

    Parameters
    ----------
    settings : TransferSettings
        What was made where.
    aims : tuple of (index, target class or None)
        Test images.
    shares : tuple of tuples of tuples of float
        Row by row, the place that made the images; column by column, the place that was shown
        them; for each image, the share of fresh draws that reached the goal. Where both are one,
        draws are fresh all the same.
    unattacked : tuple of tuples of float
        Column by column, what the test images themselves reach.
    queries : tuple of float
        Row by row, mean queries of a search.
    """

    settings: TransferSettings
    aims: tuple[tuple[int, int | None], ...]
    shares: tuple[tuple[tuple[float, ...], ...], ...]
    unattacked: tuple[tuple[float, ...], ...]
    queries: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The places, as people write them: rows and columns."""
        return tuple(map(str, self.settings.places))

    def success(self, row: int, column: int) -> float:
        """Return the probability that a fresh draw of an image reaches its goal."""
        return float(np.mean(self.shares[row][column]))

    def ci95(self, row: int, column: int) -> tuple[float, float]:
        """Return its 95 % Wilson interval, of other images."""
        shares = self.shares[row][column]
        return wilson_interval(sum(shares), len(shares))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        places = range(len(self.names))
        return {
            "rows": list(self.names),
            "columns": list(self.names),
            "success": [[self.success(row, column) for column in places] for row in places],
            "ci95": [[list(self.ci95(row, column)) for column in places] for row in places],
            "unattacked": [float(np.mean(shares)) for shares in self.unattacked],
            "queries": list(self.queries),
            "images": [{"index": index, "target_class": aim} for index, aim in self.aims],
            "shares": [[list(column) for column in row] for row in self.shares],
            "settings": asdict(self.settings) | {"places": list(self.names)},
        }


def transfer(
    network: Path,
    dnn: Path | None,
    dataset: Dataset,
    settings: TransferSettings,
    folder: Path,
    *,
    workers: int | None = None,
    on_progress: Callable[[str, float, str], None] | None = None,
) -> Transfer:
    """Make adversarial images at every place, and show them at every place.

    Parameters
    ----------
    network : Path
        File of the network.
    dnn : Path or None
        File of the conventional model, for the place ``dnn``.
    dataset : Dataset
        Whose test images are attacked.
    settings : TransferSettings
        What is made where.
    folder : Path
        Where cells are kept: interrupted, the same call goes on.
    workers : int, optional
        Processes side by side.
    on_progress : callable, optional
        Called with what is done, the fraction, and a few words.

    Raises
    ------
    NeuroattackError
        If a place cannot be opened, a file not be read, or there are too few images.
    """
    kept_network = keep_network(network, folder)
    kept_dnn = None
    if any(place.backend == DNN for place in settings.places):
        if dnn is None:
            raise ValidationError("place", DNN, "a model of a conventional network beside it")
        kept_dnn = keep_model(dnn, "dnn", folder)
    indices = choose_images(
        dataset.test,
        settings.places,
        folder / kept_network,
        None if kept_dnn is None else folder / kept_dnn,
        count=settings.images,
        seed=settings.seed,
    )
    aims = [_aim(settings, dataset, index) for index in indices]
    common = {
        "aims": aims,
        "network": kept_network,
        "dnn": kept_dnn,
        "dataset": dataset.name,
        "checksum": dataset.checksum,
    }

    def run(words: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        def report(fraction: float, state: str) -> None:
            if on_progress:
                on_progress(words, fraction, state)

        return run_cells(folder, cells, workers=workers, on_progress=report)

    made = run("Attacking", [_attack_cell(place, settings, common) for place in settings.places])
    sources: list[str | None] = [*(cell["images"] for cell in made), None]
    shown = run(
        "Trying elsewhere",
        [
            _show_cell(place, images, settings.draws, common)
            for images in sources
            for place in settings.places
        ],
    )
    shares = [tuple(cell["shares"]) for cell in shown]
    many = len(settings.places)
    rows = [tuple(shares[start : start + many]) for start in range(0, len(shares), many)]
    return Transfer(
        settings,
        tuple(aims),
        tuple(rows[:-1]),
        rows[-1],
        tuple(float(np.mean(cell["queries"])) for cell in made),
    )


def _aim(settings: TransferSettings, dataset: Dataset, index: int) -> tuple[int, int | None]:
    if settings.goals == "untargeted":
        return index, None
    classes = int(dataset.test.labels.max()) + 1
    chance = np.random.default_rng([settings.seed, index])
    return index, int((int(dataset.test.labels[index]) + chance.integers(1, classes)) % classes)


def _attack_cell(place: DeploymentSpec, settings: TransferSettings, common: Mapping[str, Any]) -> Cell:
    return Cell(
        "transfer-attack",
        attack_there,
        {
            "place": asdict(place),
            "profile_checksum": profile_checksum(place),
            "attack": settings.attack,
            "settings": {},
            "limit": settings.limit,
            "queries": settings.queries,
            "seed": settings.seed,
            **common,
        },
        len(common["aims"]) * settings.queries * _cost(place),
        files=("images",),
    )


def _show_cell(place: DeploymentSpec, images: str | None, draws: int, common: Mapping[str, Any]) -> Cell:
    return Cell(
        "transfer-show",
        show_there,
        {
            "place": asdict(place),
            "profile_checksum": profile_checksum(place),
            "images": images,
            "draws": draws,
            **common,
        },
        len(common["aims"]) * draws * _cost(place),
    )


def _cost(place: DeploymentSpec) -> float:
    return _EXACT_COST if place.backend == DNN else _SPIKING_COST * place.steps / 350
