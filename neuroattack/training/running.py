"""Execution of training stages: each step maps data and a state to the next state."""

from __future__ import annotations

import abc
import itertools
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.training.adversarial import AdversarialTraining
from neuroattack.training.fine_tuning import (
    AdamState,
    FineTuningParameters,
    fine_tuning_step,
    initial_adam,
)
from neuroattack.training.inputs import Labels
from neuroattack.training.rbm import (
    RBMParameters,
    RBMState,
    contrastive_divergence_step,
    initial_state,
)
from neuroattack.training.sdbn import forward_rates
from neuroattack.training.siegert import FloatArray, Transfer
from neuroattack.training.stages import Recipe, Schedule

__all__ = ["StageRun", "plan"]

Weights = tuple[FloatArray, ...]


@dataclass(frozen=True)
class StageRun(abc.ABC):
    """Interface of a training stage; the type of its state is internal to the stage."""

    name: str
    schedule: Schedule
    transfer: Transfer

    @property
    @abc.abstractmethod
    def cost(self) -> float:
        """Approximate number of multiplications per image."""

    @abc.abstractmethod
    def data(self, inputs: FloatArray, labels: Labels, weights: Weights) -> FloatArray:
        """Return the training data, one row per image, given input rates and the layers below."""

    @abc.abstractmethod
    def begin(self, images: int, weights: Weights, rng: np.random.Generator) -> Any:
        """Return the state before the first step."""

    @abc.abstractmethod
    def step(
        self,
        state: Any,
        batch: FloatArray,
        labels: Labels,
        learning_rate: float,
        rng: np.random.Generator,
        worker: Executor,
    ) -> Any:
        """Return the state after one gradient step; `worker` is used for parallel work."""

    @abc.abstractmethod
    def weights(self, below: Weights, state: Any) -> Weights:
        """Return the weights of all layers trained so far."""


@dataclass(frozen=True)
class _ContrastiveRun(StageRun):
    """Contrastive divergence of one layer; `classes` of its visible units are label units."""

    parameters: RBMParameters
    visible: int
    hidden: int
    classes: int = 0
    label_rate: float = 0.0

    @property
    def cost(self) -> float:
        return self.visible * self.hidden * (4.0 + 4.0 * self.parameters.gibbs_steps)

    def data(self, inputs: FloatArray, labels: Labels, weights: Weights) -> FloatArray:
        rates = forward_rates(inputs, weights, self.transfer) if weights else inputs
        if not self.classes:
            return rates
        units = np.zeros((len(rates), self.classes), np.float32)
        units[np.arange(len(rates)), labels] = self.label_rate
        return np.concatenate((rates, units), axis=1)

    def begin(self, images: int, _weights: Weights, rng: np.random.Generator) -> RBMState:
        chains = self.schedule.batch_for(images)
        return initial_state(self.visible, self.hidden, chains, self.parameters, rng)

    def step(
        self,
        state: RBMState,
        batch: FloatArray,
        _labels: Labels,
        learning_rate: float,
        rng: np.random.Generator,
        worker: Executor,
    ) -> RBMState:
        return contrastive_divergence_step(
            state, batch, learning_rate, self.parameters, self.transfer, rng, worker
        )

    def weights(self, below: Weights, state: RBMState) -> Weights:
        if not self.classes:
            return (*below, state.weights)
        # The joint RBM is split into two layers.
        lower, upper = state.weights[: -self.classes], state.weights[-self.classes :].T
        return (*below, np.ascontiguousarray(lower), np.ascontiguousarray(upper))


@dataclass(frozen=True)
class _FineTuningRun(StageRun):
    """Supervised fine-tuning of all layers; `full_scale` is the rate of an input at intensity 1."""

    parameters: FineTuningParameters
    sizes: tuple[int, ...]
    full_scale: float
    adversarial: AdversarialTraining | None

    @property
    def cost(self) -> float:
        passes = 1 if self.adversarial is None else 1 + self.adversarial.steps
        return passes * 4.0 * sum(a * b for a, b in itertools.pairwise(self.sizes))

    def data(self, inputs: FloatArray, _labels: Labels, _weights: Weights) -> FloatArray:
        return inputs

    def begin(self, _images: int, weights: Weights, _rng: np.random.Generator) -> AdamState:
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
        if self.adversarial is not None:
            batch = self.adversarial.perturb(
                batch,
                labels,
                state.weights,
                self.transfer,
                self.full_scale,
                self.parameters.logit_gain,
                rng,
            )
        settings = (learning_rate, self.parameters, self.transfer, self.full_scale)
        return fine_tuning_step(state, batch, labels, *settings, rng, worker)

    def weights(self, _below: Weights, state: AdamState) -> Weights:
        return state.weights


def plan(recipe: Recipe, sizes: tuple[int, ...]) -> tuple[StageRun, ...]:
    """Return the stages of a recipe in order, for layers of `sizes` units, input first."""
    transfer = Transfer(recipe.siegert, recipe.rbm_noise_factor)
    *lower, last, classes = sizes
    layers, top, tuning = recipe.layers, recipe.top, recipe.fine_tuning
    runs: list[StageRun] = [
        _ContrastiveRun(
            f"layer {i + 1}", layers.schedule, transfer, layers.parameters, visible, hidden
        )
        for i, (visible, hidden) in enumerate(itertools.pairwise(lower))
    ]
    runs.append(
        _ContrastiveRun(
            "joint top layer",
            top.schedule,
            transfer,
            top.parameters,
            lower[-1] + classes,
            last,
            classes,
            recipe.label_rate,
        )
    )
    if tuning is not None:
        consistent = Transfer(recipe.siegert, recipe.noise_factor)
        runs.append(
            _FineTuningRun(
                "fine-tuning",
                tuning.schedule,
                consistent,
                tuning.parameters,
                sizes,
                recipe.input_scale,
                tuning.adversarial,
            )
        )
    return tuple(runs)
