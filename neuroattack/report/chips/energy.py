"""Figures of an energy study: energy against accuracy, and the placements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.network import Network
from neuroattack.report.chips.placement import placement_figure
from neuroattack.report.style import INK, MUTED, PALETTE, style

__all__ = ["chip_figures", "energy_figure"]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_PJ_PER_UJ = 1e6
_LEAST_REACH = 1.0


def chip_figures(
    study: Mapping[str, Any], network: Network, profiles: Sequence[Profile], rounding: Rounding
) -> dict[str, Figure]:
    """Return the energy figure of a study, and one of each placement with a known core count."""
    placements = {
        f"placement-{profile.id}": placement_figure(fit(network, profile, rounding).placement)
        for profile in profiles
        if study["profiles"][profile.id]["cores_used"] is not None
    }
    return {"energy": energy_figure(study)} | placements


def energy_figure(study: Mapping[str, Any]) -> Figure:
    """Draw energy per image against accuracy, with a bar from lower to upper bound per profile.

    A filled marker is a total, a hollow one a subtotal. Profiles without a published energy
    coefficient, and those that do not support the network, are listed below the axes.
    """
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.subplots()
    chips = study["profiles"]
    estimated = {name: chip for name, chip in chips.items() if chip["subtotal_pj"]}
    for place, (name, chip) in enumerate(estimated.items()):
        lower, upper = (end / _PJ_PER_UJ for end in chip["subtotal_pj"].values())
        color, marker = PALETTE[place % len(PALETTE)], _MARKERS[place % len(_MARKERS)]
        accuracy = 100 * chip["accuracy"]
        middle_uj = (lower * upper) ** 0.5
        axes.plot([lower, upper], [accuracy, accuracy], color=color, linewidth=3, alpha=0.5)
        ends = [100 * end for end in chip["accuracy_ci95"]]
        axes.plot([middle_uj, middle_uj], ends, color=color, linewidth=1)
        is_total = not chip["without_coefficient"]
        axes.plot(
            [middle_uj],
            [accuracy],
            linestyle="none",
            marker=marker,
            markersize=8,
            color=color,
            markerfacecolor=color if is_total else "white",
            label=f"{name}{'' if is_total else ' (subtotal)'}",
        )
    reference = 100 * study["reference"]["accuracy"]
    axes.axhline(reference, color=INK, linewidth=1, linestyle=":")
    axes.annotate(
        "floating point, no hardware profile",
        (0.01, reference),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
    )
    # Differences that are not significant should not look large.
    middle, reach = np.mean(axes.get_ylim()), max(np.ptp(axes.get_ylim()) * 0.6, _LEAST_REACH)
    axes.set_ylim(middle - reach, middle + reach)
    axes.set_xscale("log")
    axes.set_xlabel("Energy per image (\u00b5J)", color=INK)
    axes.set_ylabel(f"Accuracy (%), {study['images']:,} images", color=INK)
    style(axes, "both")
    if estimated:
        axes.legend(frameon=False, fontsize=8.5)
    without = [name for name, chip in chips.items() if chip["fits"] and name not in estimated]
    refused = [name for name, chip in chips.items() if not chip["fits"]]
    notes = [
        f"{label}: {', '.join(names)}"
        for label, names in (
            ("No published coefficient", without),
            ("Network not supported", refused),
        )
        if names
    ]
    if notes:
        figure.supxlabel("\n".join(notes), fontsize=8, color=MUTED)
    return figure
