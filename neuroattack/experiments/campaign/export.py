"""Figures of a campaign: summary by attack, and a table with one row per attacked image."""

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
from neuroattack.experiments.engine.store import Done, Store
from neuroattack.files import atomic_path, write_text
from neuroattack.statistics import mean_interval, median_interval, wilson_interval

__all__ = ["first_attack", "result_rows", "summarize", "write_csv", "write_parquet"]


def result_rows(results: Iterable[Done]) -> list[dict[str, Any]]:
    """Return one flat row per finished attack; the bound of reference attacks is empty."""
    rows = []
    for done in results:
        arguments, result = done.arguments, done.result
        success, clean = result["success"], result["clean_success"]
        rows.append(
            {
                "attack": arguments["attack"],
                "settings": _settings(arguments),
                # Results of an earlier version have none; its attacks had no data.
                "threat_model": result.get("threat_model", "no data"),
                "deployment": arguments["deployment"],
                "bound": arguments["bound"],
                "max_distance": _max_distance(arguments, result),
                "budget": arguments["budget"],
                "index": arguments["index"],
                "label": arguments["label"],
                "target_class": arguments["target_class"],
                "goal": _goal(arguments),
                "success": success["successes"] / success["trials"],
                "clean_success": clean["successes"] / clean["trials"],
                "increase": _increase(arguments, result),
                "trials": success["trials"],
                "queries": result["queries"],
                "verification_queries": result["verification_queries"],
                "stopped_by": result["stopped_by"],
                **{f"{name}_distance": value for name, value in result["distance"].items()},
                "seconds": result["seconds"],
            }
        )
    return rows


def _goal(arguments: Mapping[str, Any]) -> str:
    maximize: str | None = arguments.get("maximize")
    if maximize is not None:
        return maximize
    return "untargeted" if arguments["target_class"] is None else "targeted"


def _increase(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> float | None:
    """Return the relative increase of the quantity to maximize; None for goals without one."""
    quantity = (arguments.get("maximize") or "").replace("-", "_")
    increase: float | None = result.get("increases", {}).get(quantity)
    return increase


def _max_distance(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> float | None:
    if result["max_distance"] is None and arguments["bound"]:
        return Bound.from_text(arguments["bound"]).maximum
    maximum: float | None = result["max_distance"]
    return maximum


def first_attack(store: Store) -> dict[str, Any] | None:
    """Return the name and settings of the first attack in the configuration of a campaign."""
    config = store.about("config")
    if not config:
        return None
    name, settings = (config["attacks"][0][key] for key in ("name", "settings"))
    return {"attack": name, "settings": settings}


def summarize(
    rows: Iterable[Mapping[str, Any]],
    failed: Iterable[Mapping[str, Any]] = (),
    first: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return one row per attack, deployment, bound, budget and kind of goal.

    ``success`` is the success rate on fresh trials, averaged over images, with its Wilson interval
    over images. ``median_queries`` counts an image with at most half of its trials successful with
    the whole budget. ``median_distance`` is in the norm of the bound. ``images_without_distance``
    is the number of images that the reference attack of the bound did not change, so that no
    attack could change them. Attacks that ``failed`` are only counted; if all failed, the other
    figures are None. ``difference`` is the mean difference in success rate from the attack `first`
    (its name and settings) over the images of both, at the same deployment, bound, budget and kind
    of goal, with Student's interval; None for that attack itself. With a quantity as the goal,
    ``success`` is the fraction of trials in which the class is kept, and ``median_increase`` the
    median relative increase of the quantity over images, with an interval from order statistics.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_group(row, row["settings"], row["deployment"]), []).append(row)
    missing = Counter(
        _group(arguments, _settings(arguments), arguments["deployment"]) for arguments in failed
    )
    for key in missing:
        groups.setdefault(key, [])
    summaries = []
    for key, group in groups.items():
        compared: list[Mapping[str, Any]] = []
        if first is not None and key[:2] != (first["attack"], _settings(first)):
            compared = groups.get((first["attack"], _settings(first), *key[2:]), [])
        summaries.append({**_summary(key, group, missing[key]), **_difference(group, compared)})
    return summaries


def _difference(
    group: list[Mapping[str, Any]], compared: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the paired difference in success rate between two attacks."""
    others = {(row["index"], row["target_class"]): row["success"] for row in compared}
    goals = ((row["success"], (row["index"], row["target_class"])) for row in group)
    differences = [success - others[goal] for success, goal in goals if goal in others]
    interval = mean_interval(differences)
    return {
        "difference": statistics.fmean(differences) if differences else None,
        "difference_ci95": None if interval is None else list(interval),
    }


def _group(values: Mapping[str, Any], settings: str, deployment: str) -> tuple[Any, ...]:
    goal = values["goal"] if "goal" in values else _goal(values)
    return (
        values["attack"],
        settings,
        deployment,
        values["bound"],
        values["budget"],
        goal,
    )


def _settings(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments["settings"], sort_keys=True)


def _summary(key: tuple[Any, ...], group: list[Mapping[str, Any]], failed: int) -> dict[str, Any]:
    attack, settings, deployment, bound, budget, goal = key
    images = len(group)
    norm = bound.partition("=")[0].partition("@")[0] or "local_sd"

    def mean(values: Iterable[float]) -> float | None:
        return sum(values) / images if images else None

    def median(values: Iterable[float]) -> float | None:
        return statistics.median(values) if images else None

    success = mean(row["success"] for row in group)
    return {
        "attack": attack,
        "settings": json.loads(settings),
        "threat_model": group[0]["threat_model"] if group else None,
        "deployment": deployment,
        "bound": bound or None,
        "budget": budget,
        "images": images,
        "images_without_distance": sum(row["max_distance"] == 0 for row in group),
        "failed": failed,
        "targeted": goal == "targeted",
        "goal": goal,
        "success": success,
        "success_ci95": None
        if success is None
        else list(wilson_interval(sum(row["success"] for row in group), images)),
        **_increases(group),
        "images_fooled": mean(row["success"] > 0.5 for row in group),
        "median_queries": median(_queries(row) for row in group),
        "median_distance": median(row[f"{norm}_distance"] for row in group),
        "clean_success": mean(row["clean_success"] for row in group),
        "verification_queries": sum(row["verification_queries"] for row in group),
        "seconds": sum(row["seconds"] for row in group),
    }


def _increases(group: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median increase of the quantity to maximize, with its interval over images."""
    values = [row["increase"] for row in group if row.get("increase") is not None]
    interval = median_interval(values)
    return {
        "median_increase": statistics.median(values) if values else None,
        "median_increase_ci95": None if interval is None else list(interval),
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
