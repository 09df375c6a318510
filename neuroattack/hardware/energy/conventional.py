"""A conventional network of the same sizes beside the spiking one, on the same operations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from neuroattack.errors import ValidationError
from neuroattack.hardware.profiles.energy_model import Basis, Price
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_whole

__all__ = ["OPERATIONS_PJ", "ConventionalComparison", "OperationEnergy", "compare_conventional"]

Precision = Literal["int8", "fp32"]

_HOROWITZ = "Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014"
_CONDITIONS = "45 nm, 0.9 V"


def _price(value: float, place: str, basis: Basis = "design", note: str = "") -> Price:
    return Price(value, _HOROWITZ, place, basis, _CONDITIONS, note=note)


_TRANSCRIPT = "as transcribed in PMC8934428, Table 3"

OPERATIONS_PJ: Mapping[str, Price] = MappingProxyType(
    {
        "fp32_add": _price(0.9, _TRANSCRIPT),
        "fp32_multiply": _price(3.7, _TRANSCRIPT),
        "int32_add": _price(0.1, _TRANSCRIPT),
        "int32_multiply": _price(3.1, _TRANSCRIPT),
        "int8_multiply": _price(
            0.2,
            "as in github.com/stillwater-sc/esim, energysim/database/energy.py, which cites it",
            "code",
            "not seen in the paper or in a transcription of it",
        ),
        "cache_access_64bit": _price(
            10.0, _TRANSCRIPT, note="of a cache of 8 kB; half of it for 32 bits there"
        ),
    }
)
"""Picojoules of an operation. 8-bit products are added up in 32 bits, so no 8-bit adder is here."""

_STATE_BYTES = 4
_CACHE_BYTES = 8192


@dataclass(frozen=True)
class OperationEnergy:
    """Mean energy of an image in picojoules, its operations apart from its memory.

    Parameters
    ----------
    operations_pj : float
        Of additions and multiplications.
    weight_fetches_pj : float
        Of reading a weight for every operation that takes one, each its share of a 64-bit access:
        without reuse, an upper case.
    state_accesses_pj : float
        Of reading and writing 32 bits a neuron and step; 0 where there is no state.
    """

    operations_pj: float
    weight_fetches_pj: float
    state_accesses_pj: float

    @property
    def with_memory_pj(self) -> float:
        """Operations and memory together."""
        return self.operations_pj + self.weight_fetches_pj + self.state_accesses_pj

    def as_json(self) -> dict[str, float]:
        """Return the figures as JSON values."""
        return {**asdict(self), "with_memory_pj": self.with_memory_pj}


@dataclass(frozen=True)
class ConventionalComparison:
    """Both networks on operations of 45 nm, and what has to be said of that.

    Parameters
    ----------
    multiply_accumulates : int
        Of the conventional network, an image: the connections of its layers, all there.
    synaptic_operations : float
        Of the spiking network, the mean of an image: an addition each.
    neuron_updates : int
        N * T: a multiplication and an addition each, for leak and input.
    conventional, spiking : mapping of {"int8", "fp32"} to OperationEnergy
        By the precision of the weights; sums and potentials of 8-bit weights have 32 bits.
    caveats : tuple of str
        Without which no figure here may stand, a sentence each.
    """

    multiply_accumulates: int
    synaptic_operations: float
    neuron_updates: int
    conventional: Mapping[Precision, OperationEnergy]
    spiking: Mapping[Precision, OperationEnergy]
    caveats: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return figures, caveats and the table of operations as JSON values."""
        return {
            "multiply_accumulates": self.multiply_accumulates,
            "synaptic_operations": self.synaptic_operations,
            "neuron_updates": self.neuron_updates,
            "conventional": {name: each.as_json() for name, each in self.conventional.items()},
            "spiking": {name: each.as_json() for name, each in self.spiking.items()},
            "caveats": list(self.caveats),
            "operations_pj": {name: asdict(price) for name, price in OPERATIONS_PJ.items()},
        }


