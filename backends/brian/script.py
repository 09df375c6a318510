"""Export of a network as a self-contained Brian2 script, for further work in Brian2."""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.encoding.encoders import DirectEncoder, RateEncoder
from neuroattack.ir.network import AnyProjection, Convolution, FixedPopulation, Network
from neuroattack.ir.structure import lags
from neuroattack.ir.values import is_uniform

from .neurons import NeuronModel, neuron_model
from .script_text import script_text
from .support import check_supported

__all__ = ["brian2_script"]

_TEXTS = ("equations", "update", "threshold", "reset")


def brian2_script(network: Network) -> str:
    """Return a Brian2 script with a network and its weights that does not need neuroattack.

    The script simulates an image; its last line of output are the spike counts of the readout, or
    its potentials if they are the output of the network. Raises UnsupportedFeatureError if Brian2
    does not support the network exactly.
    """
    check_supported("brian2", network)
    shifts = lags(network)
    flags = _flags(network, shifts)
    texts = [*_TEXTS, "rest"] if "lags" in flags else _TEXTS
    direct = "direct(t, i)" if "direct" in flags else ""
    data: dict[str, str] = {}
    models: dict[tuple[str, ...], int] = {}
    populations = []
    for population in network.populations:
        if isinstance(population, FixedPopulation):  # pragma: no cover
            raise TypeError("check_supported comes first")
        model = neuron_model(population, network.dt_s, direct)
        number = models.setdefault(tuple(getattr(model, text) for text in texts), len(models))
        fields = {"model": repr(number), "size": repr(population.size)}
        if "lags" in flags:
            fields["lag"] = repr(shifts[population.name])
        fields["values"] = _values(population.name, model, data)
        populations.append(_entry(f"{population.name!r}: ", fields))
    projections = [
        _projection(number, projection, shifts, "sparse" in flags, data)
        for number, projection in enumerate(network.projections)
        # Brian2 does not support synapses without connections.
        if projection.connections
    ]
    encoder = network.input.encoder
    fields = {
        "VERSION": __version__,
        "CHECKSUM": network.checksum(),
        "SHAPE": repr(network.input.shape),
        "DT": repr(network.dt_s),
        "RATE": repr(encoder.max_rate_hz) if isinstance(encoder, RateEncoder) else "",
        "BITS": repr(encoder.bits) if isinstance(encoder, DirectEncoder) else "",
        "LAG": repr(max(shifts.values())),
        "READOUT": json.dumps(network.readout),
        "MODELS": "\n".join(_model(dict(zip(texts, model, strict=True))) for model in models),
        "POPULATIONS": "\n".join(populations),
        "PROJECTIONS": "\n".join(projections),
        "DATA": "\n".join(f"    {name!r}: {block}," for name, block in data.items()),
    }
    return script_text(flags, fields, encoder.kind)


def _flags(network: Network, shifts: dict[str, int]) -> set[str]:
    """Return the flags of :func:`script_text`."""
    used = {
        "direct": isinstance(network.input.encoder, DirectEncoder),
        "lags": any(shifts.values()),
        "potentials": network.readout_quantity != "spike_count",
        "max": network.readout_quantity == "max_potential",
        "sparse": any(isinstance(p, Convolution) for p in network.projections),
    }
    return {flag for flag, value in used.items() if value}


def _model(texts: dict[str, str]) -> str:
    """Return the entry of a neuron model; texts of several lines are blocks."""
    return _entry(
        "",
        {
            name: f'"""{text}"""' if "\n" in text else json.dumps(text)
            for name, text in texts.items()
        },
    )


def _values(population: str, model: NeuronModel, data: dict[str, str]) -> str:
    """Return the values of a neuron model in the script; arrays are added to `data`."""
    lines = []
    for name, values in model.values.items():
        text = repr(float(values[0])).replace("inf", "math.inf")
        if not is_uniform(values):
            block = f"{name} of {population}"
            data[block] = _block(values.astype("<f8"))
            text = repr(block)
        lines.append(f"            {name!r}: {text},\n")
    return f"{{\n{''.join(lines)}        }}"


def _projection(
    number: int,
    projection: AnyProjection,
    shifts: dict[str, int],
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
    return _entry("", fields)


def _entry(key: str, fields: dict[str, str]) -> str:
    lines = "".join(f"        {name!r}: {text},\n" for name, text in fields.items())
    return f"    {key}{{\n{lines}    }},".replace("'", '"')


def _block(array: NDArray[Any]) -> str:
    text = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return '"""\n' + "\n".join(textwrap.wrap(text, 100)) + '\n"""'
