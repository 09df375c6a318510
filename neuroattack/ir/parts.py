"""Parts of a network: populations, projections and the input, each validated individually.

Units are SI: seconds, hertz, volts, and volts per spike for weights. Membrane potentials are
relative to the resting potential, which is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.encoders import Encoder
from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer

__all__ = [
    "INPUT",
    "MANTISSA_BITS",
    "ByValue",
    "Input",
    "Population",
    "Projection",
    "check_name",
    "check_population",
    "freeze",
    "span",
]

INPUT = "input"
"""Name of the input population in projections and recordings."""

MANTISSA_BITS = 24
"""Bits of a weight on the fixed-point grid, including its sign."""

MAX_POPULATION = 1_000_000
LARGEST_WEIGHT_V = 1e9
MAX_DELAY_STEPS = 10_000
MAX_REFRACTORY_STEPS = 1_000_000


class ByValue:
    """Mixin for the equality of dataclasses that contain arrays; instances are not hashable."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(value, getattr(other, name)) for name, value in vars(self).items())


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


def check_name(thing: str, value: object) -> None:
    """Raise ValidationError unless `value` is an ASCII identifier."""
    if not (isinstance(value, str) and value and value.isascii() and value.isidentifier()):
        raise ValidationError(
            f"{thing} name", repr(value), "letters, digits and underscores, no digit first"
        )


def check_population(population: Any) -> str:
    """Check the fields common to both kinds of populations; return the name for messages."""
    check_name("population", population.name)
    if population.name == INPUT:
        raise ValidationError(
            "population name", repr(INPUT), "another name: this one is reserved for the input"
        )
    me = f"population {population.name!r}"
    size = check_integer(f"{me} size", population.size, 1, MAX_POPULATION)
    rest = check_integer(
        f"{me} refractory_steps", population.refractory_steps, 0, MAX_REFRACTORY_STEPS
    )
    freeze(population, size=size, refractory_steps=rest)
    return me


def freeze(part: object, **values: object) -> None:
    """Set fields of a frozen dataclass to their checked values."""
    for name, value in values.items():
        object.__setattr__(part, name, value)


