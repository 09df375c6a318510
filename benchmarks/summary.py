"""Table of the figures that scripts may rely on."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.registry import Figures, Table
from benchmarks.writing import with_spread

__all__ = ["summary_table"]

# Section, key, label, unit.
_LINES = (
    ("engine", "limit_ratio_one_core", "fraction of the limit, one core, T = 350", ""),
    (
        "engine",
        "vs_fastest_peer_batch100",
        "speed-up over the fastest library, batch 100, T = 100",
        " x",
    ),
    (
        "engine",
        "vs_fastest_peer_batch1",
        "speed-up over the fastest library, batch 1, T = 100",
        " x",
    ),
    ("engine", "vs_embedding_bag", "speed-up over PyTorch's embedding_bag, T = 100", " x"),
    ("engine", "vs_brian2_standalone", "speed-up over Brian2 standalone, T = 100", " x"),
    ("engine", "two_core_speedup", "speed-up of two cores over one, T = 350", " x"),
    ("engine", "int8_speedup", "speed-up of 8 bits over floating point, T = 350", " x"),
    ("engine", "images_per_s", "images per second, one core, T = 100", ""),
    ("engine", "images_per_s_t350", "images per second, one core, T = 350", ""),
    (
        "convolution",
        "vs_snntorch_direct",
        "convolutions, direct coding: speed-up over snnTorch",
        " x",
    ),
    ("convolution", "vs_snntorch_poisson", "convolutions, Poisson: speed-up over snnTorch", " x"),
    ("query", "query_us", "query of one image, one core, T = 100", " us"),
    ("query", "python_us", "Python in a query of one image", " us"),
    ("attack", "crn_speedup", "speed-up of shared randomness for 99 similar images", " x"),
    ("attack", "encoder_share", "encoder's fraction of the time of a query", ""),
    ("attack", "paper_attack_s", "one attack as in the paper, all cores", " s"),
    ("training", "fine_tuned_s", "training, recipe fine-tuned, MNIST", " s"),
    (
        "training",
        "fine_tuned_spiking_accuracy",
        "accuracy in spikes, recipe fine-tuned, T = 350",
        "",
    ),
    ("training", "paper_s", "training, recipe paper, MNIST", " s"),
    ("training", "paper_rate_accuracy", "accuracy as rates, recipe paper", ""),
    ("startup", "help_s", "neuroattack --help", " s"),
    ("startup", "first_query_s", "process with one native query", " s"),
    ("remote", "remote_share", "throughput over HTTP on loopback relative to direct queries", ""),
    ("remote", "batching_speedup", "speed-up of 16 clients by batches of waiting requests", " x"),
)


def summary_table(figures: Mapping[str, Figures]) -> Table:
    """Return the main figures of all sections that ran: median (lowest to highest)."""
    rows = []
    for section, key, what, unit in _LINES:
        if section not in figures:
            continue
        found = figures[section]
        if f"{key}_spread" in found:
            said = with_spread(found, key, unit)
        else:
            said = "not measured" if found[key] is None else f"{found[key]:.4g}{unit}"
        rows.append([f"`{section}.{key}`", what, said])
    slopes = figures.get("scaling", {}).get("slopes", {})
    for name in slopes:
        if not name.endswith("_spread"):
            what = f"slope of time against {name}, log-log"
            rows.append([f"`scaling.slopes.{name}`", what, with_spread(slopes, name)])
    return Table("Summary: median (lowest to highest)", ("key", "", ""), rows)
