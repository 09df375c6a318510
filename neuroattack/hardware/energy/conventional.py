"""Energy of a conventional network of the same layer sizes, compared with the spiking network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from neuroattack.errors import ValidationError
from neuroattack.hardware.placement.pattern import possible_connections
from neuroattack.hardware.profiles.energy_model import Basis, Coefficient
from neuroattack.ir.network import Network
from neuroattack.validation import check_integer

__all__ = ["CAVEATS", "OPERATIONS_PJ", "compare_conventional"]

_HOROWITZ = "Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014"
_CONDITIONS = "45 nm, 0.9 V"
_TRANSCRIPT = "as transcribed in PMC8934428, Table 3"


def _coefficient(
    value: float, location: str = _TRANSCRIPT, basis: Basis = "design", note: str = ""
) -> Coefficient:
    return Coefficient(value, _HOROWITZ, location, basis, _CONDITIONS, note=note)


OPERATIONS_PJ: Mapping[str, Coefficient] = MappingProxyType(
    {
        "fp32_add": _coefficient(0.9),
        "fp32_multiply": _coefficient(3.7),
        "int32_add": _coefficient(0.1),
        "int32_multiply": _coefficient(3.1),
        "int8_multiply": _coefficient(
            0.2,
            "as in github.com/stillwater-sc/esim, energysim/database/energy.py, which cites it",
            "code",
            "not seen in the paper or in a transcription of it",
        ),
        "cache_access_64bit": _coefficient(
            10.0, note="of a cache of 8 kB; half of it for 32 bits there"
        ),
    }
)
"""Energy per operation in picojoules. 8-bit products are summed in 32 bits: no 8-bit adder."""

CAVEATS = (
    "The energies are for 45 nm and 0.9 V; they are not comparable with chips of other processes.",
    "Figures without memory accesses do not compare systems (Dampfhoffer et al., TETCI 2023).",
    "Weights are read from an 8 kB cache; larger memories cost more.",
    "Images are processed one at a time; no weight is reused across a batch.",
    "Break-even spike rates (arXiv:2409.08290) are published for T = 5 to 10 only.",
    "The conventional network is not trained; its accuracy is not known.",
    "An update is one multiplication and one addition; cheaper leaks need less energy.",
    "Memory accesses of potentials are counted; those of conventional activations are not.",
    "Input encoding, activation functions, biases and control are not counted.",
    "The energy of an 8-bit multiplication is from program code, not from the paper.",
)
"""Omissions and assumptions of the comparison."""

_LOOPS = (
    "The conventional network has no recurrent layers; those of the spiking network are left out."
)

# Names of the operations for a product with a weight, an addition and a leak; bytes per weight.
# With 8-bit weights, sums and potentials have 32 bits.
_ARITHMETIC: Mapping[str, tuple[str, str, str, int]] = {
    "int8": ("int8_multiply", "int32_add", "int32_multiply", 1),
    "fp32": ("fp32_multiply", "fp32_add", "fp32_multiply", 4),
}
_STATE_BYTES = 4


def compare_conventional(
    network: Network, synaptic_operations: float, steps: int, multiplications: float = 0.0
) -> dict[str, Any]:
    """Estimate the energies of a spiking network and a conventional network of the same sizes.

    Both use the energies of operations at 45 nm; see :data:`CAVEATS`.

    Parameters
    ----------
    network : Network
        Spiking network. Each pair of populations with projections between them corresponds to a
        dense layer, or to a convolution. Recurrent and feedback projections have no counterpart.
    synaptic_operations : float
        Mean synaptic operations per image (spikes times actual fan-out), one addition each.
    steps : int
        Number of time steps T per image.
    multiplications : float, optional
        Mean synaptic operations that are a multiplication as well: those of direct coding.

    Returns
    -------
    dict
        JSON values. Per image: ``"multiply_accumulates"`` of the conventional network,
        ``"synaptic_operations"``, any ``"multiplications"`` of direct coding, and N * T
        ``"neuron_updates"`` of one multiplication and one addition each, and as many
        ``"current_updates"`` of neurons with a synaptic current. For both networks,
        ``"conventional"`` and ``"spiking"``, by weight precision: ``"operations_pj"``;
        ``"weight_fetches_pj"`` for reading a weight per operation, without reuse, as a fraction of
        a 64-bit access; ``"state_accesses_pj"`` for reading and writing 32 bits per neuron and
        step; ``"with_memory_pj"``, their sum.

    Raises
    ------
    ValidationError
        If a number is out of range, or the network has no layer.
    """
    steps = check_integer("steps", steps, 1)
    if not (math.isfinite(synaptic_operations) and synaptic_operations >= 0):
        raise ValidationError("synaptic operations", synaptic_operations, "a number of at least 0")
    if not 0 <= multiplications <= synaptic_operations:
        raise ValidationError(
            "multiplications", multiplications, f"at most the {synaptic_operations:g} operations"
        )
    position = {name: index for index, name in enumerate(network.sizes)}
    looped = False
    layers: dict[tuple[str, str], int] = {}
    for projection in network.projections:
        ends = (projection.source, projection.target)
        if position[projection.source] >= position[projection.target]:
            looped = True
        else:
            # Parallel projections, such as parts of different signs, are one layer.
            layers[ends] = max(layers.get(ends, 0), possible_connections(projection))
    macs = sum(layers.values())
    if not macs:
        raise ValidationError("network projections", "none", "at least one layer")
    updates = steps * sum(population.size for population in network.populations)
    currents = steps * sum(each.size for each in network.populations if each.has_current)
    per_byte_pj = OPERATIONS_PJ["cache_access_64bit"].value / 8
    conventional, spiking = {}, {}
    for precision, (*operations, weight_bytes) in _ARITHMETIC.items():
        multiply, add, leak = (OPERATIONS_PJ[name].value for name in operations)
        fetch = per_byte_pj * weight_bytes
        conventional[precision] = _energies(macs * (multiply + add), macs * fetch, 0.0)
        spiking[precision] = _energies(
            synaptic_operations * add
            + multiplications * multiply
            + (updates + currents) * (leak + add),
            synaptic_operations * fetch,
            (updates + currents) * 2 * per_byte_pj * _STATE_BYTES,
        )
    return {
        "multiply_accumulates": macs,
        "synaptic_operations": float(synaptic_operations),
        "neuron_updates": updates,
        **({"current_updates": currents} if currents else {}),
        **({"multiplications": float(multiplications)} if multiplications else {}),
        "conventional": conventional,
        "spiking": spiking,
        "caveats": [*CAVEATS, *([_LOOPS] if looped else [])],
        "operations_pj": {name: asdict(coefficient) for name, coefficient in OPERATIONS_PJ.items()},
    }


def _energies(operations: float, fetches: float, states: float) -> dict[str, float]:
    return {
        "operations_pj": operations,
        "weight_fetches_pj": fetches,
        "state_accesses_pj": states,
        "with_memory_pj": operations + fetches + states,
    }
