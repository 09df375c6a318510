"""Labeled data sets: images, classes, and a checksum of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.memory import check_memory

__all__ = ["Dataset", "Labels", "Split"]

Labels = NDArray[np.uint8] | NDArray[np.uint16]
"""Class labels from 0; uint8 for up to 256 classes."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training or test part of a data set; slices such as ``split[:20]`` are splits as well.

    Parameters
    ----------
    images : float32 array, shape (n, height, width), (n, channels, height, width) or (n, values)
        Intensities in [0, 1], with ink 1 on background 0 in the named data sets. Event samples are
        a bool array of shape (n, steps, ...), see :mod:`neuroattack.encoding.events`.
    labels : uint8 or uint16 array, shape (n,)
        Class of each image, from 0.
    indices : int64 array, shape (n,), optional
        Index of each image in the complete part, from which random streams are derived; by default
        0 to n - 1.
    """

    images: NDArray[Any]
    labels: Labels
    indices: NDArray[np.int64] = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        if self.indices is None:
            object.__setattr__(self, "indices", np.arange(len(self.labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice | Sequence[int] | NDArray[np.integer]) -> Split:
        """Return the images of a slice or of a sequence of indices.

        Raises
        ------
        ValidationError
            If `chosen` is neither, or an index is out of range.
        """
        if isinstance(chosen, int | np.integer):
            raise ValidationError(
                "split indices", chosen, f"a slice or a sequence of indices; use pick({chosen})"
            )
        at = chosen if isinstance(chosen, slice) else np.asarray(chosen)
        try:
            return Split(self.images[at], self.labels[at], self.indices[at])
        except IndexError:
            raise ValidationError("split indices", chosen, f"integers below {len(self)}") from None

    @classmethod
    def from_bytes(cls, images: NDArray[np.uint8], labels: Labels) -> Split:
        """Build a split from gray levels from 0 to 255, scaled to intensities from 0 to 1."""
        check_memory(f"{len(images):,} images", 4 * images.size, "use fewer images")
        return cls(np.divide(images, np.float32(255), dtype=np.float32), labels)

    def first(self, images: int | None) -> Split:
        """Return the first `images` images, or all; raise ValidationError if there are fewer."""
        if images is None:
            return self
        if not 1 <= images <= len(self.labels):
            raise ValidationError("images", images, f"1 to {len(self.labels)}")
        return self[:images]

    def pick(self, index: int) -> tuple[NDArray[np.float64], int]:
        """Return an image and its class; raise ValidationError if the index is out of range."""
        if not 0 <= index < len(self.labels):
            raise ValidationError("image index", index, f"0 to {len(self.labels) - 1}")
        return self.images[index].astype(np.float64), int(self.labels[index])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labeled data set with read-only arrays.

    Parameters
    ----------
    name : str
        Name in results.
    train, test : Split
        Disjoint parts.
    classes : int
        Number of classes, larger than every label.
    checksum : str
        SHA-256 of type, shape and content of the four arrays, in hexadecimal.
    dt_s : float or None
        Length of the time steps of event samples in seconds; None for images.
    """

    name: str
    train: Split
    test: Split
    classes: int
    checksum: str
    dt_s: float | None = None

    @classmethod
    def of(
        cls, name: str, train: Split, test: Split, classes: int, dt_s: float | None = None
    ) -> Dataset:
        """Build a data set: make the arrays of both splits read-only and compute the checksum."""
        digest = hashlib.sha256()
        for array in (train.images, train.labels, test.images, test.labels):
            # Little-endian on every machine, so that the checksum is portable.
            portable = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            digest.update(f"{portable.dtype.str} {portable.shape}\n".encode())
            digest.update(portable.data)
            array.flags.writeable = False
        return cls(name, train, test, classes, digest.hexdigest(), dt_s)

    def extended(self, extra: Split) -> Dataset:
        """Return the data set with further training images, such as adversarial images.

        The name stays the same; the checksum differs. Raises ValidationError if the images have
        another shape.
        """
        train = self.train
        if extra.images.shape[1:] != train.images.shape[1:]:
            raise ValidationError(
                "extra images", f"shape {extra.images.shape[1:]}", f"{train.images.shape[1:]}"
            )
        images = np.concatenate([train.images, extra.images.astype(np.float32)])
        labels = np.concatenate([train.labels, extra.labels.astype(train.labels.dtype)])
        return Dataset.of(self.name, Split(images, labels), self.test, self.classes)
