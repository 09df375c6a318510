"""Populations and projections in exported scripts, as Python literals.

Values that differ between neurons, and the weights, are compressed and stored as base64 in a
dictionary at the end of the script.
"""

from __future__ import annotations

import base64
import textwrap
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.network import AnyProjection, Convolution, Network
from neuroattack.ir.values import is_uniform

__all__ = ["data_text", "entry", "has_convolutions", "projection_entries", "values_text"]


def has_convolutions(network: Network) -> bool:
    """Return whether entries of projections have the field ``sparse``."""
    return any(isinstance(projection, Convolution) for projection in network.projections)


def values_text(
    population: str, values: Mapping[str, NDArray[np.float64]], data: dict[str, str]
) -> str:
    """Return the values of a population's neurons; arrays are added to `data`."""
    lines = []
    for name, each in values.items():
        text = repr(float(each[0])).replace("inf", "math.inf")
        if not is_uniform(each):
            block = f"{name} of {population}"
            data[block] = _block(each.astype("<f8"))
            text = repr(block)
        lines.append(f"            {name!r}: {text},\n")
    return f"{{\n{''.join(lines)}        }}"


def projection_entries(network: Network, shifts: Mapping[str, int], data: dict[str, str]) -> str:
    """Return the entries of all projections that have connections; weights are added to `data`.

    `shifts` are the lags of populations in time steps, which delays include.
    """
    may_be_sparse = has_convolutions(network)
    return "\n".join(
        _projection(number, projection, shifts, may_be_sparse, data)
        for number, projection in enumerate(network.projections)
        # Simulators do not support projections without connections.
        if projection.connections
    )


def _projection(
    number: int,
    projection: AnyProjection,
    shifts: Mapping[str, int],
    may_be_sparse: bool,
    data: dict[str, str],
) -> str:
    """Return the projection's entry in the script; its weights are added to `data`.

    Those of convolutions are stored as source, target and weight of every synapse.
    """
    name = f"weights {number}"
    if isinstance(projection, Convolution):
        synapses = projection.sparse().tocoo()
        integers = np.stack([synapses.row, synapses.col, synapses.data])
    else:
        integers = projection.mantissas
    planes = np.ascontiguousarray(integers).astype("<i4").view(np.uint8).reshape(-1, 4).T
    data[name] = f"({projection.exponent}, {_block(np.ascontiguousarray(planes))})"
    fields = {
        "source": repr(projection.source),
        "target": repr(projection.target),
        "delay_steps": repr(
            projection.delay_steps + shifts[projection.target] - shifts[projection.source]
        ),
        "weights": repr(name),
    }
    if may_be_sparse:
        fields["sparse"] = repr(isinstance(projection, Convolution))
    return entry("", fields)


def entry(key: str, fields: Mapping[str, str]) -> str:
    """Return the entry of a list, or of a dictionary if `key` is not empty."""
    lines = "".join(f"        {name!r}: {text},\n" for name, text in fields.items())
    return f"    {key}{{\n{lines}    }},".replace("'", '"')


def data_text(data: Mapping[str, str]) -> str:
    """Return the entries of the dictionary at the end of the script."""
    return "\n".join(f"    {name!r}: {block}," for name, block in data.items())


def _block(array: NDArray[Any]) -> str:
    text = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return '"""\n' + "\n".join(textwrap.wrap(text, 100)) + '\n"""'
