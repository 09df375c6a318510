"""The section of every item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neuroattack.paper.report.attack_content import (
    attack_section,
    clean_shares_section,
    stage_images_section,
    stages_section,
    windows_section,
)
from neuroattack.paper.report.noise_content import table_one_section
from neuroattack.paper.report.noise_figure_content import (
    noisy_section,
    table_picture_section,
    window_section,
)
from neuroattack.paper.report.population_content import population_section
from neuroattack.paper.report.sampling_content import sampling_section
from neuroattack.paper.report.section import Section
from neuroattack.paper.report.visibility_content import distances_section, survival_section

__all__ = ["section_of"]

Figures = Mapping[str, Any]

_SECTIONS: dict[str, Callable[[Figures], Section]] = {
    "table1": table_one_section,
    "figure2": table_picture_section,
    "figure3": window_section,
    "figure4": noisy_section,
    "table2": lambda figures: attack_section("table2", figures),
    "table3": lambda figures: attack_section("table3", figures),
    "figure6": windows_section,
    "figure7": stages_section,
    "figure8": stage_images_section,
    "figure9": clean_shares_section,
    "population": population_section,
    "sampling": sampling_section,
    "transformations": survival_section,
    "imperceptibility": distances_section,
}


def section_of(item: str, figures: Figures) -> Section:
    """Return the section of an item, made from its figures alone."""
    return _SECTIONS[item](figures)
