"""Multilayer perceptrons as substitutes of the attacked network, and their ensembles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Differentiable, Pullback
from neuroattack.errors import ValidationError

__all__ = ["Ensemble", "Perceptron", "members_of"]

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Multilayer perceptron with rectified linear units and a softmax.

    Parameters
    ----------
    image_shape : tuple of int
        Shape of one image.
    weights : tuple of float32 arrays (inputs, units)
        Weights of each layer.
    biases : tuple of float32 arrays (units,)
        Biases of each layer.

    Raises
    ------
    ValidationError
        If the shapes do not fit, or a value is not finite.
    """

    image_shape: tuple[int, ...]
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __post_init__(self) -> None:
        inputs = math.prod(self.image_shape)
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValidationError(
                "layers of a perceptron", len(self.weights), "as many weights as biases"
            )
        for weights, biases in zip(self.weights, self.biases, strict=True):
            if weights.ndim != 2 or len(weights) != inputs or biases.shape != weights.shape[1:]:
                raise ValidationError(
                    "weights of a perceptron", f"shape {weights.shape}", f"{inputs} inputs"
                )
            if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
                raise ValidationError("weights of a perceptron", "not finite", "finite numbers")
            inputs = weights.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.biases[-1])

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms of the softmax, shape (images, classes)."""
        return _log_softmax(self._activations(images)[-1])

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        """Return the scores and their gradients, as in the protocol ``Differentiable``."""
        activations = self._activations(images)
        scores = _log_softmax(activations[-1])

        def pullback(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            total = weights.sum(axis=1, keepdims=True)
            delta = (weights - np.exp(scores) * total).astype(np.float32)
            for layer in range(len(self.weights) - 1, -1, -1):
                delta = delta @ self.weights[layer].T
                if layer:
                    delta *= activations[layer] > 0
            gradient: NDArray[np.float64] = delta.astype(np.float64)
            return gradient.reshape(images.shape)

        return scores, pullback

    def _activations(self, images: NDArray[np.float64]) -> list[Array]:
        """Return the input of each layer, and the logits."""
        rows = images.reshape(len(images), -1).astype(np.float32)
        activations = [rows]
        for weights, biases in zip(self.weights, self.biases, strict=True):
            if len(activations) > 1:
                np.maximum(rows, 0, out=rows)
            rows = rows @ weights + biases
            activations.append(rows)
        return activations


class Ensemble:
    """Mean of the log scores of several models.

    Parameters
    ----------
    members : sequence of Differentiable
        Models of the same image shape and number of classes.

    Raises
    ------
    ValidationError
        If there are none, or they do not fit together.
    """

    def __init__(self, members: Sequence[Differentiable]) -> None:
        self._members = tuple(members)
        kinds = {(member.image_shape, member.n_classes) for member in self._members}
        if len(kinds) != 1:
            raise ValidationError(
                "substitutes",
                ", ".join(f"{shape} with {classes} classes" for shape, classes in sorted(kinds))
                or "none",
                "models of one image shape and number of classes",
            )

    @property
    def members(self) -> tuple[Differentiable, ...]:
        """The models."""
        return self._members

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._members[0].image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._members[0].n_classes

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean log scores, shape (images, classes)."""
        return np.asarray(np.mean([member.log_scores(images) for member in self._members], axis=0))

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        """Return the mean scores and their gradients, as in ``Differentiable``."""
        linear = [member.linearize(images) for member in self._members]

        def pullback(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.mean([back(weights) for _, back in linear], axis=0))

        return np.asarray(np.mean([scores for scores, _ in linear], axis=0)), pullback


def members_of(model: Differentiable) -> tuple[Differentiable, ...]:
    """Return the models of an ensemble, or the single model."""
    return model.members if isinstance(model, Ensemble) else (model,)


def _log_softmax(logits: Array) -> NDArray[np.float64]:
    rows = logits.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    shifted: NDArray[np.float64] = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return shifted
