"""The tables of a profile file: their keys, with units and ranges."""

from __future__ import annotations

from typing import Any

from neuroattack.hardware.profiles.entries import (
    BiasBits,
    Count,
    DecayBits,
    Price,
    Quantity,
    SignModes,
    Span,
    StateBits,
    Statement,
    StepSpan,
    Table,
    ThresholdBits,
    key,
)

__all__ = [
    "TABLES",
    "Energies",
    "Format",
    "Lacks",
    "Limits",
    "MeshTable",
    "Pace",
    "Powers",
    "Times",
    "full_name",
]

_COUNT: Any = key("", 1, 2**31)
_PJ: Any = key("pJ", 1e-6, 1e9)
_NS: Any = key("ns", 1e-3, 1e9)


class Limits(Table):
    """What one chip has; the first three are shown only."""

    process_nm: Quantity | None = key("nm", 0.1, 1e5)
    area_mm2: Quantity | None = key("mm2", 1e-4, 1e6)
    clock_hz: Quantity | None = key("Hz", 1, 1e12)
    cores_per_chip: Count | None = _COUNT
    neurons_per_core: Count | None = _COUNT
    neurons_per_chip: Count | None = _COUNT
    synapses_per_core: Count | None = _COUNT
    synapses_per_chip: Count | None = _COUNT
    synapse_bits_per_core: Count | None = key("bit", 1, 1e12)
    bits_per_synapse: Count | None = key("bit", 1, 1024)
    in_axons_per_core: Count | None = _COUNT
    out_axons_per_core: Count | None = _COUNT
    fan_in_per_neuron: Count | None = _COUNT
    fan_out_per_neuron: Count | None = _COUNT
    destination_cores_per_neuron: Count | None = _COUNT
    input_neurons: Count | None = _COUNT
    hidden_neurons: Count | None = _COUNT
    readout_neurons: Count | None = _COUNT


class MeshTable(Table):
    """How the cores lie; all three keys or none."""

    width: Count | None = key("nodes", 1, 1e6)
    height: Count | None = key("nodes", 1, 1e6)
    cores_per_node: Count | None = key("cores", 1, 1e6)


class Format(Table):
    """The numbers that a chip holds."""

    sign_modes: SignModes | None = None
    weight_bits: Count | None = key("bit", 1, 24)
    mixed_weight_step: Count | None = key("", 1, 256)
    weight_exp: Span | None = key("", -31, 31)
    u_bits: StateBits | None = key("bit", 2, 64)
    v_bits: StateBits | None = key("bit", 2, 24)
    decay_bits: DecayBits | None = key("bit", 1, 12)
    vth_mant_bits: ThresholdBits | None = key("bit", 1, 24)
    bias: BiasBits | None = None
    refractory_steps: StepSpan | None = key("steps", 0, 1e6)
    delay_steps: StepSpan | None = key("steps", 0, 1e6)


class Lacks(Table):
    """What a chip cannot do at all."""

    free_weights: Statement | None = None
    leak: Statement | None = None
    reset_to_rest: Statement | None = None
    bias: Statement | None = None
    refractory_period: Statement | None = None
    delay: Statement | None = None
    skip_projection: Statement | None = None


class Energies(Table):
    """Picojoules an event. ``stdp_update`` is shown only: networks do not learn here."""

    synaptic_operation: Price | None = _PJ
    update_active: Price | None = _PJ
    update_inactive: Price | None = _PJ
    spike_in_tile: Price | None = _PJ
    hop_ew: Price | None = _PJ
    hop_ns: Price | None = _PJ
    spike_packet: Price | None = _PJ
    synapse_fetch: Price | None = _PJ
    barrier: Price | None = _PJ
    host_io: Price | None = _PJ
    stdp_update: Price | None = _PJ


class Powers(Table):
    """Milliwatts."""

    static_chip: Price | None = key("mW", 1e-6, 1e6)
    active_core: Price | None = key("mW", 1e-6, 1e6)


class Times(Table):
    """Nanoseconds an event."""

    synaptic_operation: Quantity | None = _NS
    update_active: Quantity | None = _NS
    update_inactive: Quantity | None = _NS
    barrier_fastest: Quantity | None = _NS
    barrier_slowest: Quantity | None = _NS


class Pace(Table):
    """A step's hardware time where it is the same whatever happens in it.

    Seconds of a tick, or how many times faster than what it simulates: 1 is real time.
    """

    tick_s: Quantity | None = key("s", 1e-9, 10)
    acceleration: Quantity | None = key("times real time", 1e-6, 1e9)


TABLES: dict[str, type[Table]] = {
    "limits": Limits,
    "mesh": MeshTable,
    "format": Format,
    "lacks": Lacks,
    "energy_pJ": Energies,
    "power_mW": Powers,
    "time_ns": Times,
    "pace": Pace,
}
"""The tables of entries, by their names in a file."""

_PREFIXES = {"energy": "energy_pJ", "power": "power_mW", "time": "time_ns"}


def full_name(name: str) -> tuple[str, str]:
    """Return table and key of a name such as ``"energy.barrier"`` or ``"limits.clock_hz"``."""
    first, _, last = name.partition(".")
    return _PREFIXES.get(first, first), last
