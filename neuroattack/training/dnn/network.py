"""Conventional network for comparison with the SDBN: tanh layers, softmax, and cross-entropy.

Units are tanh instead of logistic, because activations around zero make the error function better
conditioned, on which the number of conjugate-gradient steps depends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.training.products import ordered_product
from neuroattack.training.sdbn import check_model, frozen_layers
from neuroattack.training.siegert import FloatArray
from neuroattack.validation import check_number

__all__ = ["MLP", "CrossEntropy", "flatten", "unflatten"]

Floats = NDArray[np.floating[Any]]
Layer = tuple[Floats, Floats]

_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class MLP:
    """Trained multilayer perceptron with hidden layers of tanh units and softmax outputs.

    Parameters
    ----------
    weights : tuple of float32 arrays (inputs, units)
        Weights of each layer, dimensionless; stored as read-only copies.
    biases : tuple of float32 arrays (units,)
        Biases of each layer, likewise.
    image_shape : tuple of int
        Height and width of an image.
    dataset, dataset_checksum : str
        Data set of the training.
    seed : int
        Random seed of the training.
    accuracy : float or None
        Accuracy of :meth:`predict` on test images, in [0, 1], if measured.
    recipe : str
        Description of the training.

    Raises
    ------
    ValidationError
        If shapes are inconsistent, or a value is outside its range.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    image_shape: tuple[int, ...]
    dataset: str
    dataset_checksum: str
    seed: int
    accuracy: float | None = None
    recipe: str = "unnamed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_layers("MLP weights", self.weights, 2))
        if len(self.biases) != len(self.weights):
            raise ValidationError(
                "MLP biases", f"{len(self.biases)} layers", f"{len(self.weights)}, as for weights"
            )
        object.__setattr__(self, "biases", frozen_layers("MLP biases", self.biases, 1))
        for index, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            units = weights.shape[1]
            if len(biases) != units:
                raise ValidationError(
                    f"MLP biases of layer {index + 1}", len(biases), f"{units}, one per unit"
                )
        check_model("MLP", self.image_shape, len(self.weights[0]), self.seed)
        if self.accuracy is not None:
            check_number("MLP accuracy", self.accuracy, "[0, 1]")

    @property
    def classes(self) -> int:
        """Number of output units."""
        return int(self.weights[-1].shape[1])

    def outputs(self, intensities: Floats) -> FloatArray:
        """Return class probabilities (n, classes), also of noisy images.

        The probabilities of an image do not depend on other images in the batch or on the number of
        cores, to the last bit. Intensities (n, pixels) are relative to full scale; they are not
        checked and may be outside [0, 1].
        """
        layers = list(zip(self.weights, self.biases, strict=True))
        rows = np.ascontiguousarray(intensities, np.float32)
        return _softmax(_activations(rows, layers, ordered_product)[-1])

    def probabilities(self, images: ArrayLike) -> FloatArray:
        """Return class probabilities (n, classes) of images with intensities in [0, 1].

        Raises ValidationError if the images are invalid.
        """
        return self.outputs(validate_images(images, self.image_shape))

    def predict(self, images: ArrayLike) -> NDArray[np.int64]:
        """Return the most probable class of each image; int64 array (n,).

        Raises ValidationError if the images are invalid.
        """
        classes: NDArray[np.int64] = self.probabilities(images).argmax(axis=1).astype(np.int64)
        return classes


def unflatten(vector: Floats, sizes: Sequence[int]) -> list[Layer]:
    """Return weights (inputs, units) and biases (units,) of each layer, as views of a vector."""
    layers = []
    start = 0
    for inputs, units in itertools.pairwise(sizes):
        middle = start + inputs * units
        layers.append(
            (vector[start:middle].reshape(inputs, units), vector[middle : middle + units])
        )
        start = middle + units
    return layers


def flatten(layers: Sequence[Layer]) -> Floats:
    """Return weights and biases of all layers as one vector; inverse of :func:`unflatten`."""
    return np.concatenate([part.reshape(-1) for layer in layers for part in layer])


def _activations(
    rows: Floats, layers: Sequence[Layer], product: Callable[[Any, Any], Floats] = np.matmul
) -> list[Floats]:
    out = [rows]
    for index, (weights, biases) in enumerate(layers):
        sums = product(out[-1], weights)
        sums += biases
        if index < len(layers) - 1:
            np.tanh(sums, out=sums)
        out.append(sums)
    return out


def _softmax(logits: Floats) -> Floats:
    logits = logits - logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Mean cross-entropy over the images, in nats: the objective of training.

    Rows (n, pixels) are the inputs, whose type is used for products. Chunks of 2,000 images are
    distributed to the worker threads, and their sums are added in float64 in a fixed order. With
    single-threaded BLAS the result does not depend on the number of workers.
    """

    rows: Floats
    labels: NDArray[np.integer]
    sizes: tuple[int, ...]
    workers: Executor

    def __call__(self, vector: Floats) -> tuple[float, Floats]:
        """Return the error and its float64 gradient for a vector of :func:`flatten`."""
        layers = unflatten(vector.astype(self.rows.dtype, copy=False), self.sizes)
        count = len(self.rows)
        total = 0.0
        gradient = np.zeros(vector.size)
        starts = range(0, count, _CHUNK)
        for error, part in self.workers.map(lambda start: self._sums(layers, start), starts):
            total += error
            gradient += part
        return total / count, gradient / count

    def _sums(self, layers: list[Layer], start: int) -> tuple[float, Floats]:
        """Return error and gradient summed over the images of one chunk."""
        labels = self.labels[start : start + _CHUNK]
        activations = _activations(self.rows[start : start + _CHUNK], layers)
        logits = activations.pop()
        logits -= logits.max(axis=1, keepdims=True)
        each = np.arange(len(labels))
        chosen = logits[each, labels]
        delta = np.exp(logits)
        # In float64: in float32, sums near 1 round to 1, and small errors are lost.
        sums = delta.sum(axis=1, dtype=np.float64)
        error = float((np.log(sums) - chosen).sum())
        delta /= sums[:, np.newaxis]
        delta[each, labels] -= 1
        gradient = np.empty(sum(w.size + b.size for w, b in layers), delta.dtype)
        parts = unflatten(gradient, self.sizes)
        for index in range(len(layers) - 1, -1, -1):
            inputs = activations[index]
            np.matmul(inputs.T, delta, out=parts[index][0])
            delta.sum(axis=0, out=parts[index][1])
            if index:
                delta = delta @ layers[index][0].T
                # Slope of tanh from its value, in place, as the value is not needed again.
                np.square(inputs, out=inputs)
                np.subtract(1, inputs, out=inputs)
                delta *= inputs
        return error, gradient