def compare_conventional(
    network: Network, synaptic_operations: float, steps: int
) -> ConventionalComparison:
    """Price a conventional network of the same layer sizes, and the spiking one, alike.

    Parameters
    ----------
    network : Network
        The spiking one. Each pair of populations with projections between them is a dense layer.
    synaptic_operations : float
        Its mean of an image, spikes times actual fan-out.
    steps : int
        Time steps T of an image.

    Raises
    ------
    ValidationError
        If a number is out of range, or the network has no layer.
    """
    steps = check_whole("steps", steps, 1)
    if not (math.isfinite(synaptic_operations) and synaptic_operations >= 0):
        raise ValidationError("synaptic operations", synaptic_operations, "a number, 0 or more")
    sizes = {INPUT: network.input.size} | {p.name: p.size for p in network.populations}
    layers = {(projection.source, projection.target) for projection in network.projections}
    macs = sum(sizes[source] * sizes[target] for source, target in layers)
    if not macs:
        raise ValidationError("network projections", "none", "at least one layer")
    updates = steps * sum(population.size for population in network.populations)
    conventional = {p: _conventional(p, macs) for p in get_args(Precision)}
    spiking = {p: _spiking(p, synaptic_operations, updates) for p in get_args(Precision)}
    return ConventionalComparison(
        multiply_accumulates=macs,
        synaptic_operations=float(synaptic_operations),
        neuron_updates=updates,
        conventional=MappingProxyType(conventional),
        spiking=MappingProxyType(spiking),
        caveats=_caveats(macs, synaptic_operations, steps),
    )


_WEIGHT_BYTES: Mapping[Precision, int] = {"int8": 1, "fp32": 4}


def _pj(operation: str) -> float:
    return OPERATIONS_PJ[operation].value


def _access_pj(bytes_: float) -> float:
    return _pj("cache_access_64bit") * bytes_ / 8


def _arithmetic(precision: Precision) -> tuple[float, float, float]:
    """Return the energy of multiplying by a weight, of a sum's addition, and of a leak."""
    if precision == "int8":
        return _pj("int8_multiply"), _pj("int32_add"), _pj("int32_multiply")
    return _pj("fp32_multiply"), _pj("fp32_add"), _pj("fp32_multiply")


def _conventional(precision: Precision, macs: int) -> OperationEnergy:
    multiply, add, _ = _arithmetic(precision)
    fetch = _access_pj(_WEIGHT_BYTES[precision])
    return OperationEnergy(macs * (multiply + add), macs * fetch, 0.0)


def _spiking(precision: Precision, synaptic_operations: float, updates: int) -> OperationEnergy:
    _, add, leak = _arithmetic(precision)
    return OperationEnergy(
        operations_pj=synaptic_operations * add + updates * (leak + add),
        weight_fetches_pj=synaptic_operations * _access_pj(_WEIGHT_BYTES[precision]),
        state_accesses_pj=updates * 2 * _access_pj(_STATE_BYTES),
    )


def _caveats(macs: int, synaptic_operations: float, steps: int) -> tuple[str, ...]:
    spikes = synaptic_operations / macs
    return (
        "Both columns are counts of operations times the rough energy of one in 45 nm at 0.9 V: "
        "no chip is measured or simulated here, and the figures do not stand beside those of "
        "chips of another process.",
        "Memory and data movement decide such comparisons more than additions and "
        "multiplications do (Dampfhoffer et al., IEEE TETCI 7(3):731, 2023): figures without "
        "memory are no comparison of systems.",
        f"With memory, a weight is read for each operation from a cache of 8 kB, which does not "
        f"hold the {macs:,} bytes of 8-bit weights: larger memories cost more an access, DRAM 1.3 "
        "to 2.6 nJ (not checked against the paper)."
        if macs > _CACHE_BYTES
        else "With memory, a weight is read for each operation from a cache of 8 kB.",
        "One image at a time and no reuse of a weight that was read: a conventional network reads "
        "it once for a batch of images, a spiking one in every step again.",
        f"The image is shown for T = {steps} steps, in which a connection carries {spikes:.3g} "
        f"spikes, {spikes / steps:.2%} of the steps. Against networks of equal precision, Yan et "
        "al. (arXiv:2409.08290) find spiking ones ahead below a spike rate of 6.4 % for T = 5 to "
        "10 (versions 2 and 3; 5.7 % for T = 5 in version 4)"
        + ("." if 5 <= steps <= 10 else f", a range that T = {steps} is not in."),
        "The conventional network has the same layers and is not trained: that its accuracy is the "
        "same, or that a smaller one's is not, is not shown.",
        "An update is a multiplication by the leak and an addition, for every neuron and step: a "
        "leak that is a shift of bits, or done on event, takes less.",
        "Potentials are read and written in every step; activations of the conventional network "
        "are in no figure, which is to its advantage.",
        "The first layer takes spikes and adds; drawing them from the intensities, activation "
        "functions, biases and control are in no figure.",
        "The energy of an 8-bit multiplication is from a program that cites the paper, and was "
        "not seen in it.",
    )
