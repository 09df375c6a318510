"""Networks as studies attack them, described in JSON values so that a cell can open one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from neuroattack.deployment.deployment import deploy
from neuroattack.errors import ValidationError
from neuroattack.experiments.model_cells import NetworkKind, model_of_cell
from neuroattack.targets.black_box import Target
from neuroattack.targets.rates import GradedDeployment
from neuroattack.targets.repetition import Repeated
from neuroattack.training.conversion import convert
from neuroattack.training.sdbn import SDBN

__all__ = ["READOUT_GAIN", "Answer", "Attacked", "OpenTarget", "open_attacked", "readout_gain_of"]

Answer = Literal["spikes", "exact", "sampled"]

OpenTarget = Callable[[int], Target]
"""Takes a stream of draws, returns the black box."""

READOUT_GAIN = {"paper": 5.0}
"""By recipe, 1 for others: without it a tenth of the images get no output spike at all, for the
noise that contrastive divergence was trained with is not the spiking network's."""


def readout_gain_of(model: SDBN) -> float:
    """Return the gain that a model is converted with, by its recipe."""
    # What noise it was trained on is said after the recipe's name.
    return READOUT_GAIN.get(model.recipe.partition(",")[0], 1.0)


@dataclass(frozen=True)
class Attacked:
    """A network, and how it answers.

    Parameters
    ----------
    model : str
        File of the model, in the study's folder.
    kind : {"sdbn", "dnn"}
        Which network.
    answer : {"spikes", "exact", "sampled"}
        Spike counts of the converted SDBN; rates or probabilities without noise; or counts drawn
        from those.
    steps : int, optional
        Time steps T, of spikes.
    repeats : int, optional
        Showings of an image that a query adds up, of a search and of a verdict alike: who decides
        by so many showings is attacked so, and judged so.
    spikes : float, optional
        Mean output spikes, where they are sampled.
    backend : str, optional
        Where spikes are simulated.

    Raises
    ------
    ValidationError
        If the network cannot answer so.
    """

    model: str
    kind: NetworkKind
    answer: Answer
    steps: int = 350
    repeats: int = 1
    spikes: float | None = None
    backend: str = "native"

    def __post_init__(self) -> None:
        if self.answer not in get_args(Answer):
            raise ValidationError("answer", repr(self.answer), " or ".join(get_args(Answer)))
        if self.answer == "spikes" and self.kind != "sdbn":
            raise ValidationError("answer of a DNN", "spikes", "exact or sampled")
        if (self.answer == "sampled") != (self.spikes is not None):
            raise ValidationError("spikes of a sampled answer", self.spikes, "where it is sampled")
        if self.noiseless and self.repeats != 1:
            # They would add nothing, and the sums of parts pass the range of a count.
            raise ValidationError("repeats of an exact answer", self.repeats, "1")

    @property
    def noiseless(self) -> bool:
        """Whether the same image gets the same answer always."""
        return self.answer == "exact"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@contextlib.contextmanager
def open_attacked(description: Mapping[str, Any], seed: int, folder: Path) -> Iterator[OpenTarget]:
    """Open a network to attack.

    Parameters
    ----------
    description : mapping
        An :class:`Attacked`, as JSON.
    seed : int
        Of the draws.
    folder : Path
        The study's.

    Yields
    ------
    callable
        Takes a stream of draws and returns a black box whose every query adds up the repeats.
    """
    attacked = Attacked(**description)
    model = model_of_cell(folder / attacked.model, attacked.kind)

    def repeated(once: OpenTarget) -> OpenTarget:
        if attacked.repeats == 1:
            return once
        return lambda stream: Repeated(once(stream), attacked.repeats)

    if attacked.answer == "spikes":
        network = convert(model, readout_gain=readout_gain_of(model)).network
        with deploy(
            network, backend=attacked.backend, steps=attacked.steps, seed=seed
        ) as deployment:
            yield repeated(deployment.black_box)
    else:
        graded = GradedDeployment(
            model.outputs, model.image_shape, model.classes, seed, attacked.spikes
        )
        yield repeated(graded.black_box)
