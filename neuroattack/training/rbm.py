"""Restricted Boltzmann machines of Siegert units, trained by persistent contrastive divergence.

The units are deterministic rates, so sampling is replaced by rates with little input noise (the
*temperature*). Fast weights, which are learned and forgotten quickly, improve the mixing of the
negative phase (Tieleman and Hinton 2009), and hidden targets are made sparse and selective by rank
(Goh, Thome and Cord 2010), as in O'Connor et al. 2013. There are no biases, as the converted
neurons have none.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.training.siegert import FloatArray, Transfer
from neuroattack.validation import check_fields, check_integer

__all__ = ["RBMParameters", "RBMState", "contrastive_divergence_step", "initial_state", "sparsify"]


@dataclass(frozen=True)
class RBMParameters:
    """Constants of contrastive divergence, except the learning rate.

    Parameters
    ----------
    gibbs_steps : int
        Number of down-and-up passes of the persistent chain per gradient step.
    momentum : float
        Momentum, in [0, 1).
    weight_decay : float
        Weight decay, relative to the learning rate.
    fast_influence, fast_decay, fast_rate : float
        Factor of the fast weights in the negative phase; their decay per step, in [0, 1]; their
        learning rate.
    sparsity, sparsity_influence : float
        Mean of the rank-based target activity, in (0, 1); its weight in the learned hidden
        activity, in [0, 1].
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
        check_integer("RBM gibbs_steps", self.gibbs_steps, 1)
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
    """State of contrastive divergence between steps.

    Attributes
    ----------
    weights : float32 array (visible, hidden)
        Drive weights, in volts per second.
    velocity : float32 array (visible, hidden)
        Last change of the weights.
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
    """Return the initial state: small random weights; velocity, fast weights and chains are 0."""
    scale = np.float32(parameters.initial_scale)
    weights = scale * rng.standard_normal((visible, hidden), dtype=np.float32)
    return RBMState(
        weights=weights,
        velocity=np.zeros_like(weights),
        fast_weights=np.zeros_like(weights),
        chain=np.zeros((batch, hidden), np.float32),
    )


def sparsify(hidden: FloatArray, sparsity: float) -> FloatArray:
    """Return sparse and selective targets, in [0, 1], for hidden rates (batch, units), by rank.

    Each sample's activities are replaced by their ranks among the units, each unit's ranks by
    their ranks among the samples, and ranks r in [0, 1] by r ** (1 / sparsity - 1), whose mean is
    the sparsity (Goh, Thome and Cord 2010). Ties are ranked by index.
    """
    batch, units = hidden.shape
    # Rates are not negative, so their bit patterns sort like their values. The second sort can use
    # ranks, because the power is monotonic.
    order = _stable_order(hidden.view(np.uint32))
    ranks = np.empty((units, batch), np.uint32)
    np.put_along_axis(ranks.T, order, np.arange(units, dtype=np.uint32)[None, :], axis=1)
    order = _stable_order(ranks)
    targets = (np.linspace(0, 1, batch) ** (1 / sparsity - 1)).astype(np.float32)
    out = np.empty((units, batch), np.float32)
    np.put_along_axis(out, order, targets[None, :], axis=1)
    return np.ascontiguousarray(out.T)


def _stable_order(values: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return ``argsort(values, axis=1, kind="stable")`` in a third of the time.

    Values are combined with their indices in 64-bit keys, which are unique and sorted directly.
    """
    keyed = values.astype(np.uint64) << np.uint64(32)
    keyed |= np.arange(values.shape[1], dtype=np.uint64)
    keyed.sort(axis=1)
    keyed &= np.uint64(0xFFFFFFFF)
    order: NDArray[np.int64] = keyed.view(np.int64)
    return order


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _learn32(weights: Any, velocity: Any, fast_weights: Any, contrast: Any, constants: Any) -> Any:
    """Return the new weights, velocity and fast weights; all are flat float32 arrays."""
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


def _noisy(rates: FloatArray, noise: FloatArray) -> FloatArray:
    """Return the rates plus noise, clipped at 0; overwrites `noise`."""
    noise += rates
    np.maximum(noise, np.float32(0), out=noise)
    return noise


def _learned_activity(
    visible: FloatArray, weights: FloatArray, parameters: RBMParameters, transfer: Transfer
) -> FloatArray:
    """Return the hidden rates of the data, moved toward their sparse targets."""
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
    """Return the state after one step of persistent contrastive divergence with fast weights.

    Parameters
    ----------
    visible : float32 array (batch, visible)
        Normalized rates of the data, with one sample per chain.
    learning_rate : float
        Learning rate of the (slow) weights.
    rng : numpy.random.Generator
        Random number generator of the input noise.
    worker : Executor
        Executor with **one** thread. It generates the noise in the order of use and computes the
        data phase while this thread runs the chains; results are as in sequential execution.
    """
    shape = state.weights.shape

    def noise(units: int) -> FloatArray:
        normal = rng.standard_normal((len(visible), units), dtype=np.float32)
        normal *= np.float32(parameters.temperature)
        return normal

    data_noise = worker.submit(noise, shape[0])
    chain_noise = [worker.submit(noise, n) for n in shape[::-1] * parameters.gibbs_steps]
    data_phase = worker.submit(
        lambda: _learned_activity(
            _noisy(visible, data_noise.result()), state.weights, parameters, transfer
        )
    )
    model = state.weights + np.float32(parameters.fast_influence) * state.fast_weights
    squared = np.square(model)
    chain = state.chain
    for down, up in zip(chain_noise[::2], chain_noise[1::2], strict=True):
        fantasy = transfer.layer(_noisy(chain, down.result()), model.T, squared.T)
        chain = transfer.layer(_noisy(fantasy, up.result()), model, squared)
    data_hidden = data_phase.result()

    # <v h>_data - <v h>_model as one product of the stacked phases.
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
