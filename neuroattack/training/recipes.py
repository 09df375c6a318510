"""Named training recipes, and the training of SDBNs."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from neuroattack.datasets.noise import Noise
from neuroattack.errors import FileError, UnknownNameError, ValidationError
from neuroattack.training.adversarial import AdversarialTraining
from neuroattack.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.inputs import Labels, TrainingData
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.running import StageRun, plan
from neuroattack.training.sdbn import SDBN, forward_rates
from neuroattack.training.siegert import FloatArray, SiegertParameters, Transfer
from neuroattack.training.stages import FineTuningStage, RBMStage, Recipe, Schedule

__all__ = ["DEFAULT_RECIPE", "RECIPES", "Progress", "find_recipe", "train"]

_EDBN_NOISE_FACTOR = 1 / SiegertParameters().t_ref_s

DEFAULT_RECIPE = "fine-tuned"

_ADVERSARIAL = "adversarial_l2"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="fine-tuned",
            layers=RBMStage(Schedule(1, 300, 50, 0.2), RBMParameters()),
            top=RBMStage(Schedule(2, 300, 50, 1.0), RBMParameters(momentum=0.95)),
            rbm_noise_factor=_EDBN_NOISE_FACTOR,
            fine_tuning=FineTuningStage(
                Schedule(10, 600, 200, 0.003, final_fraction=0.0), FineTuningParameters()
            ),
        ),
        Recipe(
            name="paper",
            # With a smaller decay, fast weights overshoot on backgrounds that are not dark: the
            # chains diverge, and all units become silent.
            layers=RBMStage(
                Schedule(3, 1500, 50, 0.2), RBMParameters(gibbs_steps=2, fast_decay=0.5)
            ),
            top=RBMStage(Schedule(8, 4000, 50, 0.5), RBMParameters()),
            rbm_noise_factor=_EDBN_NOISE_FACTOR,
        ),
    )
}

# Epochs on small data sets are too short for a progress report and checkpoint each.
_STEPS_PER_REPORT = 100
_TEST_IMAGES_PER_REPORT = 1000


@dataclass(frozen=True)
class Progress:
    """Progress report of a training.

    Attributes
    ----------
    stage : str
        Name of the stage.
    epoch, epochs : int
        Number of completed epochs of the stage, and their total number.
    fraction : float
        Completed fraction of the training, in [0, 1], measured in multiplications.
    accuracy : float or None
        Accuracy of the current rate network on the first 1,000 **test** images, for information
        only: the training does not depend on it. None before there is an output layer, or without
        test images.
    seconds : float
        Time since this call of :func:`train` began, in seconds.
    """

    stage: str
    epoch: int
    epochs: int
    fraction: float
    accuracy: float | None
    seconds: float


def train(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    recipe: str | Recipe = DEFAULT_RECIPE,
    seed: int = 0,
    hidden: tuple[int, ...] = (500, 500),
    classes: int = 10,
    dataset: str = "unnamed",
    dataset_checksum: str = "",
    test: tuple[ArrayLike, ArrayLike] | None = None,
    noise: Noise | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> SDBN:
    """Train a spiking deep belief network.

    The same arguments give the same network, bit for bit on the same machine, also if the training
    is interrupted and resumed.

    Parameters
    ----------
    images : array_like (n, h, w)
        Intensities in [0, 1].
    labels : integer array_like (n,)
        Classes, from 0 to `classes` - 1.
    recipe : str or Recipe, optional
        Name in :data:`RECIPES`, for adversarial training with the L2 bound of the images, as in
        ``"fine-tuned,adversarial_l2=1.5"``; or a recipe.
    seed : int, optional
        Random seed.
    hidden : tuple of int, optional
        Sizes of the hidden layers, at least one.
    classes : int, optional
        Number of classes (output units), at least 2.
    dataset, dataset_checksum : str, optional
        Provenance, stored with the model.
    test : (images, labels), optional
        Held-out images: the model's `rate_accuracy` is measured on all of them at the end, the
        accuracy in progress reports on the first 1,000. They do not influence the training.
    noise : Noise, optional
        Noise that is added once to the training images before training.
    checkpoint : path, optional
        Checkpoint file, written after every epoch; for small data sets, after as many epochs as
        make 100 gradient steps.
    resume : bool, optional
        Resume from `checkpoint`.
    progress : callable, optional
        Function called with a :class:`Progress` at the same intervals, after any checkpoint.
        An exception that it raises, such as KeyboardInterrupt, stops the training.

    Returns
    -------
    SDBN

    Raises
    ------
    UnknownNameError
        If there is no such recipe.
    ValidationError
        If images, labels or sizes are invalid.
    FileError
        If the checkpoint cannot be read, or is of another training (data, recipe, seed, sizes).
    OutputError
        If the checkpoint cannot be written.
    """
    started = time.monotonic()
    recipe = find_recipe(recipe)
    data = TrainingData.of(images, labels, test, hidden, classes, seed, noise)
    if resume and checkpoint is None:
        raise ValidationError("resume", "no checkpoint", "the checkpoint to resume from")

    count = len(data.rows)
    runs = plan(recipe, data.sizes)
    transfer = Transfer(recipe.siegert, recipe.noise_factor)
    scale = np.float32(recipe.input_scale)
    rng = np.random.default_rng(seed)
    state = TrainingState(0, 0, (), None, rng.bit_generator.state)
    identity: dict[str, str] = {}
    if checkpoint is not None:
        constants = json.dumps(dataclasses.asdict(recipe), sort_keys=True)
        identity = {"recipe": recipe.name, "recipe constants": constants, **data.identity()}
        if resume:
            state = load_checkpoint(checkpoint, identity)
            _check_state(checkpoint, state, runs, count)
            rng.bit_generator.state = state.random

    def measure(weights: tuple[FloatArray, ...], limit: int | None) -> float | None:
        if len(weights) < len(data.sizes) - 1:
            return None
        return data.accuracy(lambda rows: forward_rates(rows * scale, weights, transfer), limit)

    def report(state: TrainingState) -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, identity)
        if progress is not None:
            run = runs[state.stage]
            progress(
                Progress(
                    run.name,
                    state.epoch,
                    run.schedule.epochs_for(count),
                    _fraction_done(state, runs, count),
                    measure(run.weights(state.weights, state.inner), _TEST_IMAGES_PER_REPORT),
                    time.monotonic() - started,
                )
            )

    inputs = data.rows * scale
    # One BLAS thread per product: synchronizing a second thread costs too much for small products,
    # and the sums do not depend on the number of cores. The worker uses a second core.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(1) as worker:
        for stage in range(state.stage, len(runs)):
            state = _run_stage(runs[stage], state, inputs, data.labels, rng, worker, report)
            weights = runs[stage].weights(state.weights, state.inner)
            state = TrainingState(stage + 1, 0, weights, None, rng.bit_generator.state)

    t_ref = np.float32(recipe.siegert.t_ref_s)
    return SDBN(
        weights=tuple(weights * t_ref for weights in state.weights),
        siegert=recipe.siegert,
        noise_factor=recipe.noise_factor,
        image_shape=data.image_shape,
        recipe=recipe.name if noise is None else f"{recipe.name}, {noise.description}",
        dataset=dataset,
        dataset_checksum=dataset_checksum,
        seed=seed,
        input_scale=recipe.input_scale,
        rate_accuracy=measure(state.weights, None),
    )


def find_recipe(recipe: str | Recipe) -> Recipe:
    """Return the recipe of a name, with settings such as ``fine-tuned,adversarial_l2=1.5``.

    Raises
    ------
    UnknownNameError
        If there is no such recipe or setting.
    ValidationError
        If the setting is invalid, or the recipe has no fine-tuning.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name, comma, setting = recipe.partition(",")
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    found = RECIPES[name]
    if not comma:
        return found
    key, _, value = setting.partition("=")
    if key != _ADVERSARIAL:
        raise UnknownNameError("setting of a recipe", key, [_ADVERSARIAL])
    if found.fine_tuning is None:
        raise ValidationError(f"{key} of recipe {name!r}", value, "a recipe with fine-tuning")
    try:
        adversarial = AdversarialTraining(float(value))
    except ValueError:
        raise ValidationError(f"{key} of a recipe", repr(value), "a positive number") from None
    tuning = dataclasses.replace(found.fine_tuning, adversarial=adversarial)
    # The name of a recipe determines it: model files contain nothing else of the recipe.
    return dataclasses.replace(
        found, name=f"{name},{_ADVERSARIAL}={adversarial.l2:g}", fine_tuning=tuning
    )


