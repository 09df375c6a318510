"""Attacks of the Adversarial Robustness Toolbox (ART), with the same query budgets as others.

Each attack is restarted until its queries are spent, since stopping at the first success would stop
at a chance success on a stochastic target. Of all queried images within the bound, score-based
attacks return the one of largest gap, decision-based attacks the nearest one that reached the goal.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.art.target import ArtTarget, Ended, import_art, seeded_generators
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import SearchResult
from neuroattack.attacks.search.best_seen import BestSeen, NearestSeen
from neuroattack.encoding.images import planes_of
from neuroattack.errors import QueryRefusedError, UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_positive

__all__ = ["ZOO", "ArtAttack", "Boundary", "HopSkipJump", "OnePixel", "SimBA", "Square"]

# Larger than any query budget, so that the budget ends the search.
_UNLIMITED = 1_000_000
# ART's L2 Square attack divides a side into five tiles of at least two pixels.
_MIN_SIDE = 10


@dataclass(frozen=True)
class ArtAttack:
    """Base class of the attacks that use ART.

    Parameters
    ----------
    bound : Bound
        Norm bound on the returned image. The search may query images outside it.
    queries : int, optional
        Maximum number of queries.
    seed : int, optional
        Random seed. ART uses NumPy's and Python's global generators, whose states are restored.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0

    _name: ClassVar[str]
    _kind: ClassVar[AttackKind] = "score"

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        """Registered name."""
        return self._name

    @property
    def kind(self) -> AttackKind:
        """Whether the attack is score-based or decision-based."""
        return self._kind

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`.

        Raises
        ------
        UnsupportedFeatureError
            If ART is not installed, the attack is score-based and the target returns labels, or
            ART does not support the image shape or the number of classes.
        """
        check_kind(self, target)
        self.check_fits(target.image_shape, target.n_classes)
        original = valid_original(target, image, goal, self.bound)
        tracker = BestSeen if self._kind == "score" else NearestSeen
        best = tracker(original, goal, self.bound)
        art_target = ArtTarget(
            target,
            original,
            goal,
            best,
            self.queries,
            labels=self._kind == "decision",
            project=self._projection(original),
        )
        classifier = art_target.classifier()
        one_hot = np.eye(target.n_classes)[[_aimed_class(goal)]]
        stopped_by, before = "done", -1
        with seeded_generators(self.seed), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            while art_target.left and art_target.spent > before:
                before = art_target.spent
                tool = self._art_attack(classifier, goal)
                try:
                    tool.generate(planes_of(original)[None].astype(np.float32), y=one_hot)
                except Ended as ended:
                    stopped_by = ended.reason
                except QueryRefusedError:
                    stopped_by = "refused"
                    break
                except (AssertionError, IndexError, ValueError) as error:
                    # ART assumes a deterministic target; a stochastic one can fail its checks.
                    # The images queried so far remain valid.
                    stopped_by = f"{type(error).__name__} in ART"
        return SearchResult(original, best.image, goal, art_target.spent, stopped_by, best.history)

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Raise UnsupportedFeatureError if ART does not support the image shape or the classes."""

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        raise NotImplementedError

    def _projection(
        self, original: NDArray[np.float64]
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        """Return a function applied to ART's images before querying; None for the identity.

        Under ``linf``, images of score-based attacks are clipped to the bound. Decision-based
        attacks start from distant images of another class, so theirs are not.
        """
        if self.bound.norm != "linf" or self._kind != "score":
            return None
        low, high = original - self.bound.maximum, original + self.bound.maximum
        return lambda image: np.clip(image, low, high)


def _aimed_class(goal: Goal) -> int:
    return goal.label if goal.target_class is None else goal.target_class


@dataclass(frozen=True)
class Square(ArtAttack):
    """Square attack, Andriushchenko et al. 2020 (arXiv 1912.00049).

    For ``l2`` and ``linf``, the variant of that norm. For the other bounds, the L-infinity variant
    with pixels at 0 or 1, each image projected to the largest changes that fit the bound (ties in a
    fixed random order). The search continues after a success.

    Parameters
    ----------
    p_init : float, optional
        Fraction of the pixels in the first square, below 1.
    """

    p_init: float = 0.8
    _name: ClassVar[str] = "square"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("p_init", self.p_init)
        if self.p_init >= 1:
            raise ValidationError("p_init", self.p_init, "below 1")

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Raise UnsupportedFeatureError if squares do not fit into the images."""
        del n_classes
        if len(image_shape) < 2:
            raise UnsupportedFeatureError(
                f"attack 'square' (ART): got images of shape {image_shape}, expected "
                "(height, width) or (channels, height, width)"
            )
        height, width = image_shape[-2:]
        if self.bound.norm == "l2":
            if height != width or height < _MIN_SIDE:
                raise UnsupportedFeatureError(
                    f"attack 'square' with an l2 bound (ART): got images of {height} x {width} "
                    f"pixels, expected square images of at least {_MIN_SIDE} x {_MIN_SIDE}"
                )
        elif round(math.sqrt(self.p_init * height * width)) >= min(height, width):
            raise UnsupportedFeatureError(
                f"attack 'square' (ART): a first square of p_init = {self.p_init} of the pixels "
                f"does not fit into images of {height} x {width} pixels; use a smaller p_init"
            )

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        aimed = _aimed_class(goal)

        def loss(images: NDArray[Any], _: NDArray[Any]) -> NDArray[np.float64]:
            fractions = np.asarray(classifier.predict(images), np.float64)
            others = np.delete(fractions, aimed, axis=1).max(axis=1)
            margin: NDArray[np.float64] = fractions[:, aimed] - others
            return margin if goal.target_class is None else -margin

        norm = self.bound.norm
        return import_art("art.attacks.evasion").SquareAttack(
            classifier,
            norm=2 if norm == "l2" else np.inf,
            eps=self.bound.maximum if norm in ("l2", "linf") else 1.0,
            p_init=self.p_init,
            # ART makes three queries per iteration; its schedule then ends with the budget.
            max_iter=max(1, self.queries // 3),
            adv_criterion=lambda fractions, _: np.zeros(len(fractions), bool),
            loss=loss,
            verbose=False,
        )

    def _projection(
        self, original: NDArray[np.float64]
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        if self.bound.norm in ("l2", "linf"):
            return super()._projection(original)
        order = 1 + 1e-6 * np.random.default_rng(self.seed).random(original.size)

        def project(image: NDArray[np.float64]) -> NDArray[np.float64]:
            intended = (image - original).ravel() * order
            change = best_change(self.bound, original, intended)
            return np.clip(original + change.reshape(original.shape), 0.0, 1.0)

        return project


@dataclass(frozen=True)
class SimBA(ArtAttack):
    """Simple black-box attack, pixel by pixel, Guo et al. 2019 (arXiv 1905.07121).

    Parameters
    ----------
    epsilon : float, optional
        Change of a pixel; 0.2 in the paper. For an ``l0`` bound, pixels are set to 0 or 1; for a
        ``linf`` bound, the change is at most the bound.
    """

    epsilon: float = 0.2
    _name: ClassVar[str] = "simba"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("epsilon", self.epsilon)

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        epsilon = self.epsilon
        if self.bound.norm == "l0":
            epsilon = 1.0
        elif self.bound.norm == "linf":
            epsilon = min(epsilon, self.bound.maximum)
        return import_art("art.attacks.evasion").SimBA(
            classifier,
            attack="px",
            order="random",
            epsilon=epsilon,
            max_iter=self.queries,
            # Required by ART even for perturbations in pixel space.
            freq_dim=classifier.input_shape[-1],
            stride=1,
            targeted=goal.target_class is not None,
            verbose=False,
        )


@dataclass(frozen=True)
class ZOO(ArtAttack):
    """Zeroth-order optimization, Chen et al. 2017 (arXiv 1708.03999).

    Parameters
    ----------
    difference : float, optional
        Step of the finite difference. The paper's 1e-4 is too small to change spike counts.
    learning_rate : float, optional
        Learning rate of Adam.
    """

    difference: float = 0.5
    learning_rate: float = 0.1
    _name: ClassVar[str] = "zoo"

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        pixels = int(np.prod(classifier.input_shape))
        return import_art("art.attacks.evasion").ZooAttack(
            classifier,
            targeted=goal.target_class is not None,
            learning_rate=self.learning_rate,
            max_iter=_UNLIMITED,
            initial_const=10.0,
            abort_early=False,
            use_resize=False,
            use_importance=False,
            nb_parallel=min(32, pixels),
            variable_h=self.difference,
            verbose=False,
        )


@dataclass(frozen=True)
class OnePixel(ArtAttack):
    """One-pixel attack, Su et al. 2017 (arXiv 1710.08864), by differential evolution.

    Parameters
    ----------
    pixels : int, optional
        Number of changed pixels, each in all channels, limited by an ``l0`` bound; 1, 3 and 5 in
        the paper.
    """

    pixels: int = 5
    _name: ClassVar[str] = "one-pixel"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("pixels", self.pixels, 1)

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Raise UnsupportedFeatureError for two classes, which ART does not support."""
        del image_shape
        if n_classes == 2:
            raise UnsupportedFeatureError(
                "attack 'one-pixel' (ART): got a target of 2 classes, expected at least 3"
            )

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        most = self.pixels
        if self.bound.norm == "l0":
            channels = classifier.input_shape[0]
            most = min(most, max(int(self.bound.maximum) // channels, 1))
        return import_art("art.attacks.evasion").PixelAttack(
            classifier,
            th=most,
            es=1,
            max_iter=_UNLIMITED,
            targeted=goal.target_class is not None,
            verbose=False,
        )


@dataclass(frozen=True)
class HopSkipJump(ArtAttack):
    """HopSkipJump, Chen et al. 2020 (arXiv 1904.02144), decision-based.

    For ``linf``, the L-infinity variant. For the other bounds, the L2 variant.
    """

    _name: ClassVar[str] = "hop-skip-jump"
    _kind: ClassVar[AttackKind] = "decision"

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        return import_art("art.attacks.evasion").HopSkipJump(
            classifier,
            targeted=goal.target_class is not None,
            norm=np.inf if self.bound.norm == "linf" else 2,
            max_iter=50,
            max_eval=min(10_000, max(100, self.queries // 4)),
            init_eval=min(100, max(1, self.queries // 20)),
            init_size=100,
            verbose=False,
        )


@dataclass(frozen=True)
class Boundary(ArtAttack):
    """Boundary attack, Brendel et al. 2018 (arXiv 1712.04248), decision-based."""

    _name: ClassVar[str] = "boundary"
    _kind: ClassVar[AttackKind] = "decision"

    def _art_attack(self, classifier: Any, goal: Goal) -> Any:
        return import_art("art.attacks.evasion").BoundaryAttack(
            classifier,
            targeted=goal.target_class is not None,
            max_iter=_UNLIMITED,
            init_size=100,
            verbose=False,
        )
