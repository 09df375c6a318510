"""Input of a network: shape of an image, and encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuroattack.encoding.encoders import Encoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.values import MAX_POPULATION, freeze
from neuroattack.validation import check_integer

__all__ = ["MAX_STEPS", "STEPS", "Input"]

STEPS = 350
"""Default number of time steps per image."""

MAX_STEPS = 20_000
"""Maximum number of time steps per image."""


@dataclass(frozen=True)
class Input:
    """Image shape and encoder of a network.

    Parameters
    ----------
    shape : tuple of int
        Shape of one image, such as (rows, columns) or (channels, rows, columns); its pixels, in
        row-major order, are the neurons of the input population.
    encoder : Encoder
        Encoder of intensities as spikes, or as a constant input.
    """

    shape: tuple[int, ...]
    encoder: Encoder

    def __post_init__(self) -> None:
        if not self.shape:
            raise ValidationError("input shape", "()", "at least one dimension")
        shape = tuple(check_integer("input shape", side, 1, MAX_POPULATION) for side in self.shape)
        check_integer("input pixels", math.prod(shape), 1, MAX_POPULATION)
        freeze(self, shape=shape)

    def sample_shape(self, steps: int) -> tuple[int, ...]:
        """Return the shape of an image; with events, of a sample of a number of time steps."""
        return self.encoder.sample_shape(self.shape, steps)

    @property
    def reads_events(self) -> bool:
        """Whether the input is event samples, whose number of time steps is fixed."""
        return isinstance(self.encoder, EventEncoder)

    def time_steps(
        self, given: int | None, images: tuple[int, ...] | None = None, *, default: int = STEPS
    ) -> int:
        """Return the number of time steps of a simulation.

        Parameters
        ----------
        given : int or None
            Number chosen by the user, if any.
        images : tuple of int, optional
            Shape of the array of images or event samples, if they are known.
        default : int, optional
            Number for images. For event samples, it is that of the samples.

        Raises
        ------
        ValidationError
            If `given` is not the number of steps of the event samples, or it is None and they are
            not known or do not fit the network.
        """
        if not self.reads_events:
            return default if given is None else given
        if images is not None and images[2:] == self.shape:
            if given not in (None, images[1]):
                raise ValidationError(
                    "steps", given, f"{images[1]}, the number of steps of the event samples"
                )
            return images[1]
        if given is not None:
            return given
        expected = f"event samples of shape (steps, {', '.join(map(str, self.shape))})"
        if images is not None:
            raise ValidationError("images", f"an array of shape {images}", expected)
        raise ValidationError("steps", "none", f"the number of time steps of {expected}")

    @property
    def size(self) -> int:
        """Number of pixels of one image."""
        return math.prod(self.shape)
