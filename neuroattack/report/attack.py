"""Report of attacks: one self-contained HTML file, with results as JSON and images as npz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.experiments.attack import AttackedImage, AttackResult
from neuroattack.experiments.attack_cost import Change
from neuroattack.experiments.evaluation import Evaluation
from neuroattack.files import write_arrays, write_json, write_text
from neuroattack.report import plots
from neuroattack.report.events.frames import frames_figure
from neuroattack.report.events.marks import Pair
from neuroattack.report.events.space_time import space_time_figure
from neuroattack.report.numbers import (
    NBSP,
    bound_text,
    budget_text,
    decimals_for,
    energy_text,
    interval,
    percent,
    proportion,
)
from neuroattack.report.templates import render

__all__ = ["PAGE", "provenance_rows", "render_report", "save_figures", "save_report", "verdict"]

PAGE = "report.html"
"""Name of the page in its folder."""

_COSTS = {
    "spikes": "Spikes",
    "synaptic_operations": "Synaptic operations",
    "energy_pj_lower": "Energy, lower bound",
    "energy_pj_upper": "Energy, upper bound",
}


_DISTANCES = {
    "l2": ("L2 distance", "{:.2f}"),
    "l0": ("L0 distance (pixels)", "{:.0f}"),
    "linf": ("L\u221e distance", "{:.3f}"),
    "local_sd": ("Local-SD distance", "{:.2f}"),
}
_EVENT_DISTANCES = {
    "events": ("Changed events per clean event", "{:.3f}"),
    "jitter": ("Largest shift (time steps)", "{:.0f}"),
    "shift": ("Mean shift (time steps)", "{:.2f}"),
    "moved": ("Moved events per clean event", "{:.3f}"),
}


class Table(NamedTuple):
    """A table of a page: HTML identifier, heading, caption, header and rows of text."""

    anchor: str
    heading: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class _Image(NamedTuple):
    """An attacked image, formatted for the template."""

    anchor: str
    heading: str
    status: str
    figures: list[tuple[str, str]]
    images: Markup
    space_time: Markup | None
    history: Markup
    raster: Markup | None


def save_report(
    out: Path,
    results: Sequence[AttackResult],
    figures: Mapping[str, Any],
    *,
    title: str,
    provenance: Sequence[tuple[str, str]],
    dt_s: float = 1e-3,
    evaluation: Evaluation | None = None,
) -> Path:
    """Write ``result.json``, ``images.npz`` and the page; return the page's path."""
    page = render_report(
        results, title=title, provenance=provenance, dt_s=dt_s, evaluation=evaluation
    )
    save_figures(out, results, figures)
    write_text(out / PAGE, page)
    return out / PAGE


def save_figures(out: Path, results: Sequence[AttackResult], figures: Mapping[str, Any]) -> None:
    """Write ``result.json`` and ``images.npz``.

    Event samples are of type bool, with the length of a time step, ``dt_s``, if it is known.
    """
    write_json(out / "result.json", figures)
    arrays: dict[str, NDArray[Any]] = {}
    for number, result in enumerate(results):
        prefix = f"attack{number}_" if len(results) > 1 else ""
        kind = bool if result.is_of_events else np.float64
        original = np.array([each.search.original for each in result.images], kind)
        arrays[f"{prefix}original"] = original
        arrays[f"{prefix}adversarial"] = result.adversarial.astype(kind)
    dt_s = figures.get("provenance", {}).get("dt_s")
    if dt_s is not None and any(result.is_of_events for result in results):
        arrays["dt_s"] = np.array(dt_s)
    write_arrays(out / "images.npz", arrays)


def render_report(
    results: Sequence[AttackResult],
    *,
    title: str,
    provenance: Sequence[tuple[str, str]],
    dt_s: float = 1e-3,
    evaluation: Evaluation | None = None,
) -> str:
    """Return a report as one HTML page without external resources and scripts."""
    return render(
        "report/report.html.jinja",
        title=title,
        attacks=_attacks_table(results),
        images=[
            _image(result, each, f"attack-{number}-{each.index}-{position}", dt_s)
            for number, result in enumerate(results, start=1)
            for position, each in enumerate(result.images)
        ],
        tables=[
            table
            for table in (
                _increases_table(results),
                _costs_table(results),
                _network_table(evaluation),
                _origin(provenance),
            )
            if table.rows
        ],
    )


