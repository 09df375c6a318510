"""The sections of a robustness card, from what the cells of an audit found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from neuroattack.experiments.audit.card import Figure, Section, change_figure, rate_figure
from neuroattack.experiments.audit.suite import NOISES, SHOWN_TRANSFORMED, Suite

__all__ = ["Found", "Key", "sections_of"]

Key = tuple[str, ...]

Found = Mapping[Key, Mapping[str, Any]]
"""Results of cells: ``("accuracy", noise)``, no noise the empty name; ``("originals",)``;
``(attack, queries, image)``; ``("transfer", deployment)``; ``("transformations", name)``;
``("energy",)``."""

_DEPLOYMENT_NAMES = {
    "other-draws": "the same, other draws",
    "fixed-point": "fixed point",
    "half-steps": "half the time steps",
    "double-steps": "twice the time steps",
    "loihi1": "chip loihi1",
}
_COST_NAMES = {
    "spikes": "spikes",
    "input_spikes": "input spikes",
    "synaptic_operations": "synaptic operations",
    "energy_pj_lower": "energy, lower bound",
    "energy_pj_upper": "energy, upper bound",
}


def sections_of(
    suite: Suite, described: Mapping[str, Any], found: Found, skipped: Mapping[str, str]
) -> dict[str, Section]:
    """Return all sections, by name."""
    made_by = f"Images that {suite.attacks[0]} made with {suite.budgets[-1]:,} queries"
    return {
        "clean": _clean(suite, described["accuracy_images"], found),
        "noise": _noise(found),
        "attacks": _attacks(suite, found, skipped),
        "transfer": _transfer(made_by, described["deployments"], found),
        "transformations": _transformations(made_by, found),
        "energy": _energy(made_by, found),
    }


def _clean(suite: Suite, images: int, found: Found) -> Section:
    return Section(
        f"Without any attack: how many of {images:,} test images are classified correctly, and how "
        f"often the {suite.images} that are attacked below are misclassified as they are.",
        (
            _accuracy("clean/accuracy", "accuracy", "clean", found["accuracy", ""]),
            rate_figure(
                "clean/misclassified",
                "attacked images misclassified",
                "clean",
                found["originals",]["rates"][0],
            ),
        ),
        {},
    )


def _noise(found: Found) -> Section:
    figures = []
    for noise in NOISES:
        name = f"{noise.kind}-{noise.delta:g}"
        figures.append(
            _accuracy(
                f"noise/{name}",
                f"{noise.kind} noise",
                f"\u03b4 {noise.delta:g}",
                found["accuracy", name],
            )
        )
    return Section(
        "Accuracy with random noise on those test images; \u03b4 is in the paper\u2019s units, in "
        "which full intensity is 0.2.",
        tuple(figures),
        {},
    )


def _accuracy(key: str, row: str, column: str, found: Mapping[str, Any]) -> Figure:
    low, high = found["ci95"]
    return Figure(key, row, column, found["accuracy"], (low, high), "higher")


def _attacks(suite: Suite, found: Found, skipped: Mapping[str, str]) -> Section:
    figures = []
    for name, queries in itertools.product(suite.attacks, suite.budgets):
        verified = [
            result["success"] for key, result in found.items() if key[:-1] == (name, str(queries))
        ]
        figures.append(
            rate_figure(
                f"attacks/{name}/{queries}",
                name,
                f"{queries:,} queries",
                [each["successes"] / each["trials"] for each in verified],
            )
        )
    return Section(
        f"How often {suite.images} images are misclassified after an untargeted attack of so many "
        f"queries, held to {suite.bound}: mean share of {suite.trials} fresh draws an image, with "
        "its interval over images.",
        tuple(figures),
        skipped,
    )


def _transfer(made_by: str, deployments: list[str], found: Found) -> Section:
    figures, refused = [], {}
    for deployment in deployments:
        result = found["transfer", deployment]
        if "refused" in result:
            refused[deployment] = result["refused"]
        else:
            figures.append(_shown(f"transfer/{deployment}", _DEPLOYMENT_NAMES[deployment], result))
    return Section(
        f"{made_by} on the audited deployment, shown on others of the same network.",
        tuple(figures),
        refused,
    )


def _transformations(made_by: str, found: Found) -> Section:
    return Section(
        f"{made_by}, transformed on their way; unattacked are their originals, transformed alike.",
        tuple(
            _shown(f"transformations/{each.name}", each.name, found["transformations", each.name])
            for each in SHOWN_TRANSFORMED
        ),
        {},
    )


def _shown(key: str, row: str, result: Mapping[str, Any]) -> Figure:
    adversarial, original = result["rates"]
    return rate_figure(key, row, "misclassified", adversarial, original)


def _energy(made_by: str, found: Found) -> Section:
    figures, without = [], {}
    for name, ratios in found["energy",]["ratios"].items():
        known = [ratio for ratio in ratios if ratio is not None]
        if known:
            figures.append(change_figure(f"energy/{name}", _COST_NAMES[name], known))
        else:
            without[name] = "the originals have none"
    return Section(
        f"{made_by}: what they make the network do, relative to their originals under the same "
        "draws.",
        tuple(figures),
        without,
    )
