"""Rows of the table, and what its parts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.network import Input, Network, Projection

LARGEST_THRESHOLD = (2**17 - 1) * 64
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Row:
    """Result for one aspect: values compared, those that differ, and those not explained."""

    aspect: str
    compared: int
    differing: int
    unexplained: int


def layer(inputs: int, populations: list[Any], projections: list[Projection]) -> Network:
    """Return a network; without others, the last population is its readout."""
    return Network(
        1e-3,
        Input((inputs,), PoissonEncoder(100.0)),
        tuple(populations),
        tuple(projections),
        populations[-1].name,
    )
