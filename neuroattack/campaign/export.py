"""A campaign's figures: rates with intervals by attack, and a row an attack for other tools."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neuroattack.campaign.store import Result
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.files import atomic_path, write_text
from neuroattack.statistics import wilson_interval

__all__ = ["result_rows", "summarise", "write_csv", "write_parquet"]


def result_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return a flat row a finished attack, references included (their limit is empty)."""
    rows = []
    for result in results:
        item, record = result.item, result.record
        success, clean = record["success"], record["clean_success"]
        rows.append(
            {
                "attack": item.attack,
                "settings": json.dumps(item.settings, sort_keys=True),
                "deployment": item.place,
                "limit": item.limit,
                "bound": record["bound"],
                "budget": item.budget,
                "index": item.index,
                "label": item.label,
                "target_class": item.target_class,
                "success": success["successes"] / success["draws"],
                "clean_success": clean["successes"] / clean["draws"],
                "draws": success["draws"],
                "queries": record["queries"],
                "verification_queries": record["verification_queries"],
                "stopped_by": record["stopped_by"],
                **{f"{name}_distance": value for name, value in record["distance"].items()},
                "seconds": record["seconds"],
            }
        )
    return rows


def summarise(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each attack, deployment, limit, budget and kind of goal.

    ``success`` is the probability that a fresh draw of an adversarial image is misclassified, the
    mean over the images; its interval is Wilson's over images, each of which counts with its share
    of draws. ``median_queries`` takes an image of which no more than half of the draws were
    misclassified at the cap, the whole budget; ``median_distance`` is in the limit's measure.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        targeted = row["target_class"] is not None
        key = ("attack", "settings", "deployment", "limit", "budget")
        groups.setdefault((*(row[name] for name in key), targeted), []).append(row)
    return [_summary(group, targeted=key[-1]) for key, group in groups.items()]


def _summary(group: list[Mapping[str, Any]], *, targeted: bool) -> dict[str, Any]:
    first, images = group[0], len(group)
    total = sum(row["success"] for row in group)
    measure = first["limit"].partition("=")[0].partition("@")[0] or "local_sd"
    return {
        "attack": first["attack"],
        "settings": json.loads(first["settings"]),
        "deployment": first["deployment"],
        "limit": first["limit"] or None,
        "budget": first["budget"],
        "images": images,
        "targeted": targeted,
        "success": total / images,
        "success_ci95": list(wilson_interval(total, images)),
        "images_fooled": sum(row["success"] > 0.5 for row in group) / images,
        "median_queries": statistics.median(_queries(row) for row in group),
        "median_distance": statistics.median(row[f"{measure}_distance"] for row in group),
        "clean_success": sum(row["clean_success"] for row in group) / images,
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
