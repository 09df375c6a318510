"""Training recipes as immutable data: stages with their schedules and constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from neuroattack.training.adversarial import AdversarialTraining
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.siegert import SiegertParameters
from neuroattack.validation import check_fields, check_integer

__all__ = ["FineTuningStage", "RBMStage", "Recipe", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Length and learning-rate schedule of a stage.

    A stage has `epochs` epochs, or more on small data sets, so that there are at least
    `minimum_steps` gradient steps: the result depends at least as much on the number of steps as
    on the number of images.

    Parameters
    ----------
    epochs : int
        Number of epochs on large data sets.
    minimum_steps : int
        Minimum number of gradient steps on small data sets.
    batch : int
        Images per step; images of an incomplete last batch are skipped in that epoch.
    learning_rate : float
        Initial learning rate, which decreases linearly.
    final_fraction : float
        Final learning rate as a fraction of `learning_rate`.

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
            check_integer(f"schedule {name}", getattr(self, name), 1)
        check_fields(self, "schedule", learning_rate="(0, inf)", final_fraction="[0, 1]")

    def batch_for(self, images: int) -> int:
        """Return the number of images per step: `batch`, or all images if there are fewer."""
        return min(self.batch, images)

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of gradient steps per epoch of `images` images."""
        return images // self.batch_for(images)

    def epochs_for(self, images: int) -> int:
        """Return the number of epochs for a data set of `images` images."""
        return max(self.epochs, math.ceil(self.minimum_steps / self.steps_per_epoch(images)))

    def learning_rate_at(self, fraction: float) -> float:
        """Return the learning rate after `fraction` of the stage."""
        return self.learning_rate * (1 - (1 - self.final_fraction) * fraction)


@dataclass(frozen=True)
class RBMStage:
    """Training of a layer by persistent contrastive divergence: schedule and constants."""

    schedule: Schedule
    parameters: RBMParameters


@dataclass(frozen=True)
class FineTuningStage:
    """Supervised training of all layers with the physically consistent transfer function.

    With `adversarial`, the images of each batch are first made adversarial.
    """

    schedule: Schedule
    parameters: FineTuningParameters
    adversarial: AdversarialTraining | None = None


@dataclass(frozen=True)
class Recipe:
    """Training recipe of an SDBN.

    Every hidden layer but the last is trained as an RBM on the rates of the layer below. Then a
    joint RBM of [rates below the last hidden layer, label units] and the last hidden layer is
    trained and split into the last two weight matrices (O'Connor et al. 2013). Optional
    fine-tuning follows.

    Parameters
    ----------
    name : str
        Name on the command line.
    layers, top : RBMStage
        Contrastive divergence of the lower layers and of the joint top layer.
    rbm_noise_factor : float
        Noise factor in contrastive divergence; see :class:`~neuroattack.training.sdbn.SDBN`.
    fine_tuning : FineTuningStage or None
        Supervised stage; it and the resulting model have noise factor 1.
    input_scale : float
        Normalized rate of an input at full intensity.
    label_rate : float
        Normalized rate of the label unit of an image's class; the others are silent.
    siegert : SiegertParameters
        Neuron parameters.
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
