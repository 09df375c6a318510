"""Validated input of a training: labeled images and layer sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.datasets.noise import Noise
from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.training.siegert import FloatArray
from neuroattack.validation import check_integer

__all__ = ["Labels", "TrainingData"]

Labels = NDArray[np.intp]

_NOISE_STREAM = 1


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Validated arguments of a training: labeled images as rows, layer sizes and seed.

    Rows are float32 arrays (n, pixels) of intensities, including the noise if any; labels are intp
    arrays (n,). `sizes` are the layer sizes: pixels, hidden layers, classes.
    """

    rows: FloatArray
    labels: Labels
    test: tuple[FloatArray, Labels] | None
    image_shape: tuple[int, ...]
    sizes: tuple[int, ...]
    seed: int

    @classmethod
    def of(
        cls,
        images: ArrayLike,
        labels: ArrayLike,
        test: tuple[ArrayLike, ArrayLike] | None,
        hidden: tuple[int, ...],
        classes: int,
        seed: int,
        noise: Noise | None,
    ) -> TrainingData:
        """Validate the arguments of :func:`neuroattack.training.recipes.train` and add the noise.

        Raises
        ------
        ValidationError
            If images, labels, sizes or seed are invalid.
        """
        rows, targets = _checked(images, labels, classes, "training")
        shape = np.shape(images)[1:]
        tested = None if test is None else _checked(*test, classes, "test")
        if tested is not None and tested[0].shape[1] != rows.shape[1]:
            raise ValidationError(
                "test images", f"{tested[0].shape[1]} pixels", f"{rows.shape[1]} as in training"
            )
        if not hidden:
            raise ValidationError("hidden layers", "none", "at least one")
        for units in hidden:
            check_integer("hidden layer size", units, 1)
        if classes < 2:
            raise ValidationError("classes", classes, "at least 2")
        check_integer("seed", seed, 0, 2**63 - 1)
        if noise is not None:
            # A separate generator, so that noise does not change the random numbers of training.
            sequence = np.random.SeedSequence(seed, spawn_key=(_NOISE_STREAM,))
            noisy = noise.add(rows.reshape(-1, *shape), np.random.default_rng(sequence))
            rows = noisy.reshape(rows.shape)
        sizes = (rows.shape[1], *hidden, classes)
        return cls(rows, targets, tested, shape, sizes, seed)

    def accuracy(
        self, evaluate: Callable[[FloatArray], FloatArray], images: int | None
    ) -> float | None:
        """Return the accuracy on the test images, or on the first `images` of them."""
        if self.test is None:
            return None
        rows, labels = self.test
        return float(np.mean(evaluate(rows[:images]).argmax(axis=1) == labels[:images]))

    def identity(self) -> dict[str, str]:
        """Return values that distinguish checkpoints of this training from those of others."""
        digest = hashlib.sha256(self.rows.data)
        digest.update(self.labels.astype(np.int64).data)
        return {
            "seed": str(self.seed),
            "layer sizes": "-".join(map(str, self.sizes)),
            "training data": digest.hexdigest(),
        }


def _checked(
    images: ArrayLike, labels: ArrayLike, classes: int, what: str
) -> tuple[FloatArray, Labels]:
    """Validate labeled images and return them as rows."""
    shape = np.shape(images)
    if len(shape) not in {3, 4}:
        raise ValidationError(
            f"{what} images", f"shape {shape}", "shape (n, height, width) or (n, channels, ...)"
        )
    if shape[0] == 0:
        raise ValidationError(f"{what} images", "none", "at least one")
    rows = validate_images(images, shape[1:]).astype(np.float32)
    array = np.asarray(labels)
    if array.shape != (len(rows),) or not np.issubdtype(array.dtype, np.integer):
        raise ValidationError(
            f"{what} labels",
            f"{array.dtype} of shape {array.shape}",
            f"{len(rows)} integers, one per image",
        )
    if array.min() < 0 or array.max() >= classes:
        raise ValidationError(
            f"{what} labels", f"{array.min()} to {array.max()}", f"0 to {classes - 1}"
        )
    return rows, array.astype(np.intp)
