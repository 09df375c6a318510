"""Build the sections of a robustness card from the results of an audit's cells."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from typing import Any

from neuroattack.experiments.audit.card import Figure, Section, change_figure, rate_figure
from neuroattack.experiments.audit.suite import (
    AUDIT_TRANSFORMATIONS,
    FAULT_RATES,
    NOISES,
    Suite,
)
from neuroattack.experiments.campaign.bracket import WHITE_BOX, Bracket, bracket_of
from neuroattack.statistics import mean_interval

__all__ = [
    "QUANTITY",
    "QUANTITY_ATTACK",
    "REFERENCE",
    "Key",
    "Results",
    "bracket_of_audit",
    "sections_of",
]

Key = tuple[str, ...]

Results = Mapping[Key, Mapping[str, Any]]
"""Results of cells: ``("accuracy", noise)``, with the empty name for no noise; ``("originals",)``;
``(attack, queries, image)``; ``("quantity", name, image)``; ``("faults", rate, map)``;
``("reference", image)``;
``("transfer", deployment)``; ``("transformations", name)``; ``("energy",)``."""

REFERENCE = "reference"
"""First part of the key of the results of the white-box reference."""

QUANTITY = "quantity"
"""First part of the key of the results of attacks that maximize a quantity."""

QUANTITY_ATTACK = "count-regression"
"""The attack that maximizes quantities."""

_DEPLOYMENT_NAMES = {
    "other-seed": "other random seed",
    "fixed-point": "fixed point",
    "half-steps": "half the time steps",
    "double-steps": "twice the time steps",
    "loihi1": "chip loihi1",
}
_COST_NAMES = {
    "spikes": "spikes",
    "input_spikes": "input spikes",
    "output_spikes": "output spikes",
    "synaptic_operations": "synaptic operations",
    "latency": "time to decision",
    "energy_pj_lower": "energy, lower bound",
    "energy_pj_upper": "energy, upper bound",
}


def sections_of(
    suite: Suite, deployments: list[str], results: Results, skipped: Mapping[str, str]
) -> dict[str, Section]:
    """Return all sections by name."""
    return {
        "clean": _clean(results),
        "noise": _noise(suite, results),
        "attacks": _attacks(suite, results, skipped),
        REFERENCE: _reference(suite, results),
        "transfer": _transfer(deployments, results),
        "transformations": _transformations(suite, results),
        "energy": _energy(results),
        **({"quantities": _quantities(suite, results)} if suite.quantities else {}),
        **({"faults": _faults(results)} if suite.has_faults else {}),
    }


def _clean(results: Results) -> Section:
    return Section(
        (
            _accuracy("clean/accuracy", "accuracy", "clean", results["accuracy", ""]),
            rate_figure(
                "clean/misclassified",
                "attacked images misclassified",
                "clean",
                results["originals",]["rates"][0],
            ),
        ),
        {},
    )


def _noise(suite: Suite, results: Results) -> Section:
    if suite.bound.is_of_events:
        names = ((name, *name.split(":")) for name in suite.noises)
    else:
        names = (
            (name, f"{noise.kind} noise", f"\u03b4 {noise.delta:g}")
            for name, noise in zip(suite.noises, NOISES, strict=True)
        )
    figures = (
        _accuracy(f"noise/{name}", row, column, results["accuracy", name])
        for name, row, column in names
    )
    return Section(tuple(figures), {})


def _accuracy(key: str, row: str, column: str, result: Mapping[str, Any]) -> Figure:
    low, high = result["ci95"]
    return Figure(key, row, column, result["accuracy"], (low, high), "higher")


def _attacks(suite: Suite, results: Results, skipped: Mapping[str, str]) -> Section:
    figures = []
    for name, queries in itertools.product(suite.runs, suite.budgets):
        verified = [
            result["success"] for key, result in results.items() if key[:-1] == (name, str(queries))
        ]
        figures.append(
            rate_figure(
                f"attacks/{name}/{queries}",
                name,
                f"{queries:,} queries",
                [each["successes"] / each["trials"] for each in verified],
            )
        )
    return Section(tuple(figures), skipped)


def _reference(suite: Suite, results: Results) -> Section:
    skipped = _missing_reference(suite, results)
    if skipped or suite.reference is None:
        return Section((), skipped)
    verified = [results[REFERENCE, str(index)]["success"] for index in range(suite.images)]
    figure = rate_figure(
        f"{REFERENCE}/{suite.reference}",
        suite.reference,
        "misclassified",
        [each["successes"] / each["trials"] for each in verified],
        results["originals",]["rates"][0],
    )
    return Section((figure,), {})


def _missing_reference(suite: Suite, results: Results) -> dict[str, str]:
    """Return the reason why there is no result of the white-box reference; empty if there is."""
    if suite.reference is None:
        return {WHITE_BOX: "not part of the suite"}
    refused = [each["refused"] for key, each in results.items() if _is_refused(key, each)]
    return {suite.reference: refused[0]} if refused else {}


def _is_refused(key: Key, result: Mapping[str, Any]) -> bool:
    return key[0] == REFERENCE and "refused" in result


def bracket_of_audit(suite: Suite, deployment: str, results: Results) -> Bracket:
    """Return the robustness bracket of the attacked images."""
    clean = results["originals",]["rates"][0]
    missing = _missing_reference(suite, results)
    runs: dict[Key, tuple[str, int]] = {
        (name, str(queries)): (name, queries)
        for name, queries in itertools.product(suite.runs, suite.budgets)
    }
    if suite.reference is not None and not missing:
        runs[REFERENCE,] = suite.reference, 0
    rows = [
        {
            "attack": runs[key[:-1]][0],
            "settings": "{}",
            "threat_model": found.get("threat_model", "no data"),
            "deployment": deployment,
            "bound": str(suite.bound),
            "budget": runs[key[:-1]][1],
            "index": int(key[-1]),
            "target_class": None,
            "success": found["success"]["successes"] / found["success"]["trials"],
            "clean_success": clean[int(key[-1])],
        }
        for key, found in results.items()
        if key[:-1] in runs
    ]
    return bracket_of(rows, missing)


def _transfer(deployments: list[str], results: Results) -> Section:
    figures, refused = [], {}
    for deployment in deployments:
        result = results["transfer", deployment]
        if "refused" in result:
            refused[deployment] = result["refused"]
        else:
            figures.append(_paired(f"transfer/{deployment}", _DEPLOYMENT_NAMES[deployment], result))
    return Section(tuple(figures), refused)


def _transformations(suite: Suite, results: Results) -> Section:
    figures, skipped = [], {}
    if suite.bound.is_of_events:
        return Section((), {"transformations": "need images, not events"})
    for name in (each.name for each in AUDIT_TRANSFORMATIONS):
        if ("transformations", name) in results:
            result = results["transformations", name]
            figures.append(_paired(f"transformations/{name}", name, result))
        else:
            skipped[name] = "needs images with rows and columns"
    return Section(tuple(figures), skipped)


def _paired(key: str, row: str, result: Mapping[str, Any]) -> Figure:
    adversarial, clean = result["rates"]
    return rate_figure(key, row, "misclassified", adversarial, clean)


def _quantities(suite: Suite, results: Results) -> Section:
    """Return the increase of each maximized quantity, and how often the class was lost."""
    figures, skipped = [], {}
    for quantity in suite.quantities:
        found = [result for key, result in results.items() if key[:2] == (QUANTITY, quantity)]
        name = quantity.replace("-", "_")
        increases = [each["increases"].get(name) for each in found]
        ratios = [1 + increase for increase in increases if increase is not None]
        key = f"quantities/{quantity}"
        if ratios:
            figures.append(change_figure(key, quantity, ratios))
        else:
            skipped[quantity] = "zero for the clean images"
        lost = [1 - each["success"]["successes"] / each["success"]["trials"] for each in found]
        figures.append(rate_figure(f"{key}/class-lost", quantity, "class lost", lost))
    return Section(tuple(figures), skipped)


def _faults(results: Results) -> Section:
    """Return the accuracy with faults in memory, by bit error rate."""
    figures = []
    for rate in FAULT_RATES:
        accuracies = [
            result["accuracy"]
            for key, result in results.items()
            if key[:2] == ("faults", f"{rate:g}")
        ]
        low, high = mean_interval(accuracies) or (0.0, 1.0)
        figures.append(
            Figure(
                f"faults/{rate:g}",
                "accuracy",
                f"rate {rate:g}",
                statistics.fmean(accuracies),
                (max(low, 0.0), min(high, 1.0)),
                "higher",
            )
        )
    return Section(tuple(figures), {})


def _energy(results: Results) -> Section:
    figures, skipped = [], {}
    for name, ratios in results["energy",]["ratios"].items():
        known = [ratio for ratio in ratios if ratio is not None]
        if known:
            figures.append(change_figure(f"energy/{name}", _COST_NAMES[name], known))
        else:
            skipped[name] = "zero for the clean images"
    return Section(tuple(figures), skipped)