def _run_stage(
    run: StageRun,
    state: TrainingState,
    inputs: FloatArray,
    labels: Labels,
    rng: np.random.Generator,
    worker: Executor,
    report: Callable[[TrainingState], None],
) -> TrainingState:
    count = len(inputs)
    schedule = run.schedule
    batch = schedule.batch_for(count)
    steps = schedule.steps_per_epoch(count)
    epochs = schedule.epochs_for(count)
    epochs_per_report = -(-_STEPS_PER_REPORT // steps)
    data = run.data(inputs, labels, state.weights)
    inner = run.begin(count, state.weights, rng) if state.inner is None else state.inner
    for epoch in range(state.epoch, epochs):
        order = rng.permutation(count)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            rate = schedule.learning_rate_at((epoch * steps + step) / (epochs * steps))
            inner = run.step(inner, data[chosen], labels[chosen], rate, rng, worker)
        done = epoch + 1
        state = TrainingState(state.stage, done, state.weights, inner, rng.bit_generator.state)
        if done % epochs_per_report == 0 or done == epochs:
            report(state)
    return state


def _fraction_done(state: TrainingState, runs: tuple[StageRun, ...], count: int) -> float:
    def cost(run: StageRun, epochs: int) -> float:
        schedule = run.schedule
        return run.cost * epochs * schedule.steps_per_epoch(count) * schedule.batch_for(count)

    total = sum(cost(run, run.schedule.epochs_for(count)) for run in runs)
    done = sum(cost(run, run.schedule.epochs_for(count)) for run in runs[: state.stage])
    return (done + cost(runs[state.stage], state.epoch)) / total


def _check_state(
    path: str | os.PathLike[str], state: TrainingState, runs: tuple[StageRun, ...], count: int
) -> None:
    """Raise FileError if the state of a checkpoint is inconsistent with the training."""
    if not 0 <= state.stage < len(runs):
        raise FileError(path, f"stage is {state.stage}, expected 0 to {len(runs) - 1}")
    run = runs[state.stage]
    epochs = run.schedule.epochs_for(count)
    if not 1 <= state.epoch <= epochs:
        raise FileError(path, f"epoch is {state.epoch}, expected 1 to {epochs}")
    scratch = np.random.default_rng(0)
    below: tuple[FloatArray, ...] = ()
    for earlier in runs[: state.stage]:
        below = earlier.weights(below, earlier.begin(count, below, scratch))
    if _shapes(state.weights, state.inner) != _shapes(below, run.begin(count, below, scratch)):
        raise FileError(path, "is damaged: the shapes of its arrays differ from the training's")


def _shapes(weights: tuple[FloatArray, ...], inner: object) -> list[object]:
    """Return the type of the state and the shapes of all arrays."""
    parts = [part if isinstance(part, tuple) else (part,) for part in vars(inner).values()]
    return [type(inner), *(np.shape(array) for part in (weights, *parts) for array in part)]