def verdict(attacked: AttackedImage) -> str:
    """Return the verdict on an adversarial image.

    ``"failed"``: no trial reached the goal; ``"no effect shown"``: the confidence interval overlaps
    that of the clean image; ``"fooled sometimes"``: up to half of the trials reached the goal;
    ``"fooled mostly"``: more than half did. With a quantity as the goal: ``"class lost"`` in at
    least half of the trials; ``"increased"`` if the paired difference is positive with 95 %
    confidence; otherwise ``"no effect shown"``.
    """
    quantity = attacked.search.goal.maximize
    if quantity is not None:
        return _verdict_on_quantity(attacked, quantity.replace("-", "_"))
    success = attacked.success
    if success.successes == 0:
        return "failed"
    if success.ci95[0] <= attacked.clean.ci95[1]:
        return "no effect shown"
    return "fooled mostly" if success.rate > 0.5 else "fooled sometimes"


def _verdict_on_quantity(attacked: AttackedImage, quantity: str) -> str:
    if attacked.success.rate <= 0.5:
        return "class lost"
    changes = {} if attacked.cost is None else attacked.cost.changes
    names = ("energy_pj_lower", "energy_pj_upper") if quantity == "energy" else (quantity,)
    intervals = [changes[name].difference_ci95 for name in names if name in changes]
    increased = intervals and all(each is not None and each[0] > 0 for each in intervals)
    return "increased" if increased else "no effect shown"


def _increases_table(results: Sequence[AttackResult]) -> Table:
    rows = [
        (
            result.attack.name,
            name.replace("_", " "),
            f"{100 * values['median']:+.1f}{NBSP}%",
            ""
            if values["ci95"] is None
            else "{:+.1f} to {:+.1f}".format(*(100 * end for end in values["ci95"])),
        )
        for result in results
        if result.images[0].search.goal.maximize is not None
        for name, values in result.increases.items()
    ]
    return Table(
        "increases",
        "Increases",
        "Median relative increase over images, in trials that the attack has not seen, with the "
        f"95{NBSP}% confidence interval. Success rates are those of keeping the true class.",
        ("Attack", "Quantity", "Increase", "95 % interval (%)"),
        rows,
    )


def _attacks_table(results: Sequence[AttackResult]) -> Table:
    rows = []
    for result in results:
        figures = result.as_json()
        images = len(result.images)
        rows.append(
            (
                figures["attack"],
                figures["threat_model"],
                bound_text(figures["norm"], figures["bound"], figures["bound_options"]),
                budget_text(figures["queries"], figures["threat_model"]),
                f"{images:,}",
                f"{percent(result.success_rate)}, {interval(result.ci95, decimals_for(images))}",
                percent(result.clean_error_rate),
            )
        )
    return Table(
        "attacks",
        "Attacks",
        "Success rate: fraction of fresh trials of the adversarial images that reach the goal, "
        f"with the 95{NBSP}% confidence interval over images. Clean error rate: the same fraction "
        "for the clean images.",
        (
            "Attack",
            "Threat model",
            "Bound",
            "Query budget",
            "Images",
            "Success rate",
            "Clean error rate",
        ),
        rows,
    )


def _image(result: AttackResult, attacked: AttackedImage, anchor: str, dt_s: float) -> _Image:
    found, goal = attacked.search, attacked.search.goal

    def svg(figure: Figure, kind: str, alt: str) -> Markup:
        return Markup(plots.inline_svg(figure, alt, f"{anchor}-{kind}"))  # noqa: S704

    space_time = raster = None
    if attacked.is_of_events:
        pair = Pair(found.original, found.adversarial, dt_s)
        changes = ", ".join(f"{each.sum():,} {kind}" for kind, each in pair.changes().items())
        images = svg(
            frames_figure(pair),
            "images",
            "Clean sample, adversarial sample and their difference in time windows; events: "
            f"{changes}.",
        )
        space_time = svg(
            space_time_figure(pair), "space-time", f"Events of all neurons over time: {changes}."
        )
    else:
        images = svg(
            plots.images_figure(found),
            "images",
            "Clean image, adversarial image and their difference; "
            f"{attacked.distances['l0']:.0f} pixels differ.",
        )
    if attacked.readout_spikes is not None:
        counts = attacked.readout_spikes.counts()
        raster = svg(
            plots.raster_figure(attacked.readout_spikes, goal, dt_s),
            "raster",
            "Output spikes over time, one row per class. Spikes per class, clean image: "
            f"{', '.join(map(str, counts[0]))}; adversarial image: "
            f"{', '.join(map(str, counts[1]))}.",
        )
    return _Image(
        anchor,
        f"{result.attack.name}: {'sample' if attacked.is_of_events else 'image'} "
        f"{attacked.index}, {_goal(goal)}",
        verdict(attacked),
        [
            ("Success rate", proportion(attacked.success)),
            ("Clean error rate", proportion(attacked.clean)),
            ("Predicted class, clean image", _class(attacked.clean.predicted)),
            ("Predicted class, adversarial image", _class(attacked.success.predicted)),
            *_distances(attacked),
            ("Search queries", f"{found.queries:,}"),
            ("Verification trials", f"{attacked.verification_queries:,}"),
            ("Stopping criterion", found.stopped_by),
        ],
        images,
        space_time,
        svg(
            plots.history_figure(found),
            "history",
            f"Gap over {found.queries:,} search queries; the goal is reached above 0.",
        ),
        raster,
    )


