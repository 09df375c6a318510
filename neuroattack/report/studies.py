"""Output folder of a study: its figures as JSON, its pictures as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neuroattack.files import atomic_path, write_json

__all__ = ["save_study"]

_DPI = 150


def save_study(
    figures_path: Path, figures: Mapping[str, Any], pictures: Mapping[str, Figure]
) -> list[Path]:
    """Write figures, and beside them a PNG file for each picture; return all paths."""
    write_json(figures_path, figures)
    paths = [figures_path]
    for name, picture in pictures.items():
        paths.append(figures_path.with_name(f"{name}.png"))
        with atomic_path(paths[-1]) as path:
            picture.savefig(path, format="png", dpi=_DPI)
    return paths
