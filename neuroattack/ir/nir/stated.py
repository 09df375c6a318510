"""Settings beyond NIR's scope, which neuroattack stores in the metadata of NIR files."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from neuroattack.encoding.encoders import ENCODERS, DirectEncoder, Encoder, encoder_from
from neuroattack.errors import ValidationError
from neuroattack.ir.network import Network, Population
from neuroattack.ir.nir.graph import Graph
from neuroattack.ir.nir.nodes import Neurons
from neuroattack.ir.nir.reading import Arrival, Integration, Reading

__all__ = [
    "encoder_of",
    "graph_metadata",
    "image_shape_of",
    "neuron_metadata",
    "origin_of",
    "reading_of",
]

_OURS = "neuroattack/"


def graph_metadata(network: Network) -> dict[str, Any]:
    """Return the metadata of an exported graph."""
    return {
        "neuroattack": {
            "dt_s": network.dt_s,
            "time_unit_s": 1.0,
            "integration": "hold",
            "arrival": "next-step",
            "encoder": network.input.encoder.kind,
            **network.input.encoder.settings(),
            "image_shape": np.array(network.input.shape),
            "origin": dict(network.origin),
        }
    }


def neuron_metadata(population: Population) -> dict[str, Any]:
    """Return the metadata of an exported node of neurons."""
    return {"neuroattack": {"refractory_steps": int(population.refractory_steps[0])}}


def reading_of(
    graph: Graph,
    dt_s: float | None,
    time_unit_s: float | None,
    integration: Integration | None,
    arrival: Arrival | None,
    refractory_steps: int | None,
) -> Reading:
    """Return the discretization of a file: the given settings, else (None) those in its metadata.

    Raises ValidationError if a setting is in neither; there are no defaults.
    """
    settings: dict[str, Any] = {
        "dt": dt_s if dt_s is not None else _number(graph, "dt_s"),
        "time-unit": time_unit_s if time_unit_s is not None else _number(graph, "time_unit_s"),
        "integration": integration or _text(graph, "integration"),
        "arrival": arrival or _text(graph, "arrival"),
    }
    missing = [f"--{name}" for name, value in settings.items() if value is None]
    neurons = [node for node in graph.nodes.values() if isinstance(node, Neurons)]
    if refractory_steps is None and any("refractory_steps" not in node.own for node in neurons):
        missing.append("--refractory-steps")
    if missing:
        raise ValidationError(
            "settings that NIR does not define",
            f"no {', '.join(missing)}",
            "the values used in training "
            f"(integration: {', '.join(get_args(Integration))}; arrival: "
            f"{', '.join(get_args(Arrival))})",
        )
    return Reading(
        settings["dt"],
        settings["time-unit"],
        settings["integration"],
        settings["arrival"],
        refractory_steps,
    )


def encoder_of(graph: Graph, kind: str | None, max_rate_hz: float | None) -> Encoder:
    """Return the encoder: the given settings, else (None) those in the file's metadata.

    Raises ValidationError if a setting is in neither or does not apply to the encoder, and
    UnknownNameError if the kind is unknown.
    """
    kind = kind or _text(graph, "encoder")
    if kind == DirectEncoder.kind:
        if max_rate_hz is not None:
            raise ValidationError(
                "input rate", f"{max_rate_hz:g} Hz", "none: direct coding has no spikes"
            )
        bits = _number(graph, "bits")
        return DirectEncoder() if bits is None else DirectEncoder(int(bits))
    rate_hz = max_rate_hz if max_rate_hz is not None else _number(graph, "max_rate_hz")
    if kind is None or rate_hz is None:
        raise ValidationError(
            "encoder, which NIR does not define",
            f"no {'--encoder' if kind is None else '--input-rate'}",
            f"an encoder ({', '.join(ENCODERS)}) and, unless direct, its rate in Hz at intensity 1",
        )
    return encoder_from(kind, {"max_rate_hz": rate_hz})


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


def _number(graph: Graph, field: str) -> float | None:
    value = graph.metadata.get(_OURS + field)
    if value is None:
        return None
    if value.shape != () or value.dtype.kind not in "fiu" or not np.isfinite(value):
        raise ValidationError(f"metadata {_OURS}{field}", value, "a finite number")
    return float(value)


def _text(graph: Graph, field: str) -> str | None:
    value = graph.metadata.get(_OURS + field)
    return str(value) if value is not None and value.dtype.kind == "U" else None
