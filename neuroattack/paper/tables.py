"""Tables of the items, from their results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neuroattack.encoding.readout import UNDECIDED
from neuroattack.paper.networks import NAMES
from neuroattack.paper.settings import SOURCE, TARGET, Figures
from neuroattack.report.table import Column, Table, decimals

__all__ = ["attack", "cells", "curves", "distances", "fell_and_rose", "images", "mismatch"]
__all__ += ["population", "sampling", "spike_fractions", "stages", "survival", "windows"]

_METRICS = {
    "distance": "D",
    "l0": "L0",
    "l1": "L1",
    "l2": "L2",
    "linf": "L\u221e",
    "ssim": "SSIM",
    "local_sd_distance": "local-SD distance",
    "floored_local_sd_distance": "floored local-SD distance",
}


def _table(name: str, title: str, rows: Iterable[Figures], columns: Mapping[str, str]) -> Table:
    """Return a table of JSON values.

    `columns` maps headings to keys with formats, as in :meth:`neuroattack.report.table.Table.of`.
    """
    table = Table.of(name, title, rows, " ".join(columns.values()))
    written = [column.write for column in table.columns]
    return replace(table, columns=list(map(Column, columns, written)))


def _named(rows: Iterable[Figures]) -> list[dict[str, Any]]:
    """Return rows with display names of networks in place of their keys."""
    keys = "network", "first", "second"
    return [{**row, **{key: NAMES[row[key]] for key in keys if key in row}} for row in rows]


def cells(figures: Figures) -> list[Table]:
    """Return Table I, and tables of the further trainings and clipping rules."""
    found = [
        {key: value for key, value in one.items() if not key.endswith("ci95")}
        | {"difference": one["accuracy"] - one["paper_accuracy"]}
        for one in figures["cells"]
    ]
    small = [{**one, "trainings": len(one["seeds"])} for one in figures["small_noise"]]
    below = f"{100 * figures['collapse']['below']:g} %"
    rules: list[tuple[Any, ...]] = []
    for one in figures["test_noise"]:
        for rule in one["rules"]:
            rules.append((one["noise"], rule["clipping"], "rates", *rule["rates"]))
            rules.append((one["noise"], rule["clipping"], "spikes", *rule["spiking"]))
        for seed in one["seeds"]:
            evaluation = f"rates, seed {seed['seed']}"
            rules.append((one["noise"], one["clipping"], evaluation, *seed["rates"]))
        rules.append((one["noise"], None, "paper", *one["paper"]))
    percent, deltas = decimals(2, scale=100.0), figures["test_noise"][0]["deltas"]
    rule_columns = [Column(name) for name in ("noise", "clipping", "evaluation")]
    rule_columns += [Column(f"\u03b4 = {delta:g} (%)", percent) for delta in deltas]
    return [
        _table(
            "table1",
            "Accuracy under noise of magnitude \u03b4",
            found,
            {
                "noise": "noise",
                "clipping": "clipping",
                "\u03b4": "delta:g",
                "noisy images": "mode",
                "accuracy as rates (%)": "accuracy:%2",
                "spiking accuracy (%)": "spiking_accuracy:%2",
                "accuracy, paper (%)": "paper_accuracy:%2",
                "difference from paper (points)": "difference:pt1",
                "DNN accuracy (%)": "dnn_accuracy:%2",
            },
        ),
        _table(
            "table1-small-noise",
            "Change in accuracy from training on small noise",
            small,
            {
                "noise": "noise",
                "\u03b4": "delta:g",
                "trainings": "trainings:g",
                "change as rates (points)": "difference:pt2",
                "change, spiking (points)": "spiking_difference:pt2",
                "change, paper (points)": "paper_difference:pt2",
            },
        ),
        Table(
            "table1-rules",
            "Accuracy under test noise by clipping rule and training seed",
            rule_columns,
            rules,
        ),
        _table(
            "table1-collapse",
            f"Smallest training noise with accuracy below {below}, and lowest accuracy",
            figures["collapse"]["columns"],
            {
                "noise": "noise",
                "noisy images": "mode",
                "smallest \u03b4": "delta:g",
                "smallest \u03b4, paper": "paper_delta:g",
                "lowest accuracy (%)": "lowest:%1",
                "\u03b4 of lowest accuracy": "lowest_delta:g",
                "lowest accuracy, paper (%)": "paper_lowest:%1",
            },
        ),
        _table(
            "table1-trainings",
            "Retrained SDBNs by clipping rule and decay of the fast weights",
            figures["collapse"]["retrained"],
            {
                "noise": "noise",
                "\u03b4": "delta:g",
                "clipping": "clipping",
                "fast-weight decay": "fast_decay:g",
                "accuracy (%)": "accuracy:%1",
                "clean accuracy (%)": "clean_accuracy:%1",
                "accuracy, paper (%)": "paper_accuracy:%1",
            },
        ),
    ]


def mismatch(figures: Figures) -> list[Table]:
    """Return the differences of the columns of Table I from the paper's."""
    columns: dict[tuple[str, str], list[float]] = {}
    for cell in figures["cells"]:
        difference = abs(cell["accuracy"] - cell["paper_accuracy"])
        columns.setdefault((cell["noise"], cell["mode"]), []).append(difference)
    rows = [
        {"noise": noise, "mode": mode, "mean": sum(of) / len(of), "largest": max(of)}
        for (noise, mode), of in columns.items()
    ]
    headings = {"noise": "noise", "noisy images": "mode"}
    headings |= {"mean (points)": "mean:%1", "largest (points)": "largest:%1"}
    title = "Absolute difference in accuracy from the paper, as rates"
    return [_table("figure2", title, rows, headings)]


