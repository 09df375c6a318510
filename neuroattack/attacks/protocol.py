"""The interface of attacks: parameters in the constructor; target, image and goal in `run`."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import SearchResult
from neuroattack.encoding.images import validate_images
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.targets.black_box import Target

__all__ = [
    "Attack",
    "AttackKind",
    "ThreatModel",
    "check_bound",
    "check_fits",
    "check_kind",
    "threat_model",
    "valid_original",
]

AttackKind = Literal["score", "decision", "gradients"]
"""What an attack needs: spike counts (score-based), the class only (decision-based), or the network
itself (gradients), for white-box references."""

ThreatModel = Literal["no data", "small labeled set", "data", "data and architecture", "white-box"]
"""What the attacker has in addition to queries: nothing, a few labeled images, the training data of
the network, also its architecture and training method, or the network itself."""


class Attack(Protocol):
    """Search for adversarial images by queries to a black box."""

    @property
    def name(self) -> str:
        """Name in results, such as ``"count-regression"``."""
        ...

    @property
    def kind(self) -> AttackKind:
        """Whether the attack is score-based, decision-based or needs the network."""
        ...

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image.

        Parameters
        ----------
        target : Target
            Black box to query.
        image : float array of the target's image shape
            Clean image, intensities in [0, 1].
        goal : Goal
            True class and optional target class.

        Raises
        ------
        ValidationError
            If the image or the goal does not fit the target.
        UnsupportedFeatureError
            If the attack is score-based and the target returns labels, or the attack does not
            support images of that shape or that number of classes.
        BudgetExceededError
            If the budget is smaller than the minimum that the attack needs.
        """
        ...


def threat_model(attack: Attack) -> ThreatModel:
    """Return the attribute `threat_model` of an attack, by default what its kind implies."""
    default: ThreatModel = "white-box" if attack.kind == "gradients" else "no data"
    model: ThreatModel = getattr(attack, "threat_model", default)
    return model


def check_bound(attack: Attack) -> None:
    """Raise UnsupportedFeatureError if an attack has a bound on events that it does not support.

    If it supports the bound, it has a true attribute `supports_events`.
    """
    bound: Bound | None = getattr(attack, "bound", None)
    if bound is not None and bound.is_of_events and not getattr(attack, "supports_events", False):
        raise UnsupportedFeatureError(
            f"attack {attack.name!r} does not support the norm {bound.norm!r} of event samples"
        )


def check_kind(attack: Attack, target: Target) -> None:
    """Raise UnsupportedFeatureError if a target does not give what an attack needs.

    A score-based attack needs counts, and a white-box attack is not run on a black box. Bounds on
    events need an attack that supports them, see :func:`check_bound`.
    """
    check_bound(attack)
    if attack.kind == "gradients":
        raise UnsupportedFeatureError(
            f"attack {attack.name!r} needs the network itself, which the target does not give; "
            "run it on a deployment of the network"
        )
    if attack.kind == "score" and target.response == "labels":
        raise UnsupportedFeatureError(
            f"attack {attack.name!r} is score-based and needs spike counts, but the target "
            "returns labels; use a decision-based attack"
        )


def check_fits(attack: Attack, image_shape: tuple[int, ...], n_classes: int) -> None:
    """Raise an error if an attack does not support images of a shape or a number of classes.

    The bound of the attack is checked, and the attack's own method `check_fits`, if it has one.

    Raises
    ------
    ValidationError
        If the norm of the bound is not defined for images of that shape.
    UnsupportedFeatureError
        If the attack does not support the shape or the number of classes.
    """
    check_bound(attack)
    bound: Bound | None = getattr(attack, "bound", None)
    if bound is not None:
        bound.check_shape(image_shape)
    check = getattr(attack, "check_fits", None)
    if check is not None:
        check(image_shape, n_classes)


def valid_original(
    target: Target,
    image: ArrayLike,
    goal: Goal,
    bound: Bound | None = None,
    *,
    any_goal: bool = False,
) -> NDArray[np.float64]:
    """Return the image as float64; raise ValidationError if it, the goal or the bound do not fit.

    The image has the target's image shape, which may have any number of axes. Only with `any_goal`
    may the goal be to maximize a quantity.

    Raises
    ------
    ValidationError
        If something does not fit, or the target does not have the meter of the goal.
    UnsupportedFeatureError
        If the goal is to maximize a quantity, without `any_goal`.
    """
    shape = target.image_shape
    goal.check(target.n_classes)
    if goal.maximize is not None and not any_goal:
        raise UnsupportedFeatureError(
            f"goal {goal.maximize!r}: this attack changes classes; use count-regression, "
            "random-noise or white-box"
        )
    goal.check_responses(target.meter, target.response)
    if bound is not None:
        bound.check_shape(shape)
    rows = validate_images(np.asarray(image)[None], shape)
    return rows.reshape(shape)
