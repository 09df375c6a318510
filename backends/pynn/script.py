"""Export of a network as a self-contained PyNN script, for its simulators and SpiNNaker."""

from __future__ import annotations

import json

from neuroattack import __version__
from neuroattack.deployment.features import biases_on_grid, check_supported
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import Network, Population
from neuroattack.ir.structure import lags

from ..scripts.data import data_text, entry, has_convolutions, projection_entries, values_text
from .script_text import script_text

__all__ = ["SUPPORTED", "pynn_script"]

SUPPORTED = frozenset(
    {
        "per_neuron_parameters",
        "inclusive_threshold",
        "recurrence",
        "feedback",
        "same_step_arrival",
        "convolution",
    }
)
"""Features that PyNN's neuron model ``IF_curr_delta`` and its connectors can express."""

# The script lists every synapse, also those of convolutions, with 32 bytes each: 512 MiB.
_MOST_SYNAPSES = 2**24


def pynn_script(network: Network) -> str:
    """Return a PyNN script with a network and its weights that does not need neuroattack.

    The script simulates an image on a simulator that PyNN supports; its last line of output are
    the spike counts of the readout.

    Raises
    ------
    UnsupportedFeatureError
        If PyNN cannot express the network exactly.
    """
    populations = _checked(network)
    shifts = _shifts(network, populations)
    biased = any(population.bias_v.any() for population in populations)
    data: dict[str, str] = {}
    entries = []
    for population in populations:
        values = {
            "decay": population.decay(network.dt_s),
            "threshold": population.strict_threshold_v,
            "reset": population.reset_v,
            "refractory_steps": population.refractory_steps.astype("<f8"),
        }
        if biased:
            values["bias"] = population.bias_v
        fields = {
            "size": repr(population.size),
            "lag": repr(shifts[population.name]),
            "values": values_text(population.name, values, data),
        }
        entries.append(entry(f"{population.name!r}: ", fields))
    used = {"bias": biased, "lags": any(shifts.values()), "sparse": has_convolutions(network)}
    encoder = network.input.encoder
    if not isinstance(encoder, RateEncoder):  # pragma: no cover
        raise TypeError("check_supported comes first")
    fields = {
        "VERSION": __version__,
        "CHECKSUM": network.checksum(),
        "SHAPE": repr(network.input.shape),
        "DT": repr(network.dt_s),
        "RATE": repr(encoder.max_rate_hz),
        "READOUT": json.dumps(network.readout),
        "POPULATIONS": "\n".join(entries),
        "PROJECTIONS": projection_entries(network, shifts, data),
        "DATA": data_text(data),
    }
    return script_text({flag for flag, value in used.items() if value}, fields, encoder.kind)


def _checked(network: Network) -> list[Population]:
    """Return the populations of a network that PyNN supports; raise an error for others."""
    check_supported("pynn", SUPPORTED, network, "exporter")
    populations = [each for each in network.populations if isinstance(each, Population)]
    for population in populations:
        # All neurons are simulated for a few steps before the first.
        if (population.strict_threshold_v < 0).any():
            raise UnsupportedFeatureError(
                "exporter 'pynn' does not support neurons that spike at rest "
                f"(population {population.name!r})"
            )
    synapses = sum(projection.connections for projection in network.projections)
    if synapses > _MOST_SYNAPSES:
        raise UnsupportedFeatureError(
            f"exporter 'pynn' lists every synapse: got {synapses:,} connections, expected at most "
            f"{_MOST_SYNAPSES:,}"
        )
    return populations


def _shifts(network: Network, populations: list[Population]) -> dict[str, int]:
    """Return the lags of populations in time steps.

    Rounded sums depend on their order: biases off the grid of the weights must be added last. They
    arrive one step after they are sent, so all other spikes must take at least two steps.
    """
    slow = [each.name for each in populations if not biases_on_grid(each, network)]
    shifts = lags(network, slow)
    if slow:
        # Two steps also for the spikes of the input.
        shifts |= {each.name: shifts[each.name] + 1 for each in populations}
    return shifts
