"""Tables and plots of section ``engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.entrants import BAG, BRIAN, PEER, TORCH
from benchmarks.registry import Figures, Table
from benchmarks.writing import with_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["engine_plots", "engine_tables"]

_NO_PEER = "none installed"

_RATIOS = (
    ("fraction of the limit, one core", "limit_ratio_one_core"),
    ("fraction of plain row-by-row addition", "limit_ratio_plain_addition"),
    ("fraction of addition for 64 neurons at a time", "limit_ratio_tiles"),
    ("speed-up of two cores over one", "two_core_speedup"),
    ("the same of computation without memory", "two_core_limit"),
    ("speed-up of 8 bits over floating point", "int8_speedup"),
)

_AGAINST = (
    ("fastest library", "vs_fastest_peer"),
    ("fastest library, not compiled", "vs_fastest_eager_peer"),
    ("fastest library, as documented", "vs_fastest_documented_peer"),
)


def engine_tables(figures: Figures) -> list[Table]:
    """Return the tables of the section."""
    return [
        Table(
            f"Native backend, batches of {figures['batch']} images: median (lowest to highest "
            f"of {figures['rounds']} rounds)",
            ("", "T = 350", "T = 100"),
            [
                [
                    "images per second",
                    with_spread(figures, "images_per_s_t350"),
                    with_spread(figures, "images_per_s_t100"),
                ],
                *(
                    [title, with_spread(figures, key), with_spread(figures, f"{key}_t100")]
                    for title, key in _RATIOS
                ),
                *_limit_rows(figures),
                *_spike_rows(figures),
            ],
        ),
        Table(
            f"Native backend and other simulators, T = {figures['steps']}, one core: median "
            f"(lowest to highest of {figures['rounds_against_others']} rounds)",
            ("speed-up of native over", "batch 100", "batch 1", "encoding included"),
            [
                *(
                    [title]
                    + [
                        with_spread(figures, f"{key}_{table}", " x", absent=_NO_PEER)
                        if f"{key}_{table}" in figures
                        else ""
                        for table in ("batch100", "batch1", "with_encoding")
                    ]
                    for title, key in _AGAINST
                ),
                *(
                    [title, with_spread(figures, key, " x", absent=_NO_PEER), "", ""]
                    for title, key in (
                        (f"{BAG}, fastest", "vs_embedding_bag"),
                        (f"{BAG}, as one writes it", "vs_embedding_bag_plain"),
                        (BRIAN, "vs_brian2_standalone"),
                        (TORCH, "vs_torch_backend"),
                    )
                    # Results of earlier versions do not have all engines.
                    if key in figures
                ),
            ],
        ),
        _throughputs(figures),
        Table(
            "Configurations",
            ("", ""),
            [
                ["network", f"{figures['network']} ({figures['network_checksum'][:12]})"],
                ["images", f"first {figures['batch']} test images of {figures['dataset']}"],
                [
                    "checked",
                    f"counts and spikes of the reference dynamics on {figures['checked_images']} "
                    "images, in floating and in fixed point",
                ],
                *figures["configurations"].items(),
                *(
                    [name, engine.get("equivalence") or _missing(engine)]
                    for name, engine in figures["engines"].items()
                ),
            ],
        ),
    ]


def _limit_rows(figures: Figures) -> list[list[str]]:
    both = [figures["limit"], figures["limit_t100"]]
    return [
        [
            "weight additions per image, millions",
            *(f"{sum(one['additions_per_image'].values()) / 1e6:.2f}" for one in both),
        ],
        ["images per second at the limit", *(with_spread(one, "images_per_s") for one in both)],
        [
            "additions per second at the limit, 10^9",
            *(f"{one['additions_per_s'] / 1e9:.1f}" for one in both),
        ],
        [
            "fastest variant of row addition",
            *(
                "; ".join(f"{name}: {form}" for name, form in one["fastest_form"].items())
                for one in both
            ),
        ],
    ]


def _spike_rows(figures: Figures) -> list[list[str]]:
    return [
        [
            title,
            *(
                ", ".join(
                    f"{name} {count:.0f}"
                    for name, count in figures[f"spikes_per_image{key}_t{steps}"].items()
                )
                for steps in (350, 100)
            ),
        ]
        for title, key in (("spikes per image", ""), ("spikes per image, 8 bits", "_int8"))
    ]


def _throughputs(figures: Figures) -> Table:
    native = figures["native"]
    rows = [
        [
            "neuroattack native",
            native["configuration"],
            *(with_spread(native[table], "images_per_s") for table in ("batch100", "batch1")),
            with_spread(native["with_encoding"], "images_per_s"),
            "",
        ]
    ]
    for name, engine in figures["engines"].items():
        for configuration, one in engine["configurations"].items():
            if "unavailable" in one:
                rows.append([name, f"{configuration}: {one['unavailable']}", "", "", "", ""])
                continue
            rows.append(
                [
                    f"{name} {engine['version']}",
                    configuration,
                    *(
                        with_spread(one[table], "images_per_s") if table in one else ""
                        for table in ("batch100", "batch1", "with_encoding")
                    ),
                    f"{100 * one['same_class']:.0f} %",
                ]
            )
    return Table(
        f"Images per second, T = {figures['steps']}, one core",
        ["simulator", "configuration", "batch 100", "batch 1", "encoding included", "same class"],
        rows,
    )


def _missing(engine: Figures) -> str:
    install = f"; to install: {engine['install']}" if "install" in engine else ""
    return f"not installed ({engine['reason']}){install}"


def engine_plots(figures: Figures) -> dict[str, Figure]:
    """Return a plot of batch throughputs, each simulator in its fastest configuration."""
    from benchmarks.plots import throughput_figure

    lines = [("neuroattack native", figures["native"]["batch100"], True)]
    for name, engine in figures["engines"].items():
        measured = [
            (one["batch100"]["images_per_s"], configuration, one["batch100"])
            for configuration, one in engine["configurations"].items()
            if "batch100" in one
        ]
        if measured:
            _, configuration, found = max(measured, key=lambda each: each[0])
            note = f", {configuration}" if engine["family"] in (PEER, BAG) else ""
            lines.append((f"{name}{note}", found, False))
    return {"engine": throughput_figure(lines)} if len(lines) > 1 else {}
