"""Substitute training: label images by queries, train a substitute on them, attack it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import aims_of, ascend
from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.attacks.protocol import AttackKind, ThreatModel, check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.attacks.search.selection import Candidate, Trials
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.datasets.catalog import load_dataset
from neuroattack.datasets.dataset import Split
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_number

__all__ = ["SubstituteTraining", "augmented"]

_Array = NDArray[np.float64]

_QUERY_BATCH = 256
_HIDDEN = 100
# Adam steps per substitute: enough to fit hundreds of images, few enough for 10,000 queries.
_EPOCHS, _LEAST_STEPS, _MOST_STEPS = 30, 100, 400
_BATCH = 128
_LEARNING_RATE = 1e-3
_DECAYS = (0.9, 0.999)
# Gaussian noise on the inputs; it smooths the gradients, which then transfer better.
_NOISE = 0.15


@dataclass(frozen=True)
class SubstituteTraining:
    """Substitute training with Jacobian-based augmentation, Papernot et al. 2017.

    The attacker has a few images like those of the target's training set. The target labels them,
    and a substitute is trained on them. Then each image x is augmented by x + lambda *
    sign(dF_c/dx), with the substitute's output F_c of the class c that the target predicts; the
    target labels the new images, and the substitute is trained further. This is repeated until the
    queries are spent, except those of the selection. If fewer queries are left than there are
    images, a random subset is augmented (reservoir sampling). The attack on the substitute is PGD
    within the bound, with one candidate for the goal and, if it is untargeted, one per wrong class;
    repeated trials select one of them by successive halving.

    Each attacked image trains a substitute of its own, and all its queries are counted.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    queries : int, optional
        Maximum number of queries.
    seed : int, optional
        Random seed of the initial images and the substitute.
    dataset : str or Split, optional
        Data set whose training part has the initial images, or these images. By default the
        attacked image is the only initial image; it is always one of them.
    seed_images : int, optional
        Number of initial images, at most half of the queries.
    perturbation : float, optional
        Change of a pixel in the augmentation, lambda in the paper.
    selection_fraction : float, optional
        Fraction of the queries used to select among the candidates of an untargeted attack.

    Raises
    ------
    ValidationError
        If a parameter is out of range.

    Notes
    -----
    The paper trains on the predicted classes and attacks with one step of the fast gradient sign
    method. Here the targets of the cross-entropy are the output spike fractions, which contain more
    information; they are the predicted classes where the target returns only labels.

    References
    ----------
    N. Papernot, P. McDaniel, I. Goodfellow, S. Jha, Z. B. Celik, A. Swami, "Practical Black-Box
    Attacks against Machine Learning", AsiaCCS 2017 (arXiv 1602.02697). Reservoir sampling: N.
    Papernot, P. McDaniel, I. Goodfellow, "Transferability in Machine Learning", arXiv 1605.07277.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0
    dataset: str | Split | None = None
    seed_images: int = 150
    perturbation: float = 0.1
    selection_fraction: float = 0.1

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        check_integer("seed_images", self.seed_images, 1)
        check_number("perturbation", self.perturbation, "(0, 1]")
        check_number("selection_fraction", self.selection_fraction, "(0, 1]")

    @property
    def name(self) -> str:
        """``"substitute-training"``."""
        return "substitute-training"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: counts make it more efficient, but labels suffice."""
        return "decision"

    @property
    def threat_model(self) -> ThreatModel:
        """``"small labeled set"``, or ``"no data"`` without a data set."""
        return "no data" if self.dataset is None else "small labeled set"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound)
        rng = np.random.default_rng(self.seed)
        trials = Trials(target, goal, self.queries)
        training = trials.left
        if goal.target_class is None:
            training -= int(trials.left * self.selection_fraction)
        initial = self._initial(original, min(self.seed_images, (training + 1) // 2), rng)
        labeled = _Labeled(trials, original.shape, target.n_classes)
        learner = _Learner(original.size, target.n_classes, rng)
        stopped_by = "budget"
        try:
            self._train(learner, labeled, initial, training, rng)
        except QueryRefusedError:
            stopped_by = "refused"
            if len(labeled.images):
                learner.fit(labeled.images, labeled.fractions)
        best = Candidate(original)
        if len(labeled.images):
            aims = aims_of(goal, target.n_classes)
            model = learner.perceptron(original.shape)
            found = ascend(model, np.stack([original] * len(aims)), aims, self.bound)
            candidates = [Candidate(image) for image in found]
            best = candidates[0]
            if stopped_by != "refused":
                try:
                    best = trials.halve(candidates, trials.left)
                except QueryRefusedError:
                    stopped_by = "refused"
        history = (Incumbent(original, -np.inf, 0), Incumbent(best.image, best.gap, trials.spent))
        return SearchResult(original, best.image, goal, trials.spent, stopped_by, history)

    def _train(
        self,
        learner: _Learner,
        labeled: _Labeled,
        initial: _Array,
        queries: int,
        rng: np.random.Generator,
    ) -> None:
        """Label, train and augment until the queries are spent."""
        labeled.add(initial)
        while True:
            learner.fit(labeled.images, labeled.fractions)
            known = len(labeled.images)
            if known >= queries:
                return
            chosen = np.arange(known)
            if known > queries - known:
                chosen = rng.choice(known, queries - known, replace=False)
            model = learner.perceptron(initial.shape[1:])
            images, classes = labeled.images[chosen], labeled.classes[chosen]
            labeled.add(augmented(model, images, classes, self.perturbation))

    def _initial(self, original: _Array, count: int, rng: np.random.Generator) -> _Array:
        """Return the attacked image and `count` - 1 images of the data set."""
        if self.dataset is None:
            return original[None]
        split = self.dataset
        if isinstance(split, str):
            split = _training_images(split)
        if split.images.shape[1:] != original.shape:
            raise ValidationError(
                "data set of the substitute",
                f"images of shape {split.images.shape[1:]}",
                f"those of the target, {original.shape}",
            )
        chosen = rng.choice(len(split), min(max(count - 1, 0), len(split)), replace=False)
        return np.concatenate([original[None], split.images[chosen].astype(np.float64)])


@functools.lru_cache(maxsize=2)
def _training_images(dataset: str) -> Split:
    return load_dataset(dataset).train


def augmented(
    model: Differentiable, images: _Array, classes: NDArray[np.intp], perturbation: float
) -> _Array:
    """Return images changed by +-perturbation along the signs of a class score's gradient.

    Parameters
    ----------
    model : Differentiable
        Substitute.
    images : float64 array, shape (images, ...)
        Images to change; the results are clipped to [0, 1].
    classes : int array, shape (images,)
        Class whose score is differentiated, per image.
    perturbation : float
        Change of each pixel, lambda in the paper.
    """
    _, pullback = model.linearize(images)
    # The logarithm of a score has a gradient of the same signs.
    gradient = pullback(np.eye(model.n_classes)[classes])
    return np.clip(images + perturbation * np.sign(gradient), 0.0, 1.0)


class _Labeled:
    """Images with the counts that the target returned."""

    def __init__(self, trials: Trials, image_shape: tuple[int, ...], classes: int) -> None:
        self._trials = trials
        self.images: _Array = np.empty((0, *image_shape))
        self._counts: _Array = np.empty((0, classes))

    def add(self, images: _Array) -> None:
        """Query images; those of a refused batch are not added."""
        for start in range(0, len(images), _QUERY_BATCH):
            batch = images[start : start + _QUERY_BATCH]
            counts = self._trials.query(batch)
            self.images = np.concatenate([self.images, batch])
            self._counts = np.concatenate([self._counts, counts])

    @property
    def fractions(self) -> _Array:
        """Output spike fractions, shape (images, classes); equal without any spike."""
        totals = self._counts.sum(axis=1, keepdims=True)
        fractions = np.full_like(self._counts, 1 / self._counts.shape[1])
        np.divide(self._counts, totals, out=fractions, where=totals > 0)
        return fractions

    @property
    def classes(self) -> NDArray[np.intp]:
        """Classes of the largest count, the first of several."""
        return np.asarray(self._counts.argmax(axis=1))


class _Learner:
    """Perceptron with one hidden layer, trained by Adam on class fractions.

    scikit-learn's classifier accepts only classes, and its regressor has no softmax.
    """

    def __init__(self, inputs: int, classes: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._parameters = [
            self._initial(inputs, _HIDDEN),
            np.zeros(_HIDDEN, np.float32),
            self._initial(_HIDDEN, classes),
            np.zeros(classes, np.float32),
        ]
        self._means = [np.zeros_like(each) for each in self._parameters]
        self._squares = [np.zeros_like(each) for each in self._parameters]
        self._steps = 0

    def _initial(self, inputs: int, units: int) -> NDArray[np.float32]:
        weights = self._rng.standard_normal((inputs, units), dtype=np.float32)
        weights *= np.float32(math.sqrt(2 / inputs))
        return weights

    def fit(self, images: _Array, fractions: _Array) -> None:
        """Train further on all images; the learning rate decreases linearly to 0."""
        rows = images.reshape(len(images), -1).astype(np.float32)
        targets = fractions.astype(np.float32)
        batch = min(_BATCH, len(rows))
        steps = int(np.clip(_EPOCHS * len(rows) // batch, _LEAST_STEPS, _MOST_STEPS))
        order = np.empty(0, np.intp)
        for step in range(steps):
            if len(order) < batch:
                order = self._rng.permutation(len(rows))
            chosen, order = order[:batch], order[batch:]
            noise = self._rng.standard_normal((batch, rows.shape[1]), dtype=np.float32)
            inputs = np.clip(rows[chosen] + np.float32(_NOISE) * noise, 0, 1)
            self._step(inputs, targets[chosen], _LEARNING_RATE * (1 - step / steps))

    def _step(self, inputs: NDArray[np.float32], targets: NDArray[np.float32], rate: float) -> None:
        first, first_bias, second, second_bias = self._parameters
        hidden = np.maximum(inputs @ first + first_bias, 0)
        logits = hidden @ second + second_bias
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (scores / scores.sum(axis=1, keepdims=True) - targets) / len(inputs)
        back = (error @ second.T) * (hidden > 0)
        gradients = (inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0))
        self._steps += 1
        fast, slow = _DECAYS
        rate *= math.sqrt(1 - slow**self._steps) / (1 - fast**self._steps)
        for number, gradient in enumerate(gradients):
            mean, square = self._means[number], self._squares[number]
            mean += np.float32(1 - fast) * (gradient - mean)
            square += np.float32(1 - slow) * (gradient**2 - square)
            change = np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
            self._parameters[number] -= change

    def perceptron(self, image_shape: tuple[int, ...]) -> Perceptron:
        """Return a copy of the current perceptron."""
        first, first_bias, second, second_bias = (each.copy() for each in self._parameters)
        return Perceptron(image_shape, (first, second), (first_bias, second_bias))
