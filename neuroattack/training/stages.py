"""Training recipes as frozen data: which stages, with which constants, for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.siegert import SiegertParameters
from neuroattack.validation import check_fields, check_whole

__all__ = ["FineTuningStage", "RBMStage", "Recipe", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Length of a stage and course of its learning rate.

    A stage lasts `epochs` passes over the data, or as many as make `minimum_steps` gradient
    steps where the data set is so small that this is more: what a network has learned depends on
    the steps it took at least as much as on the images it saw.

    Parameters
    ----------
    epochs : int
        Passes over a large data set.
    minimum_steps : int
        Gradient steps on a small one.
    batch : int
        Images a step; the images left over at the end of a pass are left out of it.
    learning_rate : float
        Of the first step; it falls linearly.
    final_fraction : float
        What it falls to, as a fraction of `learning_rate`.

    Raises
    ------
    ValidationError
        If a value is outside its range.
    """

    epochs: int
    minimum_steps: int
    batch: int
    learning_rate: float
    final_fraction: float = 0.05

    def __post_init__(self) -> None:
        for name in ("epochs", "minimum_steps", "batch"):
            check_whole(f"schedule {name}", getattr(self, name), 1)
        check_fields(self, "schedule", learning_rate="(0, inf)", final_fraction="[0, 1]")

    def batch_for(self, images: int) -> int:
        """Return the images a step: never more than there are."""
        return min(self.batch, images)

    def steps_per_epoch(self, images: int) -> int:
        """Return the gradient steps of one pass over `images` images."""
        return images // self.batch_for(images)

    def epochs_for(self, images: int) -> int:
        """Return the passes over a data set of `images` images."""
        return max(self.epochs, math.ceil(self.minimum_steps / self.steps_per_epoch(images)))

    def learning_rate_at(self, fraction: float) -> float:
        """Return the learning rate when `fraction` of the stage is done."""
        return self.learning_rate * (1 - (1 - self.final_fraction) * fraction)


@dataclass(frozen=True)
class RBMStage:
    """A layer trained by persistent contrastive divergence: how long, and with which constants."""

    schedule: Schedule
    parameters: RBMParameters


@dataclass(frozen=True)
class FineTuningStage:
    """All layers trained with labels through the physically consistent transfer function."""

    schedule: Schedule
    parameters: FineTuningParameters


@dataclass(frozen=True)
class Recipe:
    """A way to train an SDBN.

    Every hidden layer but the last is trained as an RBM on the rates of the layer below; then a
    joint RBM of [rates below the last hidden layer, label units] and the last hidden layer is
    trained, and split into the last two weight matrices (O'Connor et al. 2013). Fine-tuning, if
    any, follows.

    Parameters
    ----------
    name : str
        As on the command line.
    layers, top : RBMStage
        Contrastive divergence of the lower layers and of the joint top layer.
    rbm_noise_factor : float
        Noise convention of contrastive divergence; see :class:`~neuroattack.training.sdbn.SDBN`.
    fine_tuning : FineTuningStage or None
        The supervised stage; it and the model that leaves it use noise factor 1.
    input_scale : float
        Normalized rate of an input at full intensity.
    label_rate : float
        Normalized rate of the label unit of an image's class; the others are silent.
    siegert : SiegertParameters
        The neuron.
    """

    name: str
    layers: RBMStage
    top: RBMStage
    rbm_noise_factor: float
    fine_tuning: FineTuningStage | None = None
    input_scale: float = 0.2
    label_rate: float = 0.2
    siegert: SiegertParameters = field(default_factory=SiegertParameters)

    @property
    def noise_factor(self) -> float:
        """Noise factor of the trained model."""
        return self.rbm_noise_factor if self.fine_tuning is None else 1.0
