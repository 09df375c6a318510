"""Every item as one flat table of values, for its CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.paper.report.noise_rows import rules_rows, small_noise_rows, training_rows
from neuroattack.paper.settings import SOURCE, TARGET

__all__ = ["csv_text", "further_rows", "item_rows"]

Figures = Mapping[str, Any]
Images = Mapping[str, NDArray[Any]]
Row = dict[str, Any]


def csv_text(rows: list[Row]) -> str:
    """Return rows as CSV with a header of all their columns; what a row lacks is left empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def item_rows(item: str, figures: Figures, images: Images) -> list[Row]:
    """Return an item's natural rows: cells, iterations, classes, groups, or pixels of an image.

    Shares and accuracies are in [0, 1], as in the JSON.
    """
    return list(_ROWS[item](figures, images))


def further_rows(item: str, figures: Figures) -> dict[str, list[Row]]:
    """Return rows of an item that have other columns than its natural ones, by their name."""
    return {name: list(rows(figures)) for name, rows in _FURTHER.get(item, {}).items()}


def _flat(values: Figures, prefix: str = "") -> Row:
    """Return values without nesting: an interval by its ends, a mapping by its names."""
    row: Row = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            row |= _flat(value, f"{prefix}{name}_")
        elif name.endswith("ci95"):
            low, high = (None, None) if value is None else value
            row |= {f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        elif not isinstance(value, list):
            row[f"{prefix}{name}"] = value
    return row


def _cells(figures: Figures, _: Images) -> Iterator[Row]:
    yield from map(_flat, figures["cells"])


def _curves(figures: Figures, _: Images) -> Iterator[Row]:
    yield from map(_flat, figures["curves"])


def _compared(figures: Figures, _: Images) -> Iterator[Row]:
    """Yield groups, and then comparisons of two groups."""
    for row, name in (("group", "groups"), ("comparison", "comparisons")):
        for found in figures[name]:
            yield {"row": row, **_flat(found)}


def _pixels(pixels: NDArray[Any]) -> Iterator[Row]:
    for row, column in np.ndindex(*pixels.shape):
        yield {"row": row, "column": column, "intensity": float(pixels[row, column])}


def _noisy(_: Figures, images: Images) -> Iterator[Row]:
    for name, pixels in images.items():
        for pixel in _pixels(pixels):
            yield {"noise": name, **pixel}


def _sample(figures: Figures, images: Images) -> Iterator[Row]:
    for pixel in _pixels(images["sample"]):
        inside = {
            f"in_window_{case}": all(
                window[start] <= pixel[axis] < window[start] + window["size"]
                for axis, start in (("row", "top"), ("column", "left"))
            )
            for case, window in figures["windows"].items()
        }
        yield {**pixel, **{name: int(value) for name, value in inside.items()}}


def _stage_images(figures: Figures, images: Images) -> Iterator[Row]:
    for case, stages in figures["cases"].items():
        for stage, found in stages.items():
            for pixel in _pixels(images[f"{case}-{stage}"]):
                yield {"case": case, "stage": stage, **found, **pixel}


def _iterations(figures: Figures, _: Images) -> Iterator[Row]:
    for table in (figures, *figures.get("also", {}).values()):
        for row in table["rows"]:
            yield {"source": "ours", "network": table["network"], **row}
    for row in figures["paper_rows"]:
        yield {"source": "paper", "network": figures["network"], **row}


def _stages(figures: Figures, _: Images) -> Iterator[Row]:
    for case, stages in figures["cases"].items():
        for stage, probabilities in stages.items():
            paper = _of_paper(figures["paper"][case][stage])
            for number, probability in enumerate(probabilities):
                yield {
                    "case": case,
                    "stage": stage,
                    "class": number,
                    "probability": probability,
                    "paper_probability": paper.get(number),
                }


def _clean_shares(figures: Figures, _: Images) -> Iterator[Row]:
    paper = _of_paper(figures["paper"])
    for number, share in enumerate(figures["shares"]):
        yield {"class": number, "share": share, "paper_share": paper.get(number)}


def _of_paper(found: Figures) -> dict[int, float]:
    return {SOURCE: found["p_max_class"], TARGET: found["p_target"]}


def _survivals(figures: Figures, _: Images) -> Iterator[Row]:
    for network, study in figures["networks"].items():
        for found in study["transformations"]:
            about = {name: found[name] for name in ("name", "family", "parameter")}
            for criterion in ("targeted", "untargeted"):
                if found[criterion] is not None:
                    summary = _flat(found[criterion])
                    yield {"network": network, **about, "criterion": criterion, **summary}


def _distances(figures: Figures, _: Images) -> Iterator[Row]:
    for group in figures["groups"]:
        about = {name: group[name] for name in ("network", "case", "pairs", "images", "successful")}
        for over in ("all", "successful_only"):
            for metric, quantiles in (group[over] or {}).items():
                yield {**about, "over": over, "metric": metric, **(quantiles or {})}


_ROWS: dict[str, Callable[[Figures, Images], Iterator[Row]]] = {
    "table1": _cells,
    "figure2": _cells,
    "figure3": _curves,
    "figure4": _noisy,
    "table2": _iterations,
    "table3": _iterations,
    "figure6": _sample,
    "figure7": _stages,
    "figure8": _stage_images,
    "figure9": _clean_shares,
    "population": _compared,
    "sampling": _compared,
    "transformations": _survivals,
    "imperceptibility": _distances,
}

_FURTHER: dict[str, dict[str, Callable[[Figures], Iterator[Row]]]] = {
    "table1": {"small-noise": small_noise_rows, "rules": rules_rows, "trainings": training_rows},
}
