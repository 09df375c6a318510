"""Words on noise on test images: how near the paper it is, and what was tried where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from neuroattack.paper.noise_tables import WITHIN
from neuroattack.paper.report.words import deltas_text, listed, points, times
from neuroattack.report.numbers import percent

__all__ = ["READINGS", "RULES", "on_clipping", "on_test_noise", "steepest_stretches"]

Figures = Mapping[str, Any]

RULES = {
    "range": "clipped to [0, 0.2]",
    "zero": "clipped at 0 only",
    "none": "not clipped",
}
READINGS = {"rates": "as rates", "spiking": "in spikes"}


def on_clipping(figures: Figures) -> str:
    """Say how the clipping rule of each column came to be chosen."""
    chosen = listed(f"{RULES[rule]} for {kind} noise" for kind, rule in figures["clipping"].items())
    return (
        "The paper does not say what becomes of scaled intensities outside of [0, 0.2]. All three "
        "rules were compared with its columns on test images, and only then one was chosen for "
        f"each kind of noise, {chosen}: how near those columns are is partly of that choice's "
        "making. All rules are in the table below."
    )


def on_test_noise(found: Figures) -> str:
    """Say how near the paper test noise of a kind is and, where it is not, what was tried."""
    near, far = found["within_6_points"], found["beyond_6_points"]
    kind = found["noise"].capitalize()
    text = f"{kind} test noise, {RULES[found['clipping']]} and as rates, is within 6 points "
    if not far:
        text += f"of the paper at every delta from {min(near):g} to {max(near):g}; "
    elif near:
        text += f"of the paper at delta {deltas_text(near)}, and beyond at {deltas_text(far)}; "
    else:
        text += f"of the paper at no delta from {min(far):g} to {max(far):g}; "
    text += (
        f"it is farthest at {found['farthest_delta']:g}, by {points(found['farthest'])}. "
        f"{_best_reading(found)}"
    )
    tried = [_on_trials(found, delta) for delta in far]
    return " ".join([text, *tried, _on_course(found)] if far else [text])


def _best_reading(found: Figures) -> str:
    """Say which rule and reading is nearest throughout, by its farthest difference from 0.08 up."""
    readings = []
    for rule in found["rules"]:
        for reading, name in READINGS.items():
            apart = [
                abs(value - paper)
                for delta, value, paper in zip(
                    found["deltas"], rule[reading], found["paper"], strict=True
                )
                if delta >= 0.08 and value is not None
            ]
            if apart:
                within = sum(value <= WITHIN for value in apart)
                name_of_rule = f"{RULES[rule['clipping']]}, {name}"
                readings.append((max(apart), name_of_rule, within, len(apart)))
    readings.sort()
    farthest, name, within, of = readings[0]
    return (
        f"Of the {len(readings)} readings tried, the one nearest throughout is {name}: at most "
        f"{100 * farthest:.1f} points away, within 6 at {times(within, of)}; the one farthest away "
        f"is {readings[-1][1]}, by up to {100 * readings[-1][0]:.1f} points."
    )


def _on_trials(found: Figures, delta: float) -> str:
    """Say what every rule, reading and training gives at a magnitude, and which are near."""
    place = found["deltas"].index(delta)
    paper = found["paper"][place]
    said, near = [], []
    for rule in found["rules"]:
        values = []
        for reading, name in READINGS.items():
            value = rule[reading][place]
            if value is not None:
                values.append(f"{percent(value)} {name}")
                if abs(value - paper) <= WITHIN:
                    near.append(f"{RULES[rule['clipping']]} {name}")
        said.append(f"{RULES[rule['clipping']]} {listed(values)}")
    of_seeds = [seed["rates"][place] for seed in found["seeds"]]
    if any(abs(value - paper) <= WITHIN for value in of_seeds):
        near.append("some of the trainings")
    return (
        f"Tried at {delta:g}, where the paper has {percent(paper)}: {'; '.join(said)}; and under "
        f"the first rule as rates {listed(percent(value) for value in of_seeds)} with the "
        f"trainings of {len(of_seeds)} seeds. Within 6 points there: {listed(near) or 'none'}."
    )


def _on_course(found: Figures) -> str:
    """Say how steep the paper's column is where ours is far from it, and how steep ours are."""
    deltas, paper = found["deltas"], found["paper"]
    columns = [
        rule[reading]
        for rule in found["rules"]
        for reading in READINGS
        if None not in rule[reading]
    ]
    columns += [seed["rates"] for seed in found["seeds"]]
    ours = next(r["rates"] for r in found["rules"] if r["clipping"] == found["clipping"])
    said = []
    for start, end in _stretches_about(deltas, found["beyond_6_points"]):
        lost = [100 * (column[start] - column[end]) for column in (paper, ours)]
        said.append(f"{lost[0]:.1f} from {deltas[start]:g} to {deltas[end]:g} (here {lost[1]:.1f})")
    text = f"There the paper's column loses, in points, {listed(said)}."
    peaks = steepest_stretches(deltas, paper)
    if len(peaks) < 2:
        return text
    flatter = [
        f"{_per_hundredth(deltas, paper, place):.1f} from {deltas[place]:g}"
        for place in range(peaks[0], peaks[-1] + 1)
    ]
    smooth = sum(len(steepest_stretches(deltas, column)) < 2 for column in columns)
    return (
        f"{text} Per 0.01 of delta that is {listed(flatter)}: steep, flatter and steep again. Of "
        f"our {len(columns)} columns, of every rule as rates and in spikes and of every training, "
        f"{smooth} have one steepest stretch only."
    )


def _stretches_about(deltas: Sequence[float], far: Sequence[float]) -> list[tuple[int, int]]:
    """Return the stretches between neighbouring magnitudes that end or begin at one of `far`."""
    return [
        (start, start + 1)
        for start, ends in enumerate(pairwise(deltas))
        if any(delta in far for delta in ends)
    ]


def _per_hundredth(deltas: Sequence[float], column: Sequence[float], start: int) -> float:
    """Return the points lost per 0.01 of delta in the stretch that begins at a place."""
    return (column[start] - column[start + 1]) / (deltas[start + 1] - deltas[start])


def steepest_stretches(deltas: Sequence[float], column: Sequence[float]) -> list[int]:
    """Return where stretches begin that lose more per delta than both their neighbours."""
    steep = [_per_hundredth(deltas, column, place) for place in range(len(deltas) - 1)]
    fenced = [float("-inf"), *steep, float("-inf")]
    return [
        place
        for place, value in enumerate(steep)
        if fenced[place] < value and value >= fenced[place + 2]
    ]
