"""Attacks of others, as the Adversarial Robustness Toolbox (ART) has them, at equal cost.

Each is run until its queries are spent, anew where it ends before: those that stop at the first
success would else stop at a lucky draw. Of all images they showed within the bound the best is
returned, by gap or, of those that see labels only, the nearest that reached the goal.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.art.target import ArtTarget, Ended, global_chance, import_art
from neuroattack.attacks.best_seen import BestSeen, NearestSeen
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.perception import image_sides
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, SearchResult
from neuroattack.errors import QueryRefusedError, UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_positive, check_whole

__all__ = ["ZOO", "ArtAttack", "Boundary", "HopSkipJump", "OnePixel", "SimBA", "Square"]

# More than any budget: the queries end the search, not these.
_FOREVER = 1_000_000
# ART's L2 form of Square has tiles of a fifth of a side, each of at least two pixels.
_LEAST_SIDE = 10


@dataclass(frozen=True)
class ArtAttack:
    """What attacks through ART have in common.

    Parameters
    ----------
    bound : Bound
        Images beyond it are asked about where the attack goes there, and never returned.
    queries : int, optional
        That it spends at most.
    seed : int, optional
        Of its chance: ART draws from NumPy's global generator, which is left as it was.

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
        check_whole("queries of an attack", self.queries, 1)
        check_whole("seed", self.seed, 0)

    @property
    def name(self) -> str:
        """Its registered name."""
        return self._name

    @property
    def kind(self) -> AttackKind:
        """What it must be told."""
        return self._kind

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`.

        Raises
        ------
        UnsupportedFeatureError
            If ART is not installed, the target tells less than the attack needs, or ART's tool
            cannot work on images of its shape or on so few classes.
        """
        check_kind(self, target)
        original = valid_original(target, image, goal)
        self._check_fits(target)
        seen = BestSeen if self._kind == "score" else NearestSeen
        best = seen(original, goal, self.bound)
        asked = ArtTarget(
            target,
            original,
            goal,
            best,
            self.queries,
            labels=self._kind == "decision",
            shown=self._shown(original),
        )
        classifier = asked.classifier()
        wanted = np.eye(target.n_classes)[[self._wanted(goal)]]
        stopped_by, before = "done", -1
        with global_chance(self.seed), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            while asked.left and asked.spent > before:
                before = asked.spent
                tool = self._made(classifier, goal)
                try:
                    tool.generate(original[None, None].astype(np.float32), y=wanted)
                except Ended as ended:
                    stopped_by = ended.reason
                except QueryRefusedError:
                    stopped_by = "refused"
                    break
                except (AssertionError, IndexError, ValueError) as error:
                    # ART's own checks hold for targets that always answer alike; a random one
                    # fails them at times, and what was seen until then stands.
                    stopped_by = f"{type(error).__name__} in ART"
        return SearchResult(original, best.image, goal, asked.spent, stopped_by, best.history)

    def _check_fits(self, target: Target) -> None:
        """Raise UnsupportedFeatureError where ART's tool would fail whatever the answers."""

    def _wanted(self, goal: Goal) -> int:
        return goal.label if goal.target_class is None else goal.target_class

    def _made(self, classifier: Any, goal: Goal) -> Any:
        raise NotImplementedError

    def _shown(
        self, original: NDArray[np.float64]
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        """Return what makes the image that is shown of one that ART asks about; None: the same."""
        del original
        return None


@dataclass(frozen=True)
class Square(ArtAttack):
    """Square attack, Andriushchenko et al. 2020 (arXiv 1912.00049).

    Under ``l2`` its L2 form. It has none for other bounds: there its L-infinity form asks about
    pixels at 0 or 1, and of each image the changes that go farthest within the bound are shown,
    equal ones in an order that is drawn once. It goes on after a success.

    Parameters
    ----------
    p_init : float, optional
        Share of the pixels in the first square, below 1.
    """

    p_init: float = 0.8
    _name: ClassVar[str] = "square"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("p_init", self.p_init)
        if self.p_init >= 1:
            raise ValidationError("p_init", self.p_init, "below 1")

    def _check_fits(self, target: Target) -> None:
        height, width = image_sides(target.image_shape)
        if self.bound.norm == "l2":
            if height != width or height < _LEAST_SIDE:
                raise UnsupportedFeatureError(
                    f"attack 'square' under l2 is ART's, which needs square images of at least "
                    f"{_LEAST_SIDE} x {_LEAST_SIDE} pixels, and the target's are {height} x {width}"
                )
        elif round(math.sqrt(self.p_init * height * width)) >= min(height, width):
            raise UnsupportedFeatureError(
                f"attack 'square' is ART's, whose first square has to fit in an image, and {height}"
                f" x {width} pixels do not hold one of p_init = {self.p_init} of their number"
            )

    def _made(self, classifier: Any, goal: Goal) -> Any:
        mine = self._wanted(goal)

        def loss(images: NDArray[Any], _: NDArray[Any]) -> NDArray[np.float64]:
            fractions = np.asarray(classifier.predict(images), np.float64)
            others = np.delete(fractions, mine, axis=1).max(axis=1)
            ahead: NDArray[np.float64] = fractions[:, mine] - others
            return ahead if goal.target_class is None else -ahead

        l2 = self.bound.norm == "l2"
        return import_art("art.attacks.evasion").SquareAttack(
            classifier,
            norm=2 if l2 else np.inf,
            eps=self.bound.maximum if l2 else 1.0,
            p_init=self.p_init,
            # It asks thrice a step, so that its schedule ends with the queries.
            max_iter=max(1, self.queries // 3),
            adv_criterion=lambda fractions, _: np.zeros(len(fractions), bool),
            loss=loss,
            verbose=False,
        )

    def _shown(
        self, original: NDArray[np.float64]
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        if self.bound.norm == "l2":
            return None
        order = 1 + 1e-6 * np.random.default_rng(self.seed).random(original.size)

        def within(image: NDArray[np.float64]) -> NDArray[np.float64]:
            wanted = (image - original).ravel() * order
            change = best_change(self.bound, original, wanted)
            return np.clip(original + change.reshape(original.shape), 0.0, 1.0)

        return within


@dataclass(frozen=True)
class SimBA(ArtAttack):
    """Simple black-box attack, pixel by pixel, Guo et al. 2019 (arXiv 1905.07121).

    Parameters
    ----------
    epsilon : float, optional
        Size of a move, the paper's 0.2; under ``l0`` pixels move all the way.
    """

    epsilon: float = 0.2
    _name: ClassVar[str] = "simba"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("epsilon", self.epsilon)

    def _made(self, classifier: Any, goal: Goal) -> Any:
        return import_art("art.attacks.evasion").SimBA(
            classifier,
            attack="px",
            order="random",
            epsilon=1.0 if self.bound.norm == "l0" else self.epsilon,
            max_iter=self.queries,
            # ART asks for the two even where pixels and not frequencies are moved.
            freq_dim=classifier.input_shape[-1],
            stride=1,
            targeted=goal.target_class is not None,
            verbose=False,
        )


@dataclass(frozen=True)
class ZOO(ArtAttack):
    """Zeroth-order optimisation, Chen et al. 2017 (arXiv 1708.03999).

    Parameters
    ----------
    difference : float, optional
        Move over which a pixel's derivative is taken. The paper's 1e-4 changes no spike count.
    learning_rate : float, optional
        Of its Adam.
    """

    difference: float = 0.5
    learning_rate: float = 0.1
    _name: ClassVar[str] = "zoo"

    def _made(self, classifier: Any, goal: Goal) -> Any:
        pixels = int(np.prod(classifier.input_shape))
        return import_art("art.attacks.evasion").ZooAttack(
            classifier,
            targeted=goal.target_class is not None,
            learning_rate=self.learning_rate,
            max_iter=_FOREVER,
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
        That it sets, at most as many as the bound holds; the paper has 1, 3 and 5.
    """

    pixels: int = 5
    _name: ClassVar[str] = "one-pixel"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("pixels", self.pixels, 1)

    def _check_fits(self, target: Target) -> None:
        if target.n_classes == 2:
            raise UnsupportedFeatureError(
                "attack 'one-pixel' is ART's, which takes no fewer than 3 classes, and the target "
                "has 2"
            )

    def _made(self, classifier: Any, goal: Goal) -> Any:
        most = self.pixels
        if self.bound.norm == "l0":
            most = min(most, int(self.bound.maximum))
        return import_art("art.attacks.evasion").PixelAttack(
            classifier,
            th=most,
            es=1,
            max_iter=_FOREVER,
            targeted=goal.target_class is not None,
            verbose=False,
        )


@dataclass(frozen=True)
class HopSkipJump(ArtAttack):
    """HopSkipJump, Chen et al. 2020 (arXiv 1904.02144), L2: needs the class alone."""

    _name: ClassVar[str] = "hop-skip-jump"
    _kind: ClassVar[AttackKind] = "decision"

    def _made(self, classifier: Any, goal: Goal) -> Any:
        return import_art("art.attacks.evasion").HopSkipJump(
            classifier,
            targeted=goal.target_class is not None,
            norm=2,
            max_iter=50,
            max_eval=min(10_000, max(100, self.queries // 4)),
            init_eval=min(100, max(1, self.queries // 20)),
            init_size=100,
            verbose=False,
        )


@dataclass(frozen=True)
class Boundary(ArtAttack):
    """Boundary attack, Brendel et al. 2018 (arXiv 1712.04248): needs the class alone."""

    _name: ClassVar[str] = "boundary"
    _kind: ClassVar[AttackKind] = "decision"

    def _made(self, classifier: Any, goal: Goal) -> Any:
        return import_art("art.attacks.evasion").BoundaryAttack(
            classifier,
            targeted=goal.target_class is not None,
            max_iter=_FOREVER,
            init_size=100,
            verbose=False,
        )
