"""Tables of the items, from their results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from neuroattack.encoding.readout import UNDECIDED
from neuroattack.paper.networks import NAMES
from neuroattack.paper.settings import SOURCE, TARGET, Figures
from neuroattack.report.table import Column, Table, decimals

__all__ = ["attack", "cells", "curves", "distances", "fell_and_rose", "images", "mismatch"]
__all__ += ["population", "sampling", "spike_fractions", "stages", "survival", "windows"]


def _named(rows: Iterable[Figures]) -> list[dict[str, Any]]:
    """Return rows with the names of networks in place of their keys."""
    keys = "network", "first", "second"
    return [{**row, **{key: NAMES[row[key]] for key in keys if key in row}} for row in rows]


def cells(figures: Figures) -> list[Table]:
    """Return Table I, and what was tried beside its cells."""
    found = [
        {key: value for key, value in one.items() if not key.endswith("ci95")}
        | {"apart": one["accuracy"] - one["paper_accuracy"]}
        for one in figures["cells"]
    ]
    trials = [{**one, "trainings": len(one["seeds"])} for one in figures["small_noise"]]
    below = f"Training noise with accuracy below {figures['collapse']['below']:.0%}"
    rules: list[tuple[Any, ...]] = []
    for one in figures["test_noise"]:
        for rule in one["rules"]:
            rules.append((one["noise"], rule["clipping"], "rates", *rule["rates"]))
            rules.append((one["noise"], rule["clipping"], "spikes", *rule["spiking"]))
        for seed in one["seeds"]:
            about = one["noise"], one["clipping"], f"rates, seed {seed['seed']}"
            rules.append((*about, *seed["rates"]))
        rules.append((one["noise"], None, "paper", *one["paper"]))
    percent, deltas = decimals(2, scale=100.0), figures["test_noise"][0]["deltas"]
    columns = [Column(name) for name in ("noise", "clipping", "accuracy")]
    columns += [Column(f"\u03b4 = {delta:g} (%)", percent) for delta in deltas]
    return [
        Table.of(
            "table1",
            "Accuracy under noise of magnitude \u03b4",
            found,
            "noise clipping delta:g mode accuracy:%2 spiking_accuracy:%2 paper_accuracy:%2 "
            "apart:pt1 dnn_accuracy:%2",
        ),
        Table.of(
            "table1-small-noise",
            "Accuracy after training on small noise less that after none",
            trials,
            "noise delta:g trainings:g difference:pt2 spiking_difference:pt2 paper_difference:pt2",
        ),
        Table("table1-rules", "Test noise by clipping rule and training", columns, rules),
        Table.of(
            "table1-collapse",
            f"{below}, and lowest accuracy",
            figures["collapse"]["columns"],
            "noise mode delta:g paper_delta:g lowest:%1 lowest_delta:g paper_lowest:%1",
        ),
        Table.of(
            "table1-trainings",
            "Further trainings on noisy images: clipping rules, decay of the fast weights",
            figures["collapse"]["retried"],
            "noise delta:g clipping fast_decay:g accuracy:%1 clean_accuracy:%1 paper_accuracy:%1",
        ),
    ]


def mismatch(figures: Figures) -> list[Table]:
    """Return how far each column of Table I is from the paper's."""
    columns: dict[tuple[str, str], list[float]] = {}
    for cell in figures["cells"]:
        apart = abs(cell["accuracy"] - cell["paper_accuracy"])
        columns.setdefault((cell["noise"], cell["mode"]), []).append(apart)
    rows = [
        {"noise": noise, "mode": mode, "mean": sum(of) / len(of), "largest": max(of)}
        for (noise, mode), of in columns.items()
    ]
    title = "Absolute difference from the paper, as rates"
    return [Table.of("figure2", title, rows, "noise mode mean:%1 largest:%1")]


def curves(figures: Figures) -> list[Table]:
    """Return the accuracies of Figure 3."""
    title = "Accuracy under normal noise in a window of 4 \u00d7 5 pixels"
    keys = "network place delta:g accuracy:%2 spiking_accuracy:%2"
    return [Table.of("figure3", title, figures["curves"], keys)]


def fell_and_rose(values: Sequence[float]) -> tuple[int, int]:
    """Return in how many steps values fell, and in how many they rose."""
    steps = list(itertools.pairwise(values))
    return sum(b < a for a, b in steps), sum(b > a for a, b in steps)


def attack(figures: Figures) -> list[Table]:
    """Return the outcome of the attack in both cases, and its iterations beside the paper's."""
    item = "table2" if figures["network"] == "dnn" else "table3"
    outcomes, iterations = [], []
    for table in (figures, *figures.get("also", {}).values()):
        for case, found in table["cases"].items():
            rows = [row for row in table["rows"] if row["case"] == case]
            targets = [row["p_target"] for row in rows]
            wrong = [one for one in found["predicted"][1:] if one not in (SOURCE, UNDECIDED)]
            about = {"network": table["network"], "case": case, "iterations": len(rows) - 1}
            about |= {"p_target_fell": fell_and_rose(targets)[0], "misclassified": len(wrong)}
            last = {"highest_p_target": max(targets), "final_distance": rows[-1]["distance"]}
            outcomes.append({**found, **about, **last})
    for case, found in figures["cases"].items():
        for row in [row for row in figures["rows"] if row["case"] == case]:
            answer = found["predicted"][row["iteration"]]
            predicted = "none" if answer == UNDECIDED else str(answer)
            iterations.append({"source": "here", "predicted": predicted, **row})
        theirs = [row for row in figures["paper_rows"] if row["case"] == case]
        iterations += [{"source": "paper", "predicted": "", **row} for row in theirs]
    return [
        Table.of(
            item,
            "Outcome of the attack",
            _named(outcomes),
            "network case iterations:g p_target_fell:g misclassified:g highest_p_target:%2 "
            "final_distance:f2 queries:g draws:g targeted:g untargeted:g clean.untargeted:g",
        ),
        Table.of(
            f"{item}-iterations",
            f"Iterations of the attack on the {NAMES[figures['network']]}",
            iterations,
            "source case iteration:g predicted p_max_class:%2 p_target:%2 distance:f2",
        ),
    ]


