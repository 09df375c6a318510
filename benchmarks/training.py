"""Section ``training``: both recipes on MNIST from scratch, and the Siegert kernel.

A whole training takes minutes and is timed once. The kernel is timed in rounds together with the
two matrix products whose results it processes, ``x @ W`` for the mean and ``x @ W**2`` for the
variance.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import seconds, stated
from benchmarks.writing import with_spread
from neuroattack.datasets import DATA_VARIABLE, load_dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.training import checkpoint_of, describe_progress, train_to_file
from neuroattack.training.conversion import convert
from neuroattack.training.recipes import RECIPES, Progress, train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters, Transfer
from neuroattack.training.stages import Recipe

__all__ = ["measure_training"]

_STEPS = 350
_SHAPES = ((784, 500), (500, 500))
_BATCHES = (50, 200)  # of contrastive divergence, and of fine-tuning
_BLAS_THREADS = (1, 2)
_CALLS = 10  # A call takes 100 us; interruptions by other work may be longer.
_TINY_IMAGES = 500
_TINY_STEPS = 400
_TINY_HIDDEN = (60, 60)


def _tables(figures: Figures) -> list[Table]:
    kernel = Table(
        "Time of the Siegert kernel on one core relative to its two matrix products: median "
        "(lowest to highest of the rounds)",
        ("images", "layer", "threads of the products", "kernel / products"),
        [
            [
                str(one["images"]),
                f"{one['inputs']} to {one['units']}",
                str(one["blas_threads"]),
                with_spread(one, "ratio"),
            ]
            for one in figures["siegert_kernel"]
        ],
    )
    return [_recipes_table(figures), kernel]


def _recipes_table(figures: Figures) -> Table:
    if figures["not_trained"]:
        tiny = figures["tiny_rate_accuracy"]
        return Table(
            f"Recipes: {figures['not_trained']}",
            ("recipe", "accuracy as rates after a few steps on a few digits"),
            [[name, _percent(accuracy)] for name, accuracy in tiny.items()],
        )
    return Table(
        "Both recipes on MNIST, seed 0; each time is that of a single training",
        (
            "recipe",
            "seconds",
            "processor seconds",
            "accuracy as rates",
            f"accuracy in spikes, T = {_STEPS}",
        ),
        [
            [
                name,
                f"{figures[f'{key}_s']:.0f}",
                f"{figures[f'{key}_cpu_s']:.0f}",
                _percent(figures[f"{key}_rate_accuracy"]),
                _percent(figures.get(f"{key}_spiking_accuracy")),
            ]
            for name, key in (("fine-tuned", "fine_tuned"), ("paper", "paper"))
        ],
    )


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.2f} %"


@section("training", _tables)
def measure_training(options: Options) -> Figures:
    """Train both recipes on MNIST, and measure the Siegert kernel."""
    figures = _kernel_figures(rounds=2 if options.quick else 15)
    # This also fills the compilation cache, so that no timed training compiles.
    options.say("training a few steps on a few digits")
    figures["tiny_rate_accuracy"] = {name: _train_tiny(recipe) for name, recipe in RECIPES.items()}
    reason = None
    if options.quick:
        reason = "not trained in quick mode"
    elif options.dataset != "mnist":
        reason = f"measured on MNIST only: set {DATA_VARIABLE}, or use --dataset mnist"
    figures |= {
        "not_trained": reason,
        "fine_tuned_s": None,
        "fine_tuned_spiking_accuracy": None,
        "paper_s": None,
        "paper_rate_accuracy": None,
    }
    return figures if reason else figures | _trained_figures(options)


def _train_tiny(recipe: Recipe) -> float | None:
    """Return the rate accuracy on digits after a few steps of every stage."""

    def shortened(stage):
        schedule = dataclasses.replace(stage.schedule, epochs=1, minimum_steps=_TINY_STEPS)
        return dataclasses.replace(stage, schedule=schedule)

    digits = load_dataset("digits")
    images, labels = digits.train.images[:_TINY_IMAGES], digits.train.labels[:_TINY_IMAGES]
    tiny = dataclasses.replace(
        recipe,
        layers=shortened(recipe.layers),
        top=shortened(recipe.top),
        fine_tuning=recipe.fine_tuning and shortened(recipe.fine_tuning),
    )
    test = (digits.test.images, digits.test.labels)
    return train(images, labels, recipe=tiny, hidden=_TINY_HIDDEN, test=test).rate_accuracy


@dataclass(frozen=True, eq=False)
class _Trained:
    model: SDBN
    file: Path
    wall_s: float
    cpu_s: float


def _trained_figures(options: Options) -> Figures:
    fine_tuned = _train_on_mnist("fine-tuned", options)
    options.say(f"evaluating the model in spikes, T = {_STEPS}")
    test = load_dataset("mnist").test
    with deploy(convert(fine_tuned.model).network, backend="native", steps=_STEPS) as deployment:
        found = evaluate(deployment, test.images, test.labels)
    paper = _train_on_mnist("paper", options)
    return {
        "model": str(fine_tuned.file),
        "fine_tuned_s": fine_tuned.wall_s,
        "fine_tuned_cpu_s": fine_tuned.cpu_s,
        "fine_tuned_rate_accuracy": fine_tuned.model.rate_accuracy,
        "fine_tuned_spiking_accuracy": found.accuracy,
        "fine_tuned_spiking_accuracy_ci95": list(found.accuracy_ci95),
        "paper_s": paper.wall_s,
        "paper_cpu_s": paper.cpu_s,
        "paper_rate_accuracy": paper.model.rate_accuracy,
    }


def _train_on_mnist(recipe: str, options: Options) -> _Trained:
    mnist = load_dataset("mnist")
    target = options.out / f"mnist-{recipe}.h5"
    checkpoint_of(target).unlink(
        missing_ok=True
    )  # Never resume: the time is that of a whole training.
    options.say(f"training {recipe} on MNIST (takes minutes)")

    def say(progress: Progress) -> None:
        options.say(f"{progress.seconds:.0f} s: {describe_progress(progress)}")

    started = time.process_time()
    trained = train_to_file(target, mnist, recipe=recipe, progress=say)
    return _Trained(trained.model, target, trained.seconds, time.process_time() - started)


def _kernel_figures(rounds: int) -> Figures:
    """Time the kernel and its products; the figure is the least favorable of the medians."""
    found = [
        _kernel_ratio(images, inputs, units, blas_threads, rounds)
        for blas_threads in _BLAS_THREADS
        for images in _BATCHES
        for inputs, units in _SHAPES
    ]
    worst = max(found, key=lambda one: one["ratio"])
    return {
        "siegert_kernel_ratio": worst["ratio"],
        "siegert_kernel_ratio_spread": worst["ratio_spread"],
        "siegert_kernel": found,
    }


def _kernel_ratio(images: int, inputs: int, units: int, blas_threads: int, rounds: int) -> Figures:
    rng = np.random.default_rng(0)
    x = np.float32(0.2) * rng.random((images, inputs), dtype=np.float32)
    weights = rng.standard_normal((inputs, units), dtype=np.float32)
    squared = np.square(weights)
    mean, power = x @ weights, x @ squared
    transfer = Transfer(SiegertParameters())

    def products() -> None:
        for _ in range(_CALLS):
            np.matmul(x, weights, out=mean)
            np.matmul(x, squared, out=power)

    def kernel() -> None:
        for _ in range(_CALLS):
            transfer.rates(mean, power)

    with threadpool_limits(limits=blas_threads, user_api="blas"):
        taken_s = seconds({"products": products, "kernel": kernel}, rounds)
    return {
        "images": images,
        "inputs": inputs,
        "units": units,
        "blas_threads": blas_threads,
        **stated("ratio", taken_s["kernel"] / taken_s["products"]),
        **stated("products_s", taken_s["products"] / _CALLS),
        **stated("kernel_s", taken_s["kernel"] / _CALLS),
    }
