"""Spiking network as immutable, validated data, independent of any simulator."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.ir.convolution import Convolution
from neuroattack.ir.fixed_point import FixedPopulation
from neuroattack.ir.input import Input
from neuroattack.ir.population import Population
from neuroattack.ir.projection import Projection
from neuroattack.ir.values import INPUT, ByValue, freeze, is_uniform
from neuroattack.notebook import html_table
from neuroattack.validation import check_integer, check_positive

__all__ = [
    "INPUT",
    "AnyProjection",
    "Convolution",
    "FixedPopulation",
    "Input",
    "Network",
    "Population",
    "Projection",
    "ReadoutQuantity",
]

# Larger sums of weights are not exact in float64 and depend on the order of summation.
_EXACT_SUM = 2**53

_MAX_FIXED_EXPONENT = 32

Precision = Literal["floating", "fixed"]

AnyProjection = Projection | Convolution

ReadoutQuantity = Literal["spike_count", "final_potential", "max_potential"]
"""Output of the readout population: spike counts, or potentials after the last update of an image,
or the largest after any update."""


@dataclass(frozen=True, eq=False)
class Network(ByValue):
    """Network of populations of LIF neurons and their projections, feed-forward or recurrent.

    Parameters
    ----------
    dt_s : float
        Length of a time step in seconds.
    input : Input
        Image shape and encoder.
    populations : sequence of Population, or of FixedPopulation
        Populations in feed-forward order, all in floating point or all in fixed point.
    projections : sequence of Projection or Convolution
        Projections from the input or a population. Those to the same or an earlier population have
        a delay of at least one step; those to a later one may arrive in the same step.
    readout : str
        Name of the population that is the output, one neuron per class.
    readout_quantity : {"spike_count", "final_potential", "max_potential"}, optional
        Output: spike counts; or potentials of a population that never spikes, after the last update
        or the largest after any update.
    origin : mapping of str to str, optional
        Provenance of the network (recipe, data set checksum, conversion), stored in files.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the part and the field.
    """

    dt_s: float
    input: Input
    populations: tuple[Population, ...] | tuple[FixedPopulation, ...]
    projections: tuple[AnyProjection, ...]
    readout: str
    origin: Mapping[str, str] = field(default_factory=dict)
    readout_quantity: ReadoutQuantity = "spike_count"

    def __post_init__(self) -> None:
        freeze(
            self,
            populations=tuple(self.populations),
            projections=tuple(self.projections),
            origin=MappingProxyType(dict(self.origin)),
            dt_s=check_positive("network dt_s", self.dt_s, "number of seconds"),
        )
        if not all(isinstance(text, str) for item in self.origin.items() for text in item):
            raise ValidationError("network origin", "a non-string entry", "strings only")
        self.input.encoder.check_step(self.dt_s)
        sizes = self._check_order()
        if self.readout not in sizes or self.readout == INPUT:
            raise ValidationError("network readout", repr(self.readout), "one of the populations")
        for projection in self.projections:
            expected = (sizes[projection.source], sizes[projection.target])
            if projection.shape != expected:
                raise ValidationError(
                    f"{projection.label} mantissas", f"shape {projection.shape}", f"{expected}"
                )
        self._check_one_arithmetic()
        self._check_readout_quantity()
        for population in self.populations:
            self._check_exact_sums(population.name)

    def _check_one_arithmetic(self) -> None:
        kinds = {type(population) for population in self.populations}
        if len(kinds) > 1:
            raise ValidationError(
                "network populations", "both floating and fixed point", "one arithmetic for all"
            )
        if kinds == {FixedPopulation}:
            if isinstance(self.input.encoder, DirectEncoder):
                raise ValidationError(
                    "network input, in fixed point", "direct coding", "spikes: a rate encoder"
                )
            for projection in self.projections:
                thing = f"{projection.label} exponent, in fixed point"
                check_integer(thing, projection.exponent, 0, _MAX_FIXED_EXPONENT)

    def _check_readout_quantity(self) -> None:
        if self.readout_quantity not in get_args(ReadoutQuantity):
            raise UnknownNameError(
                "readout quantity", str(self.readout_quantity), get_args(ReadoutQuantity)
            )
        if self.readout_quantity == "spike_count":
            return
        readout = self.population(self.readout)
        if isinstance(readout, FixedPopulation) or np.isfinite(readout.threshold_v).any():
            raise ValidationError(
                f"population {self.readout!r}",
                "neurons that can spike",
                f"infinite thresholds, as the readout is the {self.readout_quantity}",
            )

    def _check_order(self) -> dict[str, int]:
        sizes = {INPUT: self.input.size}
        for population in self.populations:
            if population.name in sizes:
                raise ValidationError(
                    "network populations", f"{population.name!r} twice", "unique names"
                )
            sizes[population.name] = population.size
        position = {name: index for index, name in enumerate(sizes)}
        for projection in self.projections:
            for end in (projection.source, projection.target):
                if end not in position:
                    raise ValidationError(
                        projection.label,
                        f"an unknown population {end!r}",
                        f"one of {', '.join(sizes)}",
                    )
            if projection.target == INPUT:
                raise ValidationError(projection.label, "the input", "a population as the target")
            backward = position[projection.source] >= position[projection.target]
            if backward and projection.delay_steps < 1:
                raise ValidationError(
                    f"{projection.label} delay_steps",
                    projection.delay_steps,
                    "at least 1 to the same or an earlier population",
                )
        return sizes

    def _check_exact_sums(self, name: str) -> None:
        incoming = self.incoming(name)
        if not incoming:
            return
        # Sums contain integers from direct coding, of at most this magnitude and with this unit.
        bits = self.input.encoder.bits if isinstance(self.input.encoder, DirectEncoder) else 0
        finer = [bits if projection.source == INPUT else 0 for projection in incoming]
        exponents = [p.exponent - bits for p, bits in zip(incoming, finer, strict=True)]
        lowest = min(exponents)
        if self.precision == "fixed":
            lowest = 0  # weights are in units of the state
        total = sum(
            p.largest_sum() << (bits + exponent - lowest)
            for p, bits, exponent in zip(incoming, finer, exponents, strict=True)
        )
        if total >= _EXACT_SUM:
            raise ValidationError(
                f"weights into population {name!r}",
                f"a range of {math.log2(total):.0f} bits",
                "at most 53 bits, so that sums are exact in float64",
            )

    @property
    def precision(self) -> Precision:
        """Arithmetic of the populations: ``"floating"`` or ``"fixed"``."""
        return "fixed" if isinstance(self.populations[0], FixedPopulation) else "floating"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of every population, and of the input under ``"input"``."""
        return {INPUT: self.input.size} | {p.name: p.size for p in self.populations}

    @property
    def classes(self) -> int:
        """Number of classes: neurons of the readout population."""
        return self.population(self.readout).size

    def __repr__(self) -> str:
        lines = [self._title]
        lines += [f"  {name}: {size} {model}" for name, size, model in self._layers()]
        lines += [f"  {ends}: {weights}" for ends, weights in self._connections()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(
            self._title, ("population", "size", "neurons"), self._layers()
        ) + html_table("", ("projection", "weights"), self._connections())

    @property
    def _title(self) -> str:
        return (
            f"Network: {self.precision} point, dt {1e3 * self.dt_s:g} ms, "
            f"{self.classes} classes read from {self.readout}"
            + ("" if self.readout_quantity == "spike_count" else f" ({self.readout_quantity})")
        )

    def _layers(self) -> list[tuple[str, int, str]]:
        shape = " x ".join(map(str, self.input.shape))
        return [
            (
                INPUT,
                self.input.size,
                f"pixels ({shape}), {self.input.encoder.describe()}",
            ),
            *((each.name, each.size, each.describe()) for each in self.populations),
        ]

    def _connections(self) -> list[tuple[str, str]]:
        rows = []
        for each in self.projections:
            delay = f", delay {each.delay_steps} dt" if each.delay_steps != 1 else ""
            rows.append((f"{each.source} -> {each.target}", f"{each.describe()}{delay}"))
        return rows

    def population(self, name: str) -> Population | FixedPopulation:
        """Return the population of that name; raise KeyError if there is none."""
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    def incoming(self, name: str) -> tuple[AnyProjection, ...]:
        """Return the projections into the population of that name."""
        return tuple(p for p in self.projections if p.target == name)

    def outgoing(self, name: str) -> tuple[AnyProjection, ...]:
        """Return the projections from the input or population of that name."""
        return tuple(p for p in self.projections if p.source == name)

    def checksum(self) -> str:
        """Return the SHA-256 of everything that determines the network's spikes, in hexadecimal."""
        digest = hashlib.sha256()
        encoder = self.input.encoder
        settings = encoder.settings().values()
        digest.update(repr((self.dt_s, self.input.shape, encoder.kind, *settings)).encode())
        for p in self.populations:
            digest.update(_population_bytes(p))
        for q in self.projections:
            digest.update(repr((q.source, q.target, q.exponent, q.delay_steps)).encode())
            if isinstance(q, Convolution):
                geometry = (q.kernel.shape, q.source_shape, q.stride, q.padding, q.dilation)
                digest.update(repr((*geometry, q.groups)).encode())
            digest.update(q.grid.tobytes())
        digest.update(self.readout.encode())
        if self.readout_quantity != "spike_count":
            digest.update(self.readout_quantity.encode())
        return digest.hexdigest()


def _population_bytes(p: Population | FixedPopulation) -> bytes:
    # Features at their defaults are left out, so that the checksums of networks that do not use
    # them stay those of earlier versions.
    if isinstance(p, FixedPopulation):
        integers = (p.name, p.size, p.leak, p.refractory_steps, p.lowest, p.highest)
        current = repr(p.current_leak).encode() if p.has_current else b""
        return repr(integers).encode() + p.threshold.tobytes() + p.bias.tobytes() + current
    numbers = (p.name, p.size, *(_plain(v) for v in (p.tau_m_s, p.reset_v, p.refractory_steps)))
    given = repr(numbers).encode() + p.threshold_v.tobytes() + p.bias_v.tobytes()
    if (p.reset, p.comparison) != ("value", "strict"):
        given += repr((p.reset, p.comparison)).encode()
    if p.has_current:
        given += repr(p.input_after_update).encode()
        given += p.tau_syn_s.tobytes() + p.current_bias_v.tobytes()
    return given


def _plain(values: NDArray[Any]) -> object:
    """Return the number that all neurons have in common, or the bytes of all."""
    return values[0].item() if is_uniform(values) else values.tobytes()