def curves(figures: Figures) -> list[Table]:
    """Return the accuracies of Figure 3."""
    rows = [
        {**one, "network": one["network"].upper(), "window": one["window"] or "none"}
        for one in figures["curves"]
    ]
    headings = {"network": "network", "window": "window", "\u03b4": "delta:g"}
    headings |= {"accuracy (%)": "accuracy:%2", "spiking accuracy (%)": "spiking_accuracy:%2"}
    title = "Accuracy under normal noise in a window of 4 \u00d7 5 pixels"
    return [_table("figure3", title, rows, headings)]


def fell_and_rose(values: Sequence[float]) -> tuple[int, int]:
    """Return the number of falls, and of rises, from one value to the next."""
    pairs = list(itertools.pairwise(values))
    return sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)


def attack(figures: Figures) -> list[Table]:
    """Return the outcome of the attack in both cases, and its iterations with the paper's."""
    item = "table2" if figures["network"] == "dnn" else "table3"
    outcomes, iterations = [], []
    for table in (figures, *figures.get("other_networks", {}).values()):
        for case, found in table["cases"].items():
            rows = [row for row in table["rows"] if row["case"] == case]
            targets = [row["p_target"] for row in rows]
            wrong = [one for one in found["predicted"][1:] if one not in (SOURCE, UNDECIDED)]
            outcomes.append(
                {
                    **found,
                    "network": table["network"],
                    "case": case,
                    "iterations": len(rows) - 1,
                    "falls": fell_and_rose(targets)[0],
                    "misclassified": len(wrong),
                    "highest_p_target": max(targets),
                    "final_distance": rows[-1]["distance"],
                }
            )
    for case, found in figures["cases"].items():
        for row in [row for row in figures["rows"] if row["case"] == case]:
            decided = found["predicted"][row["iteration"]]
            predicted = "none" if decided == UNDECIDED else str(decided)
            iterations.append({"source": "here", "predicted": predicted, **row})
        published = [row for row in figures["paper_rows"] if row["case"] == case]
        iterations += [{"source": "paper", "predicted": "", **row} for row in published]
    return [
        _table(
            item,
            "Outcome of the attack",
            _named(outcomes),
            {
                "network": "network",
                "case": "case",
                "iterations": "iterations:g",
                "iterations with a fall of P(target)": "falls:g",
                "iterations misclassified": "misclassified:g",
                "highest P(target) (%)": "highest_p_target:%2",
                "final D": "final_distance:f2",
                "queries": "queries:g",
                "trials": "trials:g",
                "targeted successes": "targeted:g",
                "untargeted successes": "untargeted:g",
                "clean trials misclassified": "clean.untargeted:g",
            },
        ),
        _table(
            f"{item}-iterations",
            f"Iterations of the attack on the {NAMES[figures['network']]}",
            iterations,
            {
                "source": "source",
                "case": "case",
                "iteration": "iteration:g",
                "predicted class": "predicted",
                "P(true class) (%)": "p_max_class:%2",
                "P(target) (%)": "p_target:%2",
                "D": "distance:f2",
            },
        ),
    ]


