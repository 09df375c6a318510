"""The interface of attacks that receive the network itself."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from numpy.typing import ArrayLike

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import Attack
from neuroattack.attacks.result import SearchResult
from neuroattack.deployment.deployment import Deployment

__all__ = ["WhiteBoxAttack", "needs_network"]


class WhiteBoxAttack(Attack, Protocol):
    """Attack of the kind ``"gradients"``, which receives the network and queries no target."""

    def run_on(self, deployment: Deployment, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image of a deployed network; the result has 0 queries.

        Its simulations use other random numbers than verifications.
        """
        ...


def needs_network(attack: Attack) -> TypeGuard[WhiteBoxAttack]:
    """Return whether an attack is of the kind ``"gradients"``."""
    return attack.kind == "gradients"
