"""What was measured beside the cells of Table I, as flat tables of values, for CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["rules_rows", "small_noise_rows", "training_rows"]

Figures = Mapping[str, Any]
Row = dict[str, Any]


def small_noise_rows(figures: Figures) -> Iterator[Row]:
    """Yield a training with small noise each, and the mean difference of those of its kind."""
    for found in figures["small_noise"]:
        means: Row = {}
        for name in ("difference", "spiking_difference"):
            ci95 = found[f"{name}_ci95"] or (None, None)
            means[f"mean_{name}"] = found[name]
            means |= {f"mean_{name}_ci95_low": ci95[0], f"mean_{name}_ci95_high": ci95[1]}
        for seed, clean, noisy in zip(found["seeds"], found["clean"], found["noisy"], strict=True):
            yield {
                "noise": found["noise"],
                "delta": found["delta"],
                "seed": seed,
                "clean_accuracy": clean,
                "accuracy": noisy,
                "difference": noisy - clean,
                **means,
                "paper_difference": found["paper_difference"],
            }


def rules_rows(figures: Figures) -> Iterator[Row]:
    """Yield accuracy under test noise by rule, magnitude and training, as rates and in spikes."""
    for found in figures["test_noise"]:
        columns = [
            (rule["clipping"], figures["clean"]["seed"], rule["rates"], rule["spiking"])
            for rule in found["rules"]
        ]
        columns += [
            (found["clipping"], seed["seed"], seed["rates"], [None] * len(found["deltas"]))
            for seed in found["seeds"]
            if seed["seed"] != figures["clean"]["seed"]
        ]
        for clipping, seed, rates, spiking in columns:
            for place, delta in enumerate(found["deltas"]):
                yield {
                    "noise": found["noise"],
                    "clipping": clipping,
                    "seed": seed,
                    "delta": delta,
                    "accuracy": rates[place],
                    "spiking_accuracy": spiking[place],
                    "paper_accuracy": found["paper"][place],
                }


def training_rows(figures: Figures) -> Iterator[Row]:
    """Yield trainings on noise under other clipping rules and with other fast weights."""
    yield from map(dict, figures["collapse"]["retried"])
