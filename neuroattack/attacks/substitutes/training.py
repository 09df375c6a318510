"""Training of substitutes on the attacker's own data, with scikit-learn."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron
from neuroattack.datasets import Dataset, Split
from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer, check_number

__all__ = ["HIDDEN", "fit_perceptron", "train_substitutes", "training_key"]

HIDDEN: tuple[tuple[int, ...], ...] = ((500, 500), (300,), (800, 800))
"""Hidden layers of the default substitutes."""

# Passes over the images; more for small data sets, to make this number of steps.
_EPOCHS, _STEPS = 12, 800
# Smooths the gradients, and is of the size of the noise of a spike count.
_NOISE = 0.15
_LEARNING_RATE = 1e-3
_BATCH = 256
# Part of the cache key: to be increased when the training changes.
_VERSION = 1


def fit_perceptron(
    split: Split,
    classes: int,
    hidden: Sequence[int],
    *,
    seed: int,
    epochs: int | None = None,
    noise: float = _NOISE,
    on_progress: Callable[[float], None] | None = None,
) -> Perceptron:
    """Train a multilayer perceptron by Adam, with Gaussian noise on its inputs.

    Parameters
    ----------
    split : Split
        Labeled images of the attacker.
    classes : int
        Number of classes.
    hidden : sequence of int
        Numbers of units of the hidden layers.
    seed : int
        Random seed of initial weights, batches and noise.
    epochs : int, optional
        Number of passes over the images, during which the learning rate decreases linearly; by
        default 12, and more for fewer than 17,000 images.
    noise : float, optional
        Standard deviation of the noise on the intensities, new in every epoch.
    on_progress : callable, optional
        Called with the completed fraction.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """
    from sklearn.neural_network import MLPClassifier

    batch = min(_BATCH, len(split))
    if epochs is None:
        epochs = max(_EPOCHS, math.ceil(_STEPS * batch / len(split)))
    check_integer("epochs of a substitute", epochs, 1)
    check_number("noise of a substitute", noise, "[0, inf)")
    if not hidden:
        raise ValidationError("hidden layers of a substitute", "none", "at least one")
    rows = split.images.reshape(len(split), -1)
    rng = np.random.default_rng(seed)
    model = MLPClassifier(
        tuple(hidden),
        alpha=0.0,
        batch_size=batch,
        learning_rate_init=_LEARNING_RATE,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # One pass per call does not converge, which is not meant.
        warnings.simplefilter("ignore")
        for epoch in range(epochs):
            if epoch:
                model._optimizer.learning_rate_init = _LEARNING_RATE * (1 - epoch / epochs)
            noisy = rows + np.float32(noise) * rng.standard_normal(rows.shape, dtype=np.float32)
            model.partial_fit(np.clip(noisy, 0, 1), split.labels, classes=np.arange(classes))
            if on_progress:
                on_progress((epoch + 1) / epochs)
    return _perceptron(model, split.images.shape[1:])


def _perceptron(model: Any, image_shape: tuple[int, ...]) -> Perceptron:
    weights = [layer.astype(np.float32) for layer in model.coefs_]
    biases = [layer.astype(np.float32) for layer in model.intercepts_]
    if model.n_outputs_ == 1:
        # scikit-learn has one logistic output for two classes.
        weights[-1], biases[-1] = _pair(weights[-1]), _pair(biases[-1])
    return Perceptron(tuple(image_shape), tuple(weights), tuple(biases))


def _pair(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros_like(values), values], axis=-1)


def train_substitutes(
    dataset: Dataset,
    *,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> Ensemble:
    """Train the default substitutes (:data:`HIDDEN`) on the training split of a data set.

    Parameters
    ----------
    dataset : Dataset
        Data set of the attacker.
    seed : int, optional
        Random seed; each model has its own.
    on_progress : callable, optional
        Called with the completed fraction.
    """
    members = []
    for number, hidden in enumerate(HIDDEN):

        def report(fraction: float, number: int = number) -> None:
            if on_progress:
                on_progress((number + fraction) / len(HIDDEN))

        state = np.random.SeedSequence([seed, number]).generate_state(1)
        members.append(
            fit_perceptron(
                dataset.train, dataset.classes, hidden, seed=int(state[0]), on_progress=report
            )
        )
    return Ensemble(members)


def training_key(dataset: Dataset, seed: int) -> str:
    """Return a name for the result of :func:`train_substitutes`, by content."""
    text = (
        f"{dataset.checksum} {seed} {HIDDEN} {_EPOCHS} {_STEPS} {_NOISE} {_LEARNING_RATE} {_BATCH}"
    )
    return hashlib.sha256(f"{_VERSION} {text}".encode()).hexdigest()[:16]
