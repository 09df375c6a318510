"""Both trainings and their models in one form, for the tests that hold for either."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from neuroattack.training.dnn.storage import load_mlp, save_mlp
from neuroattack.training.dnn.training import MLP, train_mlp
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule
from neuroattack.training.storage import load_model, save_model

SMALL = {"hidden": (20, 15), "dataset": "small", "dataset_checksum": "none"}
SHORT = replace(
    RECIPES["fine-tuned"],
    layers=RBMStage(Schedule(3, 1, 50, 0.05), RBMParameters()),
    top=RBMStage(Schedule(3, 1, 50, 0.4), RBMParameters(gibbs_steps=2)),
    fine_tuning=FineTuningStage(Schedule(3, 1, 100, 0.003, 0.0), FineTuningParameters()),
)
SHAPES = ((12, 7), (7, 5), (5, 3))


@functools.cache
def digits():
    """Return scikit-learn's 8 x 8 digits: (training images, labels), (test images, labels)."""
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    labels = bunch.target.astype(np.uint8)
    held_out = np.arange(len(labels)) % 5 == 0
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def few():
    """Return the first 300 digits: so few that not every epoch has a report of its own."""
    (images, labels), _ = digits()
    return images[:300], labels[:300]


def an_sdbn(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "weights": tuple(rng.normal(0, 1e-4, shape).astype(np.float32) for shape in SHAPES),
        "siegert": SiegertParameters(),
        "noise_factor": 1.0,
        "image_shape": (3, 4),
        "recipe": "fine-tuned",
        "dataset": "random",
        "dataset_checksum": "abc",
        "seed": 7,
        "rate_accuracy": 0.5,
    }
    return SDBN(**{**fields, **changes})


def an_mlp(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "weights": tuple(rng.normal(0, 0.7, shape).astype(np.float32) for shape in SHAPES),
        "biases": tuple(rng.normal(0, 0.7, units).astype(np.float32) for _, units in SHAPES),
        "image_shape": (3, 4),
        "dataset": "random",
        "dataset_checksum": "abc",
        "seed": 7,
        "accuracy": 0.5,
        "recipe": "by hand",
    }
    return MLP(**{**fields, **changes})


@dataclass(frozen=True)
class Training:
    """A kind of network: how it is trained in a second, and its model's making and files."""

    train: Callable[..., Any]
    model: Callable[..., Any]
    save: Callable[..., None]
    load: Callable[..., Any]
    report_interval: str
    """Name of the constant that says how rarely progress is reported."""


TRAININGS = {
    "sdbn": Training(
        functools.partial(train, recipe=SHORT),
        an_sdbn,
        save_model,
        load_model,
        "neuroattack.training.recipes._STEPS_PER_REPORT",
    ),
    "dnn": Training(
        functools.partial(train_mlp, iterations=12),
        an_mlp,
        save_mlp,
        load_mlp,
        "neuroattack.training.dnn.training._IMAGES_PER_REPORT",
    ),
}


def arrays(model):
    """Return the weights of a model, and its biases where it has some."""
    return model.weights + getattr(model, "biases", ())


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))
