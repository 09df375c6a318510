"""Spiking network as immutable, validated data, independent of any simulator."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import FixedPopulation
from neuroattack.ir.parts import INPUT, ByValue, Input, Population, Projection, freeze
from neuroattack.notebook import html_table
from neuroattack.validation import check_integer, check_positive

__all__ = ["INPUT", "FixedPopulation", "Input", "Network", "Population", "Projection"]

# Larger sums of weights are not exact in float64 and depend on the order of summation.
_EXACT_SUM = 2**53

_MAX_FIXED_EXPONENT = 32

Precision = Literal["floating", "fixed"]


@dataclass(frozen=True, eq=False)
class Network(ByValue):
    """Feed-forward network of LIF populations.

    Parameters
    ----------
    dt_s : float
        Length of a time step in seconds.
    input : Input
        Image shape and encoder.
    populations : sequence of Population, or of FixedPopulation
        Populations in feed-forward order, all in floating point or all in fixed point.
    projections : sequence of Projection
        Projections, each from the input or a population to a later population.
    readout : str
        Name of the population whose spike counts are the output, one neuron per class.
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
    projections: tuple[Projection, ...]
    readout: str
    origin: Mapping[str, str] = field(default_factory=dict)

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
            if projection.mantissas.shape != expected:
                raise ValidationError(
                    f"{projection.label} mantissas",
                    f"shape {projection.mantissas.shape}",
                    f"{expected}",
                )
        self._check_one_arithmetic()
        for population in self.populations:
            self._check_exact_sums(population.name)

    def _check_one_arithmetic(self) -> None:
        kinds = {type(population) for population in self.populations}
        if len(kinds) > 1:
            raise ValidationError(
                "network populations", "both floating and fixed point", "one arithmetic for all"
            )
        if kinds == {FixedPopulation}:
            for projection in self.projections:
                thing = f"{projection.label} exponent, in fixed point"
                check_integer(thing, projection.exponent, 0, _MAX_FIXED_EXPONENT)

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
            if position[projection.source] >= position[projection.target]:
                raise ValidationError(
                    projection.label,
                    "a connection against the order of the populations",
                    "a feed-forward network: from an earlier to a later population",
                )
        return sizes

    def _check_exact_sums(self, name: str) -> None:
        incoming = self.incoming(name)
        if not incoming:
            return
        lowest = min(projection.exponent for projection in incoming)
        if self.precision == "fixed":
            lowest = 0  # weights are in units of the state
        total = sum(
            int(np.abs(p.mantissas.astype(np.int64)).sum(axis=0).max()) << (p.exponent - lowest)
            for p in incoming
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
        )

    def _layers(self) -> list[tuple[str, int, str]]:
        shape, encoder = " x ".join(map(str, self.input.shape)), self.input.encoder
        return [
            (
                INPUT,
                self.input.size,
                f"pixels ({shape}), {encoder.describe()}",
            ),
            *((each.name, each.size, each.describe()) for each in self.populations),
        ]

    def _connections(self) -> list[tuple[str, str]]:
        rows = []
        for each in self.projections:
            sources, targets = each.mantissas.shape
            connected = int(np.count_nonzero(each.mantissas))
            delay = f", delay {each.delay_steps} dt" if each.delay_steps != 1 else ""
            rows.append(
                (
                    f"{each.source} -> {each.target}",
                    f"{sources} x {targets}, {connected:,} nonzero{delay}",
                )
            )
        return rows

    def population(self, name: str) -> Population | FixedPopulation:
        """Return the population of that name; raise KeyError if there is none."""
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    def incoming(self, name: str) -> tuple[Projection, ...]:
        """Return the projections into the population of that name."""
        return tuple(p for p in self.projections if p.target == name)

    def outgoing(self, name: str) -> tuple[Projection, ...]:
        """Return the projections from the input or population of that name."""
        return tuple(p for p in self.projections if p.source == name)

    def checksum(self) -> str:
        """Return the SHA-256 of everything that determines the network's spikes, in hexadecimal."""
        digest = hashlib.sha256()
        encoder = self.input.encoder
        digest.update(
            repr((self.dt_s, self.input.shape, encoder.kind, *encoder.settings().values())).encode()
        )
        for p in self.populations:
            if isinstance(p, FixedPopulation):
                integers = (p.name, p.size, p.leak, p.refractory_steps, p.lowest, p.highest)
                digest.update(repr(integers).encode())
                digest.update(p.threshold.tobytes() + p.bias.tobytes())
            else:
                numbers = (p.name, p.size, p.tau_m_s, p.reset_v, p.refractory_steps)
                digest.update(repr(numbers).encode())
                digest.update(p.threshold_v.tobytes() + p.bias_v.tobytes())
        for q in self.projections:
            digest.update(repr((q.source, q.target, q.exponent, q.delay_steps)).encode())
            digest.update(q.mantissas.tobytes())
        digest.update(self.readout.encode())
        return digest.hexdigest()
