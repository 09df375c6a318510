"""Export of a network as a self-contained Brian2 script, for further work in Brian2."""

from __future__ import annotations

import json

from neuroattack import __version__
from neuroattack.encoding.encoders import DirectEncoder, RateEncoder
from neuroattack.ir.network import FixedPopulation, Network
from neuroattack.ir.structure import lags

from ..scripts.data import data_text, entry, has_convolutions, projection_entries, values_text
from .neurons import neuron_model
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
        fields["values"] = values_text(population.name, model.values, data)
        populations.append(entry(f"{population.name!r}: ", fields))
    projections = projection_entries(network, shifts, data)
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
        "PROJECTIONS": projections,
        "DATA": data_text(data),
    }
    return script_text(flags, fields, encoder.kind)


def _flags(network: Network, shifts: dict[str, int]) -> set[str]:
    """Return the flags of :func:`script_text`."""
    used = {
        "direct": isinstance(network.input.encoder, DirectEncoder),
        "lags": any(shifts.values()),
        "potentials": network.readout_quantity != "spike_count",
        "max": network.readout_quantity == "max_potential",
        "sparse": has_convolutions(network),
    }
    return {flag for flag, value in used.items() if value}


def _model(texts: dict[str, str]) -> str:
    """Return the entry of a neuron model; texts of several lines are blocks."""
    return entry(
        "",
        {
            name: f'"""{text}"""' if "\n" in text else json.dumps(text)
            for name, text in texts.items()
        },
    )
