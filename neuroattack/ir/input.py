"""Input of a network: shape of an image, and encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuroattack.encoding.encoders import Encoder
from neuroattack.errors import ValidationError
from neuroattack.ir.values import MAX_POPULATION, freeze
from neuroattack.validation import check_integer

__all__ = ["Input"]


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
    def size(self) -> int:
        """Number of pixels of one image."""
        return math.prod(self.shape)