def windows(figures: Figures) -> list[Table]:
    """Return the windows of Figure 6."""
    rows = [{"case": case, **window} for case, window in figures["windows"].items()]
    title = f"Windows on test image {figures['sample_index']}, rows and columns from 0"
    return [Table.of("figure6", title, rows, "case top:g left:g size:g")]


def stages(figures: Figures) -> list[Table]:
    """Return the probabilities of Figure 7."""
    rows = [
        {"case": case, "stage": stage, "paper": figures["paper"][case][stage]}
        | {f"P({number})": fraction for number, fraction in enumerate(spike_fractions)}
        for case, stages in figures["cases"].items()
        for stage, spike_fractions in stages.items()
    ]
    classes = " ".join(f"{key}:%2" for key in rows[0] if key.startswith("P("))
    keys = f"case stage {classes} paper.p_max_class:%2 paper.p_target:%2"
    return [Table.of("figure7", "Probabilities of the DNN by stage of the attack", rows, keys)]


def images(figures: Figures) -> list[Table]:
    """Return the distances of Figure 8."""
    rows = [
        {"case": case, "stage": stage, **found}
        for case, stages in figures["cases"].items()
        for stage, found in stages.items()
    ]
    title = f"Adversarial images of test image {figures['sample_index']}"
    return [Table.of("figure8", title, rows, "case stage iteration:g distance:f2")]


def spike_fractions(figures: Figures) -> list[Table]:
    """Return the shares of Figure 9."""
    paper = {SOURCE: figures["paper"]["p_max_class"], TARGET: figures["paper"]["p_target"]}
    rows = [
        {"class": number, "fraction": fraction, "paper": paper.get(number)}
        for number, fraction in enumerate(figures["spike_fractions"])
    ]
    title = f"Clean shares of test image {figures['sample_index']}"
    return [Table.of("figure9", title, rows, "class:g share:%2 paper:%2")]


def population(figures: Figures) -> list[Table]:
    """Return the groups of the population and their comparisons."""
    sides = "case pairs targeted_difference:pt1 untargeted_difference:pt1"
    return _groups("population", figures, "case pairs", sides)


def sampling(figures: Figures) -> list[Table]:
    """Return the groups of different time steps and repeats, and their comparisons."""
    sides = "first_steps:g first_repeats:g second_steps:g second_repeats:g"
    return _groups("sampling", figures, "steps:g repeats:g", sides)


def _groups(item: str, figures: Figures, about: str, sides: str) -> list[Table]:
    groups, comparisons = (_named(figures[name]) for name in ("groups", "comparisons"))
    keys = (
        f"network {about} images:g targeted_success:%1 untargeted_success:%1 clean_untargeted:%1 "
        "untargeted_gain:pt1 best_p_target.q50:%1 non_monotonic_share:%1 median_iterations:g "
        "capped_share:%1 median_queries:g median_distance:f2 clean_spikes:f1"
    )
    gains = "images:g targeted_gain_difference:pt1 untargeted_gain_difference:pt1"
    title = "First network less second, 95 % interval"
    return [
        Table.of(item, "Success on fresh trials, 95 % interval over images", groups, keys),
        Table.of(f"{item}-comparisons", title, comparisons, f"first second {gains} {sides}"),
    ]


def survival(figures: Figures) -> list[Table]:
    """Return misclassification after each transformation, and by the gap of the attack."""
    rows, gaps = [], []
    for network, study in figures["networks"].items():
        for one in study["transformations"]:
            of = one["untargeted"]
            rates = {name: of[name]["rate"] for name in ("adversarial", "original")}
            rows.append({**of, **rates, "network": network, "transformation": one["name"]})
        done = [one for one in study["transformations"] if one["family"] != "none"]
        for groups in zip(*(one["untargeted"]["gap_groups"] for one in done), strict=True):
            tried = [group["adversarial"] for group in groups]
            rate = sum(one["successes"] for one in tried) / sum(one["trials"] for one in tried)
            gaps.append({**groups[0], "network": network, "misclassified": rate})
    keys = (
        "network transformation survived.draws:g survived.rate:%0 adversarial:%1 "
        "original:%1 gap_correlation.rho:+2 gap_correlation.p_value:p"
    )
    titles = "Misclassification after a transformation", "Misclassified trials by gap reached"
    by_gap = "network low:+3 high:+3 images:g misclassified:%1"
    return [
        Table.of("transformations", titles[0], _named(rows), keys),
        Table.of("transformations-gaps", titles[1], _named(gaps), by_gap),
    ]


def distances(figures: Figures) -> list[Table]:
    """Return medians of all distances; one that is infinite for an image is left empty."""
    rows = [
        {**group, "over": over, "count": group[count], **group[over]}
        for group in figures["groups"]
        for over, count in (("all", "images"), ("successful_only", "successful"))
        if group[over] is not None
    ]
    medians = " ".join(f"{metric}.q50:g3" for metric in figures["metrics"])
    title = "Median distances of adversarial images"
    keys = f"network case pairs over count:g {medians}"
    return [Table.of("imperceptibility", title, _named(rows), keys)]
