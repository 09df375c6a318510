"""Metadata of NIR files in which neuroattack stores what NIR does not define."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.ir.network import Network, Population
from neuroattack.ir.nir.graph.graph import Graph
from neuroattack.ir.nir.graph.nodes import Neurons
from neuroattack.ir.nir.settings.reading import Arrival

__all__ = [
    "graph_metadata",
    "image_shape_of",
    "neuron_metadata",
    "node_choice",
    "node_numbers",
    "number",
    "origin_of",
    "text",
]

_OURS = "neuroattack/"


def graph_metadata(network: Network, arrival: Arrival) -> dict[str, Any]:
    """Return the metadata of an exported graph."""
    return {
        "neuroattack": {
            "dt_s": network.dt_s,
            "time_unit_s": 1.0,
            "integration": "hold",
            "arrival": arrival,
            "encoder": network.input.encoder.kind,
            **network.input.encoder.settings(),
            "image_shape": np.array(network.input.shape),
            "readout": network.readout_quantity,
            "origin": dict(network.origin),
        }
    }


def neuron_metadata(population: Population) -> dict[str, Any]:
    """Return the metadata of an exported node of neurons."""
    return {
        "neuroattack": {
            "reset": population.reset,
            "comparison": population.comparison,
            "input_order": "after" if population.input_after_update else "before",
            "refractory_steps": population.refractory_steps.copy(),
            **({} if population.reset == "value" else {"subtracted": population.reset_v.copy()}),
        }
    }


def number(graph: Graph, field: str) -> float | None:
    """Return a number from the graph's metadata, or None."""
    value = graph.metadata.get(_OURS + field)
    if value is None:
        return None
    if value.shape != () or value.dtype.kind not in "fiu" or not np.isfinite(value):
        raise ValidationError(f"metadata {_OURS}{field}", value, "a finite number")
    return float(value)


def text(graph: Graph, field: str) -> str | None:
    """Return a text from the graph's metadata, or None."""
    value = graph.metadata.get(_OURS + field)
    return str(value) if value is not None and value.dtype.kind == "U" else None


def node_choice(node: Neurons, field: str, known: tuple[str, ...]) -> str | None:
    """Return one of the known values from a node's metadata, or None."""
    value = node.own.get(field)
    if value is None:
        return None
    if str(value) not in known:
        raise UnknownNameError(f"{node.words} metadata {_OURS}{field}", str(value), known)
    return str(value)


def node_numbers(node: Neurons, field: str) -> Any:
    """Return an array of numbers from a node's metadata, or None."""
    value = node.own.get(field)
    if value is not None and (value.dtype.kind not in "fiu" or not np.isfinite(value).all()):
        raise ValidationError(
            f"{node.words} metadata {_OURS}{field}", f"type {value.dtype}", "finite numbers"
        )
    return value


def image_shape_of(graph: Graph) -> tuple[int, ...] | None:
    """Return the image shape in the file's metadata, or None."""
    shape = graph.metadata.get(f"{_OURS}image_shape")
    if shape is None or shape.ndim != 1 or shape.dtype.kind not in "iu":
        return None
    return tuple(int(side) for side in shape)


def origin_of(graph: Graph) -> dict[str, str]:
    """Return the provenance of the exported network from the file's metadata."""
    prefix = f"{_OURS}origin/"
    return {
        key.removeprefix(prefix): str(value)
        for key, value in graph.metadata.items()
        if key.startswith(prefix) and value.dtype.kind == "U" and value.shape == ()
    }
