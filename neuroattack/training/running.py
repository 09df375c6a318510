"""The stages of training at work: each takes data and a state, and gives the next state."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neuroattack.training.fine_tuning import AdamState, fine_tuning_step, initial_adam
from neuroattack.training.rbm import RBMState, contrastive_divergence_step, initial_state
from neuroattack.training.sdbn import forward_rates
from neuroattack.training.siegert import FloatArray, Transfer
from neuroattack.training.stages import FineTuningStage, RBMStage, Recipe, Schedule

__all__ = ["ContrastiveRun", "FineTuningRun", "StageRun", "plan"]

Labels = NDArray[np.integer]
Weights = tuple[FloatArray, ...]


class StageRun(Protocol):
    """What training asks of a stage; the state is the stage's own, and is passed back to it."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def schedule(self) -> Schedule:
        """How long it lasts."""

    @property
    def cost(self) -> float:
        """Multiplications an image, roughly."""

    def data(self, inputs: FloatArray, labels: Labels, weights: Weights, /) -> FloatArray:
        """Return what it trains on, one row an image, given input rates and the layers below."""

    def begin(self, images: int, weights: Weights, rng: np.random.Generator, /) -> Any:
        """Return the state before the first step."""

    def step(
        self,
        state: Any,
        batch: FloatArray,
        labels: Labels,
        learning_rate: float,
        rng: np.random.Generator,
        worker: Executor,
        /,
    ) -> Any:
        """Take one gradient step, with another thread; the state given is left as it is."""

    def weights(self, below: Weights, state: Any, /) -> Weights:
        """Return the network's layers so far."""


@dataclass(frozen=True)
class ContrastiveRun:
    """Contrastive divergence of one layer.

    Attributes
    ----------
    name : str
        For people.
    stage : RBMStage
        Constants.
    transfer : Transfer
        The units.
    visible, hidden : int
        Units of the RBM, label units included.
    classes : int
        Label units among the visible ones; 0 for a layer without.
    label_rate : float
        Normalised rate of the label unit of an image's class.
    """

    name: str
    stage: RBMStage
    transfer: Transfer
    visible: int
    hidden: int
    classes: int
    label_rate: float

    @property
    def schedule(self) -> Schedule:
        """How long it lasts."""
        return self.stage.schedule

    @property
    def cost(self) -> float:
        """Multiplications an image, roughly."""
        return self.visible * self.hidden * (4.0 + 4.0 * self.stage.parameters.gibbs_steps)

    def data(self, inputs: FloatArray, labels: Labels, weights: Weights) -> FloatArray:
        """Return the visible rates of all images, given the layers below."""
        rates = forward_rates(inputs, weights, self.transfer) if weights else inputs
        if not self.classes:
            return rates
        units = np.zeros((len(rates), self.classes), np.float32)
        units[np.arange(len(rates)), labels] = self.label_rate
        return np.concatenate((rates, units), axis=1)

    def begin(self, images: int, _weights: Weights, rng: np.random.Generator) -> RBMState:
        """Return the state before the first step."""
        return initial_state(
            self.visible,
            self.hidden,
            self.schedule.batch_for(images),
            self.stage.parameters,
            rng,
        )

    def step(
        self,
        state: RBMState,
        batch: FloatArray,
        _labels: Labels,
        learning_rate: float,
        rng: np.random.Generator,
        worker: Executor,
    ) -> RBMState:
        """Take one gradient step."""
        return contrastive_divergence_step(
            state, batch, learning_rate, self.stage.parameters, self.transfer, rng, worker
        )

    def weights(self, below: Weights, state: RBMState) -> Weights:
        """Return the network's layers so far; the joint RBM makes two."""
        if not self.classes:
            return (*below, state.weights)
        lower, upper = state.weights[: -self.classes], state.weights[-self.classes :].T
        return (*below, np.ascontiguousarray(lower), np.ascontiguousarray(upper))


@dataclass(frozen=True)
class FineTuningRun:
    """Supervised fine-tuning of all layers.

    Attributes
    ----------
    name : str
        For people.
    stage : FineTuningStage
        Constants.
    transfer : Transfer
        The units.
    sizes : tuple of int
        Units layer by layer, input first.
    full_scale : float
        Normalised rate of an input at full intensity.
    """

    name: str
    stage: FineTuningStage
    transfer: Transfer
    sizes: tuple[int, ...]
    full_scale: float

    @property
    def schedule(self) -> Schedule:
        """How long it lasts."""
        return self.stage.schedule

    @property
    def cost(self) -> float:
        """Multiplications an image, roughly."""
        return 4.0 * sum(a * b for a, b in itertools.pairwise(self.sizes))

    def data(self, inputs: FloatArray, _labels: Labels, _weights: Weights) -> FloatArray:
        """Return the input rates."""
        return inputs

    def begin(self, _images: int, weights: Weights, _rng: np.random.Generator) -> AdamState:
        """Return the state before the first step."""
        return initial_adam(weights)

    def step(
        self,
        state: AdamState,
        batch: FloatArray,
        labels: Labels,
        learning_rate: float,
        rng: np.random.Generator,
        worker: Executor,
    ) -> AdamState:
        """Take one gradient step."""
        return fine_tuning_step(
            state,
            batch,
            labels,
            learning_rate,
            self.stage.parameters,
            self.transfer,
            self.full_scale,
            rng,
            worker,
        )

    def weights(self, _below: Weights, state: AdamState) -> Weights:
        """Return the network's layers."""
        return state.weights


def plan(recipe: Recipe, sizes: tuple[int, ...]) -> tuple[StageRun, ...]:
    """Lay out the stages of a recipe for a network.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    sizes : tuple of int
        Units layer by layer: pixels, hidden layers, classes.

    Returns
    -------
    tuple of StageRun
        In the order in which they run.
    """
    transfer = Transfer(recipe.siegert, recipe.rbm_noise_factor)
    *lower, last, classes = sizes
    runs: list[StageRun] = [
        ContrastiveRun(f"layer {i + 1}", recipe.layers, transfer, visible, hidden, 0, 0.0)
        for i, (visible, hidden) in enumerate(itertools.pairwise(lower))
    ]
    runs.append(
        ContrastiveRun(
            "joint top layer",
            recipe.top,
            transfer,
            lower[-1] + classes,
            last,
            classes,
            recipe.label_rate,
        )
    )
    if recipe.fine_tuning is not None:
        runs.append(
            FineTuningRun(
                "fine-tuning",
                recipe.fine_tuning,
                Transfer(recipe.siegert, recipe.noise_factor),
                sizes,
                recipe.input_scale,
            )
        )
    return tuple(runs)
