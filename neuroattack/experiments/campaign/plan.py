"""Cells of a campaign: one per attack and image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.deployment.spec import profile_checksum
from neuroattack.experiments.attack_cells import REFERENCE, attack_image
from neuroattack.experiments.campaign.config import AttackChoice, CampaignConfig
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.seeds import attack_seed, random_target_class
from neuroattack.experiments.substitutes import kept_substitutes

__all__ = ["plan_cells"]


def plan_cells(
    config: CampaignConfig,
    images: Sequence[tuple[int, int]],
    n_classes: int,
    substitutes: Mapping[str, str],
) -> list[Cell]:
    """Return all cells, reference attacks first; `substitutes` are the kept files by name."""
    cells: dict[str, Cell] = {}
    for cell in _cells(config, images, n_classes, substitutes):
        cells.setdefault(cell.key, cell)
    return sorted(cells.values(), key=lambda cell: cell.arguments["bound"] != "")


def _cells(
    config: CampaignConfig,
    images: Sequence[tuple[int, int]],
    n_classes: int,
    substitutes: Mapping[str, str],
) -> Iterator[Cell]:
    profiles = {spec: profile_checksum(spec) for spec in config.deployments}
    choices = list(_choices(config))
    # Ordered by image, so that the first results are a sample of all attacks.
    for index, label in images:
        for goal in config.goals:
            target_class = None
            if goal == "random":
                target_class = random_target_class(config.seed, index, label, n_classes)
            maximize = None if goal in ("untargeted", "random") else goal
            for spec in config.deployments:
                common = {
                    "deployment": str(spec),
                    "profile": profiles[spec],
                    "index": index,
                    "label": label,
                    "target_class": target_class,
                    "seed": attack_seed(config.seed, index),
                    **({} if maximize is None else {"maximize": maximize}),
                }
                reference = _cell(
                    {"attack": REFERENCE, "settings": {}, "bound": "", "budget": None, **common}
                )
                for bound in config.bounds:
                    needs_reference = "@" in bound
                    if needs_reference:
                        yield reference
                    for budget, attack in choices:
                        yield _cell(
                            {
                                "attack": attack.name,
                                "settings": attack.settings,
                                "bound": bound,
                                "budget": budget,
                                **common,
                                **kept_substitutes(attack.settings, substitutes),
                            },
                            reference.key if needs_reference else None,
                        )


def _choices(config: CampaignConfig) -> Iterator[tuple[int | None, AttackChoice]]:
    """Return every attack at every budget, or once without one if it queries no target."""
    queried = [each for each in config.attacks if not needs_network(each.make())]
    for budget in config.budgets:
        for attack in queried:
            yield budget, attack
    for attack in config.attacks:
        if attack not in queried:
            yield None, attack


def _cell(arguments: dict[str, Any], after: str | None = None) -> Cell:
    return Cell("attack", attack_image, arguments, after=after)
