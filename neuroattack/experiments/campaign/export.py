"""A campaign's figures: rates with intervals by attack, and a row an attack for other tools."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neuroattack.attacks.bounds import Bound
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.experiments.engine.store import Done
from neuroattack.files import atomic_path, write_text
from neuroattack.statistics import wilson_interval

__all__ = ["result_rows", "summarize", "write_csv", "write_parquet"]


def result_rows(results: Iterable[Done]) -> list[dict[str, Any]]:
    """Return a flat row a finished attack, references included (their limit is empty)."""
    rows = []
    for done in results:
        asked, found = _renamed(done.arguments), _renamed(done.result)
        success, clean = found["success"], found["clean_success"]
        rows.append(
            {
                "attack": asked["attack"],
                "settings": _settings(asked),
                "deployment": asked["deployment"],
                "bound": asked["bound"],
                "max_distance": _max_distance(asked, found),
                "budget": asked["budget"],
                "index": asked["index"],
                "label": asked["label"],
                "target_class": asked["target_class"],
                "success": success["successes"] / success["trials"],
                "clean_success": clean["successes"] / clean["trials"],
                "trials": success["trials"],
                "queries": found["queries"],
                "verification_queries": found["verification_queries"],
                "stopped_by": found["stopped_by"],
                **{f"{name}_distance": value for name, value in found["distance"].items()},
                "seconds": found["seconds"],
            }
        )
    return rows


def _renamed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments or results of a cell by their present names.

    Campaigns of version 0.1.0 wrote `place`, `limit` and `draws`; their numeric `bound` is
    `max_distance` now.
    """
    values = dict(stored)
    if "limit" in values:
        values["bound"] = values.pop("limit")
    elif "success" in values and "bound" in values:
        values["max_distance"] = values.pop("bound")
    if "place" in values:
        values["deployment"] = values.pop("place")
    for name in ("success", "clean_success"):
        if name in values and "draws" in values[name]:
            old = values[name]
            values[name] = {"successes": old["successes"], "trials": old["draws"]}
    return values


def _max_distance(asked: Mapping[str, Any], found: Mapping[str, Any]) -> float | None:
    if found["max_distance"] is None and asked["bound"]:
        return Bound.from_text(asked["bound"]).maximum
    maximum: float | None = found["max_distance"]
    return maximum


def summarize(
    rows: Iterable[Mapping[str, Any]], failed: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return a row for each attack, deployment, limit, budget and kind of goal.

    ``success`` is the probability that a fresh draw of an adversarial image is misclassified, the
    mean over the images; its interval is Wilson's over images, each of which counts with its share
    of draws. ``median_queries`` takes an image of which no more than half of the draws were
    misclassified at the cap, the whole budget; ``median_distance`` is in the limit's measure.
    ``images_without_distance`` are those on which the reference of the limit moved nothing, so
    that no attack could. Attacks ``failed`` are counted, and in no other figure; where all of
    them were, the others are None.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_group(row, row["settings"], row["deployment"]), []).append(row)
    missing = Counter(
        _group(asked, _settings(asked), asked["deployment"]) for asked in map(_renamed, failed)
    )
    for key in missing:
        groups.setdefault(key, [])
    return [_summary(key, group, missing[key]) for key, group in groups.items()]


def _group(of: Mapping[str, Any], settings: str, deployment: str) -> tuple[Any, ...]:
    targeted = of["target_class"] is not None
    return of["attack"], settings, deployment, of["bound"], of["budget"], targeted


def _settings(asked: Mapping[str, Any]) -> str:
    return json.dumps(asked["settings"], sort_keys=True)


def _summary(key: tuple[Any, ...], group: list[Mapping[str, Any]], failed: int) -> dict[str, Any]:
    attack, settings, deployment, bound, budget, targeted = key
    images = len(group)
    measure = bound.partition("=")[0].partition("@")[0] or "local_sd"

    def mean(values: Iterable[float]) -> float | None:
        return sum(values) / images if images else None

    def median(values: Iterable[float]) -> float | None:
        return statistics.median(values) if images else None

    success = mean(row["success"] for row in group)
    return {
        "attack": attack,
        "settings": json.loads(settings),
        "deployment": deployment,
        "bound": bound or None,
        "budget": budget,
        "images": images,
        "images_without_distance": sum(row["max_distance"] == 0 for row in group),
        "failed": failed,
        "targeted": targeted,
        "success": success,
        "success_ci95": None
        if success is None
        else list(wilson_interval(sum(row["success"] for row in group), images)),
        "images_fooled": mean(row["success"] > 0.5 for row in group),
        "median_queries": median(_queries(row) for row in group),
        "median_distance": median(row[f"{measure}_distance"] for row in group),
        "clean_success": mean(row["clean_success"] for row in group),
        "verification_queries": sum(row["verification_queries"] for row in group),
        "seconds": sum(row["seconds"] for row in group),
    }


def _queries(row: Mapping[str, Any]) -> int:
    fooled = row["success"] > 0.5
    spent: int = row["queries"] if fooled or row["budget"] is None else row["budget"]
    return spent


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, atomically."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, text.getvalue())


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as Parquet, atomically.

    Raises
    ------
    UnsupportedFeatureError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnsupportedFeatureError(
            "Parquet needs the extra `campaigns`: pip install 'neuroattack[campaigns]'"
        ) from None
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), temporary)
