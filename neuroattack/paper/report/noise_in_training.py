"""Words on noise on training images: a gain from a little of it, and collapse from more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.paper.noise_tables import COLLAPSED_TO_CHANCE, WITHIN
from neuroattack.paper.report.noise_on_test import RULES
from neuroattack.paper.report.words import deltas_text, listed, points, points_ci95, times
from neuroattack.report.numbers import percent

__all__ = [
    "collapse_verdict",
    "noisy_images",
    "on_collapse",
    "on_noisy_training",
    "on_retraining",
    "on_small_noise",
    "small_noise_verdict",
]

Figures = Mapping[str, Any]


def noisy_images(mode: str) -> str:
    """Return which images are noisy, in words."""
    return {
        "train": "training images",
        "test": "test images",
        "train+test": "training and test images",
    }[mode]


def small_noise_verdict(found: Figures) -> str:
    """Return whether small training noise raises accuracy, by the interval over trainings."""
    ci95 = found["difference_ci95"]
    if ci95 is None:
        return "undecided"
    if ci95[0] > 0:
        return "shown"
    return "refuted" if ci95[1] < 0 else "undecided"


def on_small_noise(found: Figures) -> str:
    """Say by how much small training noise changes accuracy, and what that shows."""
    verdict = {
        "shown": "The gain that the paper reports is there.",
        "refuted": "It is a loss, against the paper.",
        "undecided": "The interval holds 0: neither a gain nor a loss is shown.",
    }[small_noise_verdict(found)]
    ci95 = found["difference_ci95"]
    in_spikes = points_ci95(found["spiking_difference"], found["spiking_difference_ci95"], 2)
    if ci95 is not None and not ci95[0] <= found["paper_difference"] <= ci95[1]:
        verdict += " The paper's difference lies outside the interval."
    return (
        f"Training on {found['noise']} noise of {found['delta']:g} changes accuracy by "
        f"{points_ci95(found['difference'], ci95, 2)} as rates over {len(found['seeds'])} "
        f"trainings, and by {in_spikes} "
        f"in spikes; the paper has {points(found['paper_difference'], 2)} in one training. "
        f"{verdict}"
    )


def on_noisy_training(cells: Sequence[Figures]) -> str:
    """Say which cells with noisy training are far from the paper, and whether spikes tell why."""
    trained = [cell for cell in cells if cell["mode"] != "test"]
    far = [cell for cell in trained if abs(cell["accuracy"] - cell["paper_accuracy"]) > WITHIN]
    text = (
        f"Of the {len(trained)} cells with noise on training images, {len(trained) - len(far)} are "
        "within 6 points of the paper as rates"
    )
    if not far:
        return f"{text}."
    columns: dict[str, list[Figures]] = {}
    for cell in far:
        columns.setdefault(f"{cell['noise']} on {noisy_images(cell['mode'])}", []).append(cell)
    said = [
        f"{column} at {deltas_text([cell['delta'] for cell in of_column])} (by "
        f"{points(max((c['accuracy'] - c['paper_accuracy'] for c in of_column), key=abs))}"
        f"{' at most' if len(of_column) > 1 else ''})"
        for column, of_column in columns.items()
    ]
    nearer = sum(
        cell["spiking_accuracy"] is not None
        and abs(cell["spiking_accuracy"] - cell["paper_accuracy"]) <= WITHIN
        for cell in far
    )
    return (
        f"{text}; beyond: {listed(said)}. In spikes {times(nearer, len(far))} "
        "of these are within 6 points."
    )


def collapse_verdict(column: Figures) -> str:
    """Return whether training noise makes accuracy collapse, as far as in the paper and where."""
    delta, of_paper = column["delta"], column["paper_delta"]
    if delta is None:
        return "refuted"
    if column["lowest"] > COLLAPSED_TO_CHANCE:
        return "partly"
    if delta == of_paper:
        return "shown"
    return f"shown, at {'more' if delta > of_paper else 'less'} noise"


def on_collapse(found: Figures) -> str:
    """Say from which training noise accuracy collapses, and how far it falls."""

    def where(delta: float | None) -> str:
        return "at no delta" if delta is None else f"at {delta:g}"

    columns = [
        f"{column['noise']} noise on {noisy_images(column['mode'])} {where(column['delta'])} "
        f"(the paper {where(column['paper_delta'])})"
        for column in found["columns"]
    ]
    lowest = [
        f"{percent(column['lowest'])} at {column['lowest_delta']:g} "
        f"(the paper {percent(column['paper_lowest'])})"
        for column in found["columns"]
    ]
    text = (
        f"Accuracy first falls below {percent(found['below'], 0)} under {listed(columns)}. The "
        f"lowest it gets to at any delta is, in that order, {listed(lowest)}."
    )
    short = sum(column["lowest"] > COLLAPSED_TO_CHANCE for column in found["columns"])
    if short:
        text += (
            f" In {times(short, len(found['columns']))} of these columns it stays above "
            f"{percent(COLLAPSED_TO_CHANCE, 0)}, where the paper's falls to guessing."
        )
    return text


def on_retraining(found: Figures) -> str:
    """Say what other clipping, and fast weights that forget otherwise, make of one noise."""
    own = found["fast_decay"]
    by_rule = [one for one in found["retried"] if one["fast_decay"] == own]
    first = by_rule[0]
    by_decay = [one for one in found["retried"] if one["clipping"] == first["clipping"]]
    rules = [f"{percent(one['accuracy'])} {RULES[one['clipping']]}" for one in by_rule]
    spread = max(one["accuracy"] for one in by_rule) - min(one["accuracy"] for one in by_rule)
    parts = listed(
        f"{percent(one['fast_decay'], 0)}{' (the recipe)' if one['fast_decay'] == own else ''}"
        for one in by_decay
    )
    return (
        f"What may decide where the collapse comes was tried at {first['noise']} noise of "
        f"{first['delta']:g} on training images, where the paper has "
        f"{percent(first['paper_accuracy'])}, in one training each. Under each clipping rule "
        f"accuracy is {listed(rules)}, {100 * spread:.1f} points apart: "
        f"{_decides('the rule', by_rule, found['below'])}. With fast weights that forget {parts} "
        f"a step in the layers below the top, all else alike, it is "
        f"{listed(percent(one['accuracy']) for one in by_decay)}, and after training without noise "
        f"{listed(percent(one['clean_accuracy']) for one in by_decay)}: "
        f"{_decides('this forgetting', by_decay, found['below'])}."
    )


def _decides(what: str, trainings: Sequence[Figures], below: float) -> str:
    """Say whether some of these trainings collapsed at this noise, and others did not."""
    if any(one["clean_accuracy"] < below for one in trainings):
        return "not all learn without noise either, which shows nothing of it"
    collapsed = sum(one["accuracy"] < below for one in trainings)
    if 0 < collapsed < len(trainings):
        return (
            f"in these trainings {what} decides whether accuracy there falls below "
            f"{percent(below, 0)}"
        )
    side = "below" if collapsed else "above"
    return f"{what} does not decide whether it collapses there, all are {side} {percent(below, 0)}"
