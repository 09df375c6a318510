"""Adversarial training: fine-tuning on images that maximize the loss (Madry et al. 2018).

Before each step of fine-tuning, projected gradient ascent on the loss of the rate network moves
the images of the batch within an L2 ball. It uses the exact gradient of the transfer function,
not the surrogate of the weight update: on the surrogate, training could learn to hide the gradient
instead of becoming robust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.training.fine_tuning import cross_entropy
from neuroattack.training.siegert import FloatArray, Transfer
from neuroattack.validation import check_integer, check_number

__all__ = ["AdversarialTraining", "input_gradient"]

_MOST_STEPS = 1000
# Sum of the step lengths relative to the bound, as in Madry et al.: the boundary can be reached
# from any start, with steps left to move along it.
_REACH = 2.5


@dataclass(frozen=True)
class AdversarialTraining:
    """Inner maximization of adversarial training, under an L2 bound.

    Parameters
    ----------
    l2 : float
        Maximum L2 distance of an adversarial image, for intensities in [0, 1].
    steps : int, optional
        Number of gradient steps per image.

    Raises
    ------
    ValidationError
        If a value is outside its range.
    """

    l2: float
    steps: int = 3

    def __post_init__(self) -> None:
        check_number("adversarial_l2", self.l2, "(0, inf)")
        check_integer("steps of adversarial training", self.steps, 1, _MOST_STEPS)

    def perturb(
        self,
        inputs: FloatArray,
        labels: NDArray[np.integer],
        weights: Sequence[FloatArray],
        transfer: Transfer,
        full_scale: float,
        logit_gain: float,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return adversarial input rates of a batch, shape (batch, inputs).

        Parameters
        ----------
        inputs : float32 array (batch, inputs)
            Normalized input rates; `full_scale` is the rate of an input at full intensity.
        labels : integer array (batch,)
            True classes.
        weights : sequence of float32 arrays (inputs, units)
            Drive weights of each layer, in volts per second.
        logit_gain : float
            Factor of the output rates in :func:`~neuroattack.training.fine_tuning.cross_entropy`.
        rng : numpy.random.Generator
            Random number generator of the start in the ball.
        """
        radius = np.float32(self.l2 * full_scale)
        squares = [np.square(layer) for layer in weights]
        moved = rng.standard_normal(inputs.shape, dtype=np.float32)
        moved *= radius * rng.random((len(inputs), 1), dtype=np.float32) / _norms(moved)
        for _ in range(self.steps):
            rates = _within(inputs, moved, radius, full_scale)
            moved = rates - inputs
            gradient = input_gradient(weights, squares, rates, labels, transfer, logit_gain)
            moved += radius * np.float32(_REACH / self.steps) * gradient / _norms(gradient)
        return _within(inputs, moved, radius, full_scale)


def _norms(rows: FloatArray) -> FloatArray:
    # A loss of exactly 0 has no gradient: such a row is not moved.
    norms: FloatArray = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.maximum(norms, np.finfo(np.float32).tiny)


def _within(
    inputs: FloatArray, moved: FloatArray, radius: np.float32, full_scale: float
) -> FloatArray:
    """Return ``inputs + moved`` projected onto the ball, then onto the range of input rates.

    The range contains the inputs, so that clipping to it only reduces the distance.
    """
    shrunk = moved * np.minimum(radius / _norms(moved), np.float32(1))
    rates: FloatArray = np.clip(inputs + shrunk, np.float32(0), np.float32(full_scale))
    return rates


def input_gradient(
    weights: Sequence[FloatArray],
    squares: Sequence[FloatArray],
    inputs: FloatArray,
    labels: NDArray[np.integer],
    transfer: Transfer,
    logit_gain: float,
) -> FloatArray:
    """Return the gradient of the loss with respect to the input rates, shape (batch, inputs).

    Parameters
    ----------
    weights, squares : sequences of float32 arrays (inputs, units)
        Drive weights of each layer, in volts per second, and their squares.
    inputs : float32 array (batch, inputs)
        Normalized input rates.
    labels : integer array (batch,)
        True classes.
    logit_gain : float
        Factor of the output rates in :func:`~neuroattack.training.fine_tuning.cross_entropy`.
    """
    rates, slopes = inputs, []
    for layer, squared in zip(weights, squares, strict=True):
        mean, power = rates @ layer, rates @ squared
        slopes.append(transfer.slopes(mean, power))
        rates = transfer.rates(mean, power)
    _, gradient = cross_entropy(rates, labels, logit_gain)
    delta: FloatArray = gradient
    for layer, squared, (by_mean, by_power) in zip(
        reversed(weights), reversed(squares), reversed(slopes), strict=True
    ):
        delta = (delta * by_mean) @ layer.T + (delta * by_power) @ squared.T
    return delta
