"""The figures that scripts may rely on, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.registry import Figures, Table
from benchmarks.writing import with_spread

__all__ = ["summary_table"]

# Section, key, what it is, unit.
_LINES = (
    ("engine", "limit_ratio_one_core", "share of the limit, one core, T = 350", ""),
    ("engine", "vs_fastest_peer_batch100", "against the fastest peer, batch 100, T = 100", " x"),
    ("engine", "vs_fastest_peer_batch1", "against the fastest peer, batch 1, T = 100", " x"),
    ("engine", "vs_embedding_bag", "against PyTorch's embedding_bag, T = 100", " x"),
    ("engine", "vs_brian2_standalone", "against Brian2 standalone, T = 100", " x"),
    ("engine", "two_core_speedup", "two cores against one, T = 350", " x"),
    ("engine", "int8_speedup", "8 bits against floating point, T = 350", " x"),
    ("engine", "images_per_s", "images per second, one core, T = 100", ""),
    ("engine", "images_per_s_t350", "images per second, one core, T = 350", ""),
    ("attack", "crn_speedup", "99 images under a common draw against 99 unrelated", " x"),
    ("attack", "encoder_share", "encoder's share of a query", ""),
    ("attack", "paper_attack_s", "an attack as in the paper, all cores", " s"),
    ("training", "fine_tuned_s", "training of fine-tuned on MNIST", " s"),
    ("training", "fine_tuned_spiking_accuracy", "its accuracy in spikes, T = 350", ""),
    ("training", "paper_s", "training of paper on MNIST", " s"),
    ("training", "paper_rate_accuracy", "its accuracy as rates", ""),
    ("startup", "help_s", "neuroattack --help", " s"),
    ("startup", "first_query_s", "a process of one native query", " s"),
    ("remote", "remote_share", "throughput over HTTP on loopback, of that asked directly", ""),
)


def summary_table(figures: Mapping[str, Figures]) -> Table:
    """Return the figures of all sections that ran: median (lowest to highest)."""
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
            what = f"slope of time against {name}, log against log"
            rows.append([f"`scaling.slopes.{name}`", what, with_spread(slopes, name)])
    return Table("Summary: median (lowest to highest)", ("key", "", ""), rows)