def span(values: NDArray[Any]) -> str:
    """Return the lowest and the highest value as text, or the single value if they are equal."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _per_neuron(thing: str, value: ArrayLike, size: int) -> NDArray[np.float64]:
    array = np.array(value, np.float64)
    if array.shape not in ((), (size,)):
        raise ValidationError(thing, f"shape {array.shape}", f"one number or shape ({size},)")
    if not np.isfinite(array).all():
        raise ValidationError(thing, "NaN or infinite values", "finite volts")
    values: NDArray[np.float64] = np.broadcast_to(array, (size,)).copy()
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False)
class Population(ByValue):
    """Leaky integrate-and-fire neurons that differ only in their thresholds and biases.

    Parameters
    ----------
    name : str
        Identifier, unique in the network.
    size : int
        Number of neurons, at least 1.
    tau_m_s : float
        Membrane time constant in seconds; infinite for no leak.
    threshold_v : float or float array, shape (size,)
        Spike threshold in volts, higher than `reset_v`; a neuron spikes if its potential is
        strictly above. Like all potentials, relative to rest.
    bias_v : float or float array, shape (size,), optional
        Constant added to the input in every non-refractory step, in volts.
    reset_v : float, optional
        Potential after a spike and during the refractory period, in volts.
    refractory_steps : int, optional
        Number of time steps after a spike in which the neuron stays at its reset potential.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the population and the field.
    """

    name: str
    size: int
    tau_m_s: float
    threshold_v: NDArray[np.float64]
    bias_v: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    reset_v: float = 0.0
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        me = check_population(self)
        tau_m_s = float(self.tau_m_s)
        if math.isnan(tau_m_s) or tau_m_s <= 0:
            raise ValidationError(f"{me} tau_m_s", tau_m_s, "a positive number of seconds")
        reset_v = float(self.reset_v)
        if not math.isfinite(reset_v):
            raise ValidationError(f"{me} reset_v", reset_v, "finite volts")
        threshold_v = _per_neuron(f"{me} threshold_v", self.threshold_v, self.size)
        if (threshold_v <= reset_v).any():
            raise ValidationError(
                f"{me} threshold_v", f"{threshold_v.min():g} V", f"above reset_v, {reset_v:g} V"
            )
        bias_v = _per_neuron(f"{me} bias_v", self.bias_v, self.size)
        freeze(self, tau_m_s=tau_m_s, threshold_v=threshold_v, bias_v=bias_v, reset_v=reset_v)

    def decay(self, dt_s: float) -> float:
        """Return the factor exp(-dt / tau_m) by which the potential falls in one step."""
        return math.exp(-dt_s / self.tau_m_s)

    def describe(self) -> str:
        """Return the neuron model with its parameters, in one line."""
        leak = "no leak" if math.isinf(self.tau_m_s) else f"tau_m {1e3 * self.tau_m_s:g} ms"
        return ", ".join(
            [
                f"LIF, {leak}, threshold {span(self.threshold_v)} V",
                *([f"bias {span(self.bias_v)} V"] if self.bias_v.any() else []),
                *([f"reset {self.reset_v:g} V"] if self.reset_v else []),
                f"refractory period {self.refractory_steps} dt",
            ]
        )


@dataclass(frozen=True, eq=False)
class Projection(ByValue):
    """Weighted connections from one population to another, all with the same delay.

    Weights lie on a fixed-point grid, ``mantissas * 2**exponent``, so that their sums are exact in
    float64 and independent of the order of summation, on every backend.

    Parameters
    ----------
    source, target : str
        Names of the populations; the source may be ``"input"``.
    mantissas : int32 array, shape (source size, target size)
        Weights in units of the grid, below 2**23 in magnitude; 0 means no connection.
    exponent : int
        Exponent of the grid, from -300 to 300.
    delay_steps : int, optional
        Time steps from a spike of the source to its arrival, at least 1.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the projection and the field.
    """

    source: str
    target: str
    mantissas: NDArray[np.int32]
    exponent: int
    delay_steps: int = 1

    def __post_init__(self) -> None:
        check_name("projection source", self.source)
        check_name("projection target", self.target)
        me = self.label
        given = np.asarray(self.mantissas)
        if given.ndim != 2 or 0 in given.shape:
            raise ValidationError(
                f"{me} mantissas", f"shape {given.shape}", "(source size, target size)"
            )
        if given.dtype.kind not in "iu":
            raise ValidationError(f"{me} mantissas", f"type {given.dtype}", "integers")
        limit = 2 ** (MANTISSA_BITS - 1)
        if given.max() >= limit or given.min() <= -limit:
            raise ValidationError(
                f"{me} mantissas",
                f"{given.min()} to {given.max()}",
                f"magnitudes below 2**{MANTISSA_BITS - 1}",
            )
        mantissas = given.astype(np.int32)
        mantissas.flags.writeable = False
        freeze(
            self,
            mantissas=mantissas,
            exponent=check_integer(f"{me} exponent", self.exponent, -300, 300),
            delay_steps=check_integer(f"{me} delay_steps", self.delay_steps, 1, MAX_DELAY_STEPS),
        )

    @classmethod
    def from_weights(
        cls, source: str, target: str, weights_v: ArrayLike, delay_steps: int = 1
    ) -> Projection:
        """Round weights, in volts per spike, to the finest grid that can represent them.

        The rounding error is at most ``2**(exponent - 1)``. Raises ValidationError if a weight is
        not finite or too large.
        """
        weights = np.asarray(weights_v, np.float64)
        if not np.isfinite(weights).all():
            raise ValidationError(
                f"projection {source}->{target} weights", "NaN or infinite values", "finite volts"
            )
        largest = float(np.abs(weights).max(initial=0.0))
        if largest > LARGEST_WEIGHT_V:
            raise ValidationError(
                f"projection {source}->{target} weights",
                f"up to {largest:g} V",
                f"at most {LARGEST_WEIGHT_V:g} V",
            )
        limit = 2 ** (MANTISSA_BITS - 1)
        exponent = max(math.frexp(largest)[1] - (MANTISSA_BITS - 1), -300) if largest else 0
        if np.rint(np.ldexp(largest, -exponent)) >= limit:
            exponent += 1
        mantissas = np.rint(np.ldexp(weights, -exponent)).astype(np.int64)
        return cls(source, target, mantissas.astype(np.int32), exponent, delay_steps)

    @property
    def label(self) -> str:
        """Name of the projection in messages: ``"projection input->hidden1"``."""
        return f"projection {self.source}->{self.target}"

    @property
    def weights_v(self) -> NDArray[np.float64]:
        """Weights in volts per spike, shape (source size, target size)."""
        weights: NDArray[np.float64] = np.ldexp(self.mantissas.astype(np.float64), self.exponent)
        return weights

    def fan_out(self) -> NDArray[np.int64]:
        """Return the number of outgoing connections per source neuron, shape (source size,)."""
        fan_out: NDArray[np.int64] = np.count_nonzero(self.mantissas, axis=1).astype(np.int64)
        return fan_out


@dataclass(frozen=True)
class Input:
    """Image shape and encoder of a network.

    Parameters
    ----------
    shape : tuple of int
        Shape of one image; its pixels, in row-major order, are the neurons of the input population.
    encoder : Encoder
        Encoder of intensities.
    """

    shape: tuple[int, ...]
    encoder: Encoder

    def __post_init__(self) -> None:
        if not self.shape:
            raise ValidationError("input shape", "()", "at least one dimension")
        shape = tuple(check_integer("input shape", side, 1, MAX_POPULATION) for side in self.shape)
        check_integer("input pixels", math.prod(shape), 1, MAX_POPULATION)
        freeze(self, shape=shape)

    @property
    def size(self) -> int:
        """Number of pixels of one image."""
        return math.prod(self.shape)
