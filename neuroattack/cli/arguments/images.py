"""Images that a command attacks: test images, or one from a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError

if TYPE_CHECKING:
    from neuroattack.datasets import Dataset

__all__ = ["ChosenImages", "choose_images"]

_MOST_IMAGES = 100_000


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """Images, their true classes and indices, and the name and checksum of their source."""

    pixels: list[NDArray[np.float64]]
    labels: list[int]
    indices: list[int]
    name: str
    checksum: str


def choose_images(
    shape: tuple[int, ...],
    source: Dataset | None,
    index: str,
    image: Path | None,
    label: int | None,
) -> ChosenImages:
    """Return the test images of ``--index``, or the image of ``--image`` and ``--label``.

    Parameters
    ----------
    shape : tuple of int
        Shape of one image.
    source : Dataset or None
        Data set of the test images; None with ``--image``.
    index, image, label
        Values of the options.

    Raises
    ------
    ValidationError, FileError
        If options contradict each other, or the image does not exist.
    """
    from neuroattack.datasets.image_files import image_checksum, read_image

    indices = read_indices(index)
    if source is not None:
        if label is not None:
            raise ValidationError("--label", label, "--image too: test images have a true class")
        picked = [source.test.pick(each) for each in indices]
        return ChosenImages(
            [pixels for pixels, _ in picked],
            [true_class for _, true_class in picked],
            indices,
            source.name,
            source.checksum,
        )
    if image is None or label is None:
        raise ValidationError("--label", "none", "the true class of the image given by --image")
    if len(indices) != 1:
        raise ValidationError("--index", index, "one index together with --image")
    pixels = read_image(image, shape)
    return ChosenImages([pixels], [label], indices, str(image), image_checksum(pixels))


def read_indices(text: str) -> list[int]:
    """Return the indices of ``3``, ``0:20`` (20 excluded), ``1,5,9`` or a mixture."""
    found: list[int] = []
    for part in text.split(","):
        given = re.fullmatch(r"\s*([0-9]{1,9})(?::([0-9]{1,9}))?\s*", part)
        if given is None:
            raise ValidationError("--index", repr(text), "indices such as 3, 0:20 or 1,5,9")
        first, end = given.groups()
        several = range(int(first), int(first) + 1 if end is None else int(end))
        if not several or len(several) > _MOST_IMAGES:
            raise ValidationError(
                "--index", repr(text), f"ranges of 1 to {_MOST_IMAGES:,} indices, such as 0:20"
            )
        found.extend(several)
    return list(dict.fromkeys(found))
