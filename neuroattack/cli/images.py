"""The image that a command is to work on: a test image, or one from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError

__all__ = ["ChosenImage", "WantedImage"]


@dataclass(frozen=True, eq=False)
class ChosenImage:
    """An image, its class, and where it comes from."""

    pixels: NDArray[np.float64]
    label: int
    name: str
    checksum: str


@dataclass(frozen=True)
class WantedImage:
    """What was asked for by ``--dataset`` and ``--index``, or ``--image`` and ``--label``."""

    dataset: str | None
    index: int
    image: Path | None
    label: int | None

    def load(self, shape: tuple[int, ...], origin: Mapping[str, str]) -> ChosenImage:
        """Return the image, of that shape; the data set is the origin's where none is named.

        Raises
        ------
        ValidationError, FileError
            If options contradict each other, or there is no such image.
        """
        from neuroattack.datasets import load_dataset_of
        from neuroattack.datasets.image_files import image_checksum, read_image

        if self.image is None:
            source = load_dataset_of(self.dataset, origin)
            if self.label is not None:
                raise ValidationError(
                    "--label", self.label, "--image with it: a test image has its own"
                )
            pixels, label = source.test.pick(self.index)
            return ChosenImage(pixels, label, source.name, source.checksum)
        if self.dataset is not None:
            raise ValidationError(
                "--dataset", self.dataset, "either a test image or --image, not both"
            )
        if self.label is None:
            raise ValidationError("--label", "none", "the true class of --image")
        pixels = read_image(self.image, shape)
        return ChosenImage(pixels, self.label, str(self.image), image_checksum(pixels))
