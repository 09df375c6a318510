"""Restricted Boltzmann machines of Siegert units, trained by persistent contrastive divergence.

The units are deterministic rates, so sampling is replaced by rates under a little input noise
(the *temperature*). Fast weights that are learned and forgotten quickly drive the negative phase
through the energy landscape (Tieleman and Hinton 2009), and the hidden targets are made sparse
and selective by rank (Goh, Thome and Cord 2010), as in O'Connor et al. 2013. There are no biases:
the converted neurons have none.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.training.siegert import FloatArray, Transfer
from neuroattack.validation import check_fields, check_whole

__all__ = ["RBMParameters", "RBMState", "contrastive_divergence_step", "initial_state", "sparsify"]


@dataclass(frozen=True)
class RBMParameters:
    """Constants of contrastive divergence; the learning rate is the schedule's.

    Parameters
    ----------
    gibbs_steps : int
        Down-and-up passes of the persistent chain a gradient step.
    momentum : float
        Part of the last change of the weights that is repeated, in [0, 1).
    weight_decay : float
        Pull to zero, relative to the learning rate.
    fast_influence, fast_decay, fast_rate : float
        Share of the fast weights in the negative phase; the part of them forgotten a step, in
        [0, 1]; their learning rate.
    sparsity, sparsity_influence : float
        Mean of the rank-based target activity, in (0, 1); its share in the hidden activity that
        is learned, in [0, 1].
    temperature : float
        Standard deviation of the noise on every layer's input, in normalized rate.
    initial_scale : float
        Standard deviation of the initial drive weights, in volts per second.

    Raises
    ------
    ValidationError
        If a value is outside its range.
    """

    gibbs_steps: int = 1
    momentum: float = 0.8
    weight_decay: float = 1e-4
    fast_influence: float = 1.0
    fast_decay: float = 0.05
    fast_rate: float = 5.0
    sparsity: float = 0.1
    sparsity_influence: float = 0.2
    temperature: float = 0.005
    initial_scale: float = 0.01

    def __post_init__(self) -> None:
        check_whole("RBM gibbs_steps", self.gibbs_steps, 1)
        check_fields(
            self,
            "RBM",
            sparsity="(0, 1)",
            momentum="[0, 1)",
            fast_decay="[0, 1]",
            sparsity_influence="[0, 1]",
            weight_decay="[0, inf)",
            fast_influence="[0, inf)",
            fast_rate="[0, inf)",
            temperature="[0, inf)",
            initial_scale="[0, inf)",
        )


@dataclass(frozen=True)
class RBMState:
    """All that contrastive divergence carries from one step to the next.

    Attributes
    ----------
    weights : float32 array (visible, hidden)
        Drive weights, in volts per second.
    velocity : float32 array (visible, hidden)
        Their last change.
    fast_weights : float32 array (visible, hidden)
        Fast weights, in volts per second.
    chain : float32 array (batch, hidden)
        Hidden rates of the persistent chains.
    """

    weights: FloatArray
    velocity: FloatArray
    fast_weights: FloatArray
    chain: FloatArray


def initial_state(
    visible: int, hidden: int, batch: int, parameters: RBMParameters, rng: np.random.Generator
) -> RBMState:
    """Return small random weights, no momentum, no fast weights, and silent chains."""
    scale = np.float32(parameters.initial_scale)
    weights = scale * rng.standard_normal((visible, hidden), dtype=np.float32)
    return RBMState(
        weights=weights,
        velocity=np.zeros_like(weights),
        fast_weights=np.zeros_like(weights),
        chain=np.zeros((batch, hidden), np.float32),
    )


def sparsify(hidden: FloatArray, sparsity: float) -> FloatArray:
    """Return sparse and selective targets, in [0, 1], of hidden rates (batch, units), by rank.

    Each sample's activities are replaced by their rank among the units, each unit's ranks by
    their rank among the samples, and ranks r in [0, 1] by r ** (1 / sparsity - 1), whose mean is
    the sparsity (Goh, Thome and Cord 2010). Equal values rank in order of their index.
    """
    batch, units = hidden.shape
    # Rates are not negative: the order of their bits is theirs. And ranks are enough for the second
    # sort, as the power is monotone.
    order = _stable_order(hidden.view(np.uint32))
    ranks = np.empty((units, batch), np.uint32)
    np.put_along_axis(ranks.T, order, np.arange(units, dtype=np.uint32)[None, :], axis=1)
    order = _stable_order(ranks)
    targets = (np.linspace(0, 1, batch) ** (1 / sparsity - 1)).astype(np.float32)
    out = np.empty((units, batch), np.float32)
    np.put_along_axis(out, order, targets[None, :], axis=1)
    return np.ascontiguousarray(out.T)


def _stable_order(values: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return what ``argsort(values, axis=1, kind="stable")`` does, in a third of the time.

    With its index below it every value is unique, and the values themselves can be sorted.
    """
    keyed = values.astype(np.uint64) << np.uint64(32)
    keyed |= np.arange(values.shape[1], dtype=np.uint64)
    keyed.sort(axis=1)
    keyed &= np.uint64(0xFFFFFFFF)
    order: NDArray[np.int64] = keyed.view(np.int64)
    return order


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _learn32(weights: Any, velocity: Any, fast_weights: Any, contrast: Any, constants: Any) -> Any:
    """Return the next weights, velocity and fast weights in one pass; all flat float32 arrays."""
    batch, momentum, weight_decay, learning_rate, remembered, fast_rate = constants
    new_weights = np.empty_like(weights)
    new_velocity = np.empty_like(weights)
    new_fast = np.empty_like(weights)
    for i in range(weights.size):
        gradient = contrast[i] / batch
        new_fast[i] = remembered * fast_weights[i] + fast_rate * gradient
        change = momentum * velocity[i] + learning_rate * (gradient - weight_decay * weights[i])
        new_velocity[i] = change
        new_weights[i] = weights[i] + change
    return new_weights, new_velocity, new_fast