def windows(figures: Figures) -> list[Table]:
    """Return the windows of Figure 6."""
    rows = [{"case": case, **window} for case, window in figures["windows"].items()]
    headings = {"case": "case", "top row": "top:g", "left column": "left:g"}
    headings |= {"side (pixels)": "size:g"}
    title = f"Windows on test image {figures['sample_index']}, rows and columns counted from 0"
    return [_table("figure6", title, rows, headings)]


def stages(figures: Figures) -> list[Table]:
    """Return the probabilities of Figure 7."""
    rows = [
        {"case": case, "stage": stage, "paper": figures["paper"][case][stage]}
        | {f"P({number})": probability for number, probability in enumerate(probabilities)}
        for case, stages in figures["cases"].items()
        for stage, probabilities in stages.items()
    ]
    headings = {"case": "case", "stage": "stage"}
    headings |= {f"{key} (%)": f"{key}:%2" for key in rows[0] if key.startswith("P(")}
    headings |= {"P(true class), paper (%)": "paper.p_max_class:%2"}
    headings |= {"P(target), paper (%)": "paper.p_target:%2"}
    return [_table("figure7", "Probabilities of the DNN by stage of the attack", rows, headings)]


def images(figures: Figures) -> list[Table]:
    """Return the distances of Figure 8."""
    rows = [
        {"case": case, "stage": stage, **found}
        for case, stages in figures["cases"].items()
        for stage, found in stages.items()
    ]
    headings = {"case": "case", "stage": "stage", "iteration": "iteration:g", "D": "distance:f2"}
    title = f"Adversarial images of test image {figures['sample_index']}"
    return [_table("figure8", title, rows, headings)]


def spike_fractions(figures: Figures) -> list[Table]:
    """Return the output spike fractions of Figure 9."""
    paper = {SOURCE: figures["paper"]["p_max_class"], TARGET: figures["paper"]["p_target"]}
    rows = [
        {"class": number, "fraction": fraction, "paper": paper.get(number)}
        for number, fraction in enumerate(figures["spike_fractions"])
    ]
    headings = {"class": "class:g", "output spike fraction (%)": "fraction:%2"}
    headings |= {"paper (%)": "paper:%2"}
    title = f"Output spike fractions of clean test image {figures['sample_index']}"
    return [_table("figure9", title, rows, headings)]


def population(figures: Figures) -> list[Table]:
    """Return the groups of the attack on many images, and their comparisons."""
    keys = {"case": "case", "classes": "pairs"}
    names = {"first network": "first", "second network": "second"}
    differences = {
        "targeted success difference (points)": "targeted_difference:pt1",
        "untargeted success difference (points)": "untargeted_difference:pt1",
    }
    return _groups("population", figures, keys, {**names, **keys}, differences)


def sampling(figures: Figures) -> list[Table]:
    """Return the groups with different numbers of time steps and trials, and their comparisons."""
    keys = {"time steps T": "steps:g", "trials per query": "repeats:g"}
    sides = {
        "first network": "first",
        "first T": "first_steps:g",
        "first trials per query": "first_repeats:g",
        "second network": "second",
        "second T": "second_steps:g",
        "second trials per query": "second_repeats:g",
    }
    return _groups("sampling", figures, keys, sides, {})


