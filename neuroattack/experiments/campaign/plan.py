"""What a campaign has to do: one item an attack on an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack import __version__
from neuroattack.experiments.campaign.config import REFERENCE, CampaignConfig
from neuroattack.experiments.engine.cells import digest_of

__all__ = ["Item", "plan_items"]


@dataclass(frozen=True)
class Item:
    """One attack on one image.

    Parameters
    ----------
    place : str
        Where, as :meth:`neuroattack.deployment.spec.DeploymentSpec.from_text` reads it.
    attack : str
        Its name.
    settings : dict
        Of its parameters, what is not as by default.
    limit : str
        ``"l2=2"``; or ``"local_sd@greedy-window"``, whose bound is a reference's distance; or
        ``""``: a reference, Algorithm 1 as the paper runs it, without a limit of queries.
    budget : int or None
        Queries that the search may spend; None without a limit.
    index, label : int
        Test image, and its class.
    target_class : int or None
        What it is to be taken for; None for any wrong class.
    seed : int
        Of the attack's own chance.
    reference : str or None
        Key of the item that the limit waits for.
    """

    place: str
    attack: str
    settings: dict[str, Any]
    limit: str
    budget: int | None
    index: int
    label: int
    target_class: int | None
    seed: int
    reference: str | None = None

    @property
    def key(self) -> str:
        """A digest of all that decides the result, with the network's left to the store."""
        identity = [__version__, self.place, self.attack, self.settings, self.limit, self.budget]
        return digest_of([*identity, self.index, self.target_class, self.seed])


def plan_items(
    config: CampaignConfig, images: Sequence[tuple[int, int]], n_classes: int
) -> list[Item]:
    """Return all items, references first.

    Parameters
    ----------
    config : CampaignConfig
        What to do.
    images : sequence of (index, label)
        Test images.
    n_classes : int
        From which random target classes are drawn.
    """
    items: dict[str, Item] = {}
    for item in _all(config, images, n_classes):
        items.setdefault(item.key, item)
    return sorted(items.values(), key=lambda item: item.limit != "")


def _all(
    config: CampaignConfig, images: Sequence[tuple[int, int]], n_classes: int
) -> Iterator[Item]:
    # Image by image, so that what is done early is a sample of all attacks.
    for index, label in images:
        for goal in config.goals:
            target_class = None
            rng = np.random.default_rng([config.seed, index])
            if goal == "random":
                target_class = int((label + rng.integers(1, n_classes)) % n_classes)
            seed = int(rng.integers(2**31))
            for place in map(str, config.places):
                about = (index, label, target_class, seed)
                reference = Item(place, REFERENCE, {}, "", None, *about)
                for limit in config.limits:
                    waits = "@" in limit
                    if waits:
                        yield reference
                    yield from (
                        Item(
                            place,
                            attack.name,
                            attack.settings,
                            limit,
                            budget,
                            *about,
                            reference.key if waits else None,
                        )
                        for budget in config.budgets
                        for attack in config.attacks
                    )
