"""Output folder of a study: results as JSON, figures as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neuroattack.files import atomic_path, write_json

__all__ = ["save_figure", "save_study"]

_DPI = 150


def save_study(
    results_path: Path, results: Mapping[str, Any], figures: Mapping[str, Figure]
) -> list[Path]:
    """Write results as JSON, and next to them figures as PNG files; return all paths."""
    write_json(results_path, results)
    paths = [results_path]
    for name, figure in figures.items():
        paths.append(save_figure(results_path.with_name(f"{name}.png"), figure))
    return paths


def save_figure(target: Path, figure: Figure) -> Path:
    """Write a figure as a PNG file, atomically, and return its path."""
    with atomic_path(target) as path:
        figure.savefig(path, format="png", dpi=_DPI)
    return target