def _groups(
    item: str,
    figures: Figures,
    keys: Mapping[str, str],
    sides: Mapping[str, str],
    differences: Mapping[str, str],
) -> list[Table]:
    groups, comparisons = (_named(figures[name]) for name in ("groups", "comparisons"))
    group_columns = {
        "network": "network",
        **keys,
        "images": "images:g",
        "targeted success (%)": "targeted_success:%1",
        "untargeted success (%)": "untargeted_success:%1",
        "clean error rate (%)": "clean_untargeted:%1",
        "untargeted gain (points)": "untargeted_gain:pt1",
        "highest P(target), median (%)": "best_p_target.q50:%1",
        "iterations with a fall of P(target) (%)": "falling_fraction:%1",
        "iterations, median": "median_iterations:g",
        "stopped by iteration limit (%)": "iteration_limit_fraction:%1",
        "queries, median": "median_queries:g",
        "D, median": "median_distance:f2",
        "output spikes, clean": "clean_spikes:f1",
    }
    comparison_columns = {
        **sides,
        "images": "images:g",
        "targeted gain difference (points)": "targeted_gain_difference:pt1",
        "untargeted gain difference (points)": "untargeted_gain_difference:pt1",
        **differences,
    }
    titles = (
        "Success on fresh trials, with 95 % intervals over images",
        "Differences, first minus second, with 95 % intervals",
    )
    return [
        _table(item, titles[0], groups, group_columns),
        _table(f"{item}-comparisons", titles[1], comparisons, comparison_columns),
    ]


def survival(figures: Figures) -> list[Table]:
    """Return misclassification after each transformation, and by the gap of the attack."""
    rows, gaps = [], []
    for network, study in figures["networks"].items():
        for one in study["transformations"]:
            summary = one["untargeted"]
            rates = {name: summary[name]["rate"] for name in ("adversarial", "original")}
            rows.append({**summary, **rates, "network": network, "transformation": one["name"]})
        transformed = [one for one in study["transformations"] if one["family"] != "none"]
        for groups in zip(*(one["untargeted"]["gap_groups"] for one in transformed), strict=True):
            results = [group["adversarial"] for group in groups]
            successes = sum(one["successes"] for one in results)
            rate = successes / sum(one["trials"] for one in results)
            gaps.append({**groups[0], "network": network, "misclassified": rate})
    columns = {
        "network": "network",
        "transformation": "transformation",
        "misclassified before": "survived.trials:g",
        "still misclassified (%)": "survived.rate:%0",
        "adversarial trials misclassified (%)": "adversarial:%1",
        "clean trials misclassified (%)": "original:%1",
        "correlation with gap": "gap_correlation.rho:+2",
        "p-value": "gap_correlation.p_value:p",
    }
    gap_columns = {
        "network": "network",
        "lowest gap": "low:+3",
        "highest gap": "high:+3",
        "images": "images:g",
        "trials misclassified (%)": "misclassified:%1",
    }
    titles = (
        "Misclassification after a transformation",
        "Misclassification after transformations, by gap of the adversarial image",
    )
    return [
        _table("transformations", titles[0], _named(rows), columns),
        _table("transformations-gaps", titles[1], _named(gaps), gap_columns),
    ]


def distances(figures: Figures) -> list[Table]:
    """Return medians of all distances; a distance that is infinite for any image is left empty."""
    subsets = (("all", "all", "images"), ("misclassified", "successful_only", "successful"))
    rows = [
        {**group, "subset": subset, "count": group[count], **group[key]}
        for group in figures["groups"]
        for subset, key, count in subsets
        if group[key] is not None
    ]
    columns = {
        "network": "network",
        "case": "case",
        "classes": "pairs",
        "adversarial images": "subset",
        "images": "count:g",
    }
    columns |= {_METRICS[metric]: f"{metric}.q50:g3" for metric in figures["metrics"]}
    title = "Median distances of adversarial images"
    return [_table("imperceptibility", title, _named(rows), columns)]