def _distances(attacked: AttackedImage) -> list[tuple[str, str]]:
    """Return the distances that are defined, with their names."""
    formats = _EVENT_DISTANCES if attacked.is_of_events else _DISTANCES
    counts = []
    if attacked.is_of_events:
        pair = Pair(attacked.search.original, attacked.search.adversarial)
        counts = [("Clean events", f"{pair.clean.sum():,}")]
        counts += [
            (f"{kind.capitalize()} events", f"{each.sum():,}")
            for kind, each in pair.changes().items()
        ]
    measured = [(*shown, attacked.distances[name]) for name, shown in formats.items()]
    return counts + [
        (name, text.format(value)) for name, text, value in measured if value is not None
    ]


def _goal(goal: Goal) -> str:
    target = f"any{NBSP}other" if goal.target_class is None else str(goal.target_class)
    return f"class {goal.label}{NBSP}\u2192{NBSP}{target}"


def _class(predicted: int) -> str:
    return "undecided" if predicted < 0 else str(predicted)


def _costs_table(results: Sequence[AttackResult]) -> Table:
    costs = [
        (result.attack.name, each.index, each.cost)
        for result in results
        for each in result.images
        if each.cost is not None
    ]
    names = [name for name in _COSTS if any(name in cost.changes for _, _, cost in costs)]
    missing = sorted({term for _, _, cost in costs for term in cost.without_coefficient})
    return Table(
        "costs",
        "Cost under attack",
        "Mean over the same trials of clean and adversarial image, and the relative change with "
        f"its 95{NBSP}% interval."
        + (f" No published coefficient: {', '.join(missing)}." if missing else ""),
        ("Attack", "Image", *(_COSTS[name] for name in names)),
        [
            (
                attack,
                str(index),
                *(_change(cost.changes[n], n) if n in cost.changes else "" for n in names),
            )
            for attack, index, cost in costs
        ],
    )


def _change(change: Change, name: str) -> str:
    written = energy_text if name.startswith("energy") else "{:,.0f}".format
    text = f"{written(change.original)} \u2192 {written(change.adversarial)}"
    if change.ratio is None:
        return text
    text += f", {100 * (change.ratio - 1):+.2f}{NBSP}%"
    if change.difference_ci95 is not None:
        low, high = (100 * end / change.original for end in change.difference_ci95)
        text += f" ({low:+.2f} to {high:+.2f}{NBSP}%)"
    return text.replace("-", "\u2212")


def _network_table(evaluation: Evaluation | None) -> Table:
    rows: list[tuple[str, str]] = []
    if evaluation is not None:
        decimals = decimals_for(evaluation.images)
        spikes = evaluation.spikes_per_image.items()
        rows = [
            (
                "Accuracy",
                f"{percent(evaluation.accuracy, decimals)}, "
                f"{interval(evaluation.accuracy_ci95, decimals)}, {evaluation.images:,} images",
            ),
            ("Silent images", percent(evaluation.silent_fraction, decimals)),
            ("Undecided images", percent(evaluation.undecided_fraction, decimals)),
            (
                "Spikes per image",
                ", ".join(f"{name}{NBSP}{count:,.1f}" for name, count in spikes),
            ),
            (
                "Synaptic operations per image",
                f"{evaluation.synaptic_operations_per_image:,.0f}",
            ),
        ]
    return Table("network", "Network on clean images", "", (), rows)


def _origin(provenance: Sequence[tuple[str, str]]) -> Table:
    return Table("origin", "Provenance", "", (), list(provenance))


_PROVENANCE = {
    "command": "Command",
    "seed": "Random seed",
    "dataset": "Data set",
    "dataset_checksum": "Data set, SHA-256",
    "network_checksum": "Network, SHA-256",
    "backend": "Backend",
    "backend_version": "Backend, version",
    "device": "Device",
    "precision": "Arithmetic",
    "profile": "Hardware profile",
    "profile_checksum": "Hardware profile, SHA-256",
    "steps": "Time steps",
    "dt_s": "Time step (s)",
    "versions": "Versions",
    "machine": "Machine",
}


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the provenance of results, from its JSON, as names and values for a page."""
    return [
        (name, str(provenance[key]))
        for key, name in _PROVENANCE.items()
        if provenance.get(key) not in (None, "")
    ]