def _warmed(rates: FloatArray, noise: FloatArray) -> FloatArray:
    """Return the rates with noise, not below 0; overwrites the noise."""
    noise += rates
    np.maximum(noise, np.float32(0), out=noise)
    return noise


def _learned_activity(
    visible: FloatArray, weights: FloatArray, parameters: RBMParameters, transfer: Transfer
) -> FloatArray:
    """Return the hidden rates of the data, drawn towards their sparse targets."""
    hidden = transfer.layer(visible, weights, np.square(weights))
    influence = np.float32(parameters.sparsity_influence)
    hidden += influence * (sparsify(hidden, parameters.sparsity) - hidden)
    return hidden


def contrastive_divergence_step(
    state: RBMState,
    visible: FloatArray,
    learning_rate: float,
    parameters: RBMParameters,
    transfer: Transfer,
    rng: np.random.Generator,
    worker: Executor,
) -> RBMState:
    """Take one step of persistent contrastive divergence with fast weights, from `state`.

    Parameters
    ----------
    visible : float32 array (batch, visible)
        Normalized rates of the data; as many samples as there are chains.
    learning_rate : float
        Of the (slow) weights.
    rng : numpy.random.Generator
        Source of the input noise; advanced.
    worker : Executor
        Of **one** thread, which draws the noise in the order of its use and then does the data's
        phase, while this thread runs the chains: the same numbers as one after the other.
    """
    shape = state.weights.shape

    def noise(units: int) -> FloatArray:
        drawn = rng.standard_normal((len(visible), units), dtype=np.float32)
        drawn *= np.float32(parameters.temperature)
        return drawn

    data_noise = worker.submit(noise, shape[0])
    chain_noise = [worker.submit(noise, n) for n in shape[::-1] * parameters.gibbs_steps]
    data_phase = worker.submit(
        lambda: _learned_activity(
            _warmed(visible, data_noise.result()), state.weights, parameters, transfer
        )
    )
    model = state.weights + np.float32(parameters.fast_influence) * state.fast_weights
    squared = np.square(model)
    chain = state.chain
    for down, up in zip(chain_noise[::2], chain_noise[1::2], strict=True):
        fantasy = transfer.layer(_warmed(chain, down.result()), model.T, squared.T)
        chain = transfer.layer(_warmed(fantasy, up.result()), model, squared)
    data_hidden = data_phase.result()

    # <v h>_data - <v h>_model is one product of the stacked phases.
    contrast = np.concatenate((visible, fantasy)).T @ np.concatenate((data_hidden, -chain))
    constants = (
        len(visible),
        parameters.momentum,
        parameters.weight_decay,
        learning_rate,
        1 - parameters.fast_decay,
        parameters.fast_rate,
    )
    weights, velocity, fast_weights = _learn32(
        state.weights.reshape(-1),
        state.velocity.reshape(-1),
        state.fast_weights.reshape(-1),
        contrast.reshape(-1),
        tuple(np.float32(constant) for constant in constants),
    )
    return RBMState(
        weights.reshape(shape), velocity.reshape(shape), fast_weights.reshape(shape), chain
    )
