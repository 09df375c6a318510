"""Weighted connections between populations: all-to-all projections, and what all kinds share."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.values import ByValue, check_name, freeze
from neuroattack.memory import check_memory
from neuroattack.validation import check_integer

if TYPE_CHECKING:
    # At run time, imported where it is needed: it takes a tenth of a second.
    import scipy.sparse as sp

__all__ = [
    "MANTISSA_BITS",
    "SMALLER_NETWORK",
    "Connections",
    "Projection",
    "checked_mantissas",
    "to_grid",
]

MANTISSA_BITS = 24
"""Bits of a weight on the fixed-point grid, including its sign."""

MAX_DELAY_STEPS = 10_000
LARGEST_WEIGHT_V = 1e9

SMALLER_NETWORK = "use a smaller network"
"""What to change if the weights of a network need too much memory."""

_MOST_PAIRS = 2**27


class Connections(ByValue, abc.ABC):
    """Interface of all kinds of projections.

    Weights lie on a fixed-point grid, ``mantissas * 2**exponent``, so that their sums are exact in
    float64 and independent of the order of summation, on every backend.
    """

    source: str
    target: str
    exponent: int
    delay_steps: int

    _BYTES_PER_LISTED: ClassVar[int]
    """Peak memory of :meth:`sparse` per nonzero connection, measured."""

    def _check_ends(self) -> None:
        check_name("projection source", self.source)
        check_name("projection target", self.target)
        freeze(
            self,
            exponent=check_integer(f"{self.label} exponent", self.exponent, -300, 300),
            delay_steps=check_integer(
                f"{self.label} delay_steps", self.delay_steps, 0, MAX_DELAY_STEPS
            ),
        )

    @property
    def label(self) -> str:
        """Name of the projection in messages: ``"projection input->hidden1"``."""
        return f"projection {self.source}->{self.target}"

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of source neurons and of target neurons."""

    @property
    @abc.abstractmethod
    def grid(self) -> NDArray[np.int32]:
        """Stored mantissas, of which each may be the weight of several connections."""

    @abc.abstractmethod
    def with_grid(self, grid: NDArray[np.int32], exponent: int) -> Any:
        """Return the projection with other stored mantissas of the same shape."""

    @property
    def grid_v(self) -> NDArray[np.float64]:
        """Stored weights in volts per spike, in the shape of :attr:`grid`."""
        weights: NDArray[np.float64] = np.ldexp(self.grid.astype(np.float64), self.exponent)
        return weights

    def sparse(self) -> sp.csr_matrix:
        """Return the mantissas of all nonzero connections, int64, shape (sources, targets).

        Raises
        ------
        MemoryLimitError
            If there is not enough memory for all connections.
        """
        check_memory(
            f"{self.label} as a list of connections",
            self._BYTES_PER_LISTED * self.connections,
            "use a smaller network, or a backend that keeps the structure of connections, such as "
            "native",
        )
        return self._listed()

    @abc.abstractmethod
    def _listed(self) -> sp.csr_matrix: ...

    @abc.abstractmethod
    def fan_out(self) -> NDArray[np.int64]:
        """Return the number of nonzero connections per source neuron, shape (source size,)."""

    @abc.abstractmethod
    def largest_sum(self) -> int:
        """Return the largest sum of the magnitudes of the mantissas into one target neuron."""

    @property
    def connections(self) -> int:
        """Number of nonzero connections."""
        return int(self.fan_out().sum())

    def dense(self) -> Projection:
        """Return the same connections as an all-to-all projection.

        Raises
        ------
        UnsupportedFeatureError
            If it has more than 2**27 pairs of neurons.
        """
        if math.prod(self.shape) > _MOST_PAIRS:
            raise UnsupportedFeatureError(
                f"{self.label}: got {self.shape[0]:,} x {self.shape[1]:,} neurons, expected at "
                f"most {_MOST_PAIRS:,} pairs to store it without its structure"
            )
        mantissas = self.sparse().toarray().astype(np.int32)
        return Projection(self.source, self.target, mantissas, self.exponent, self.delay_steps)

    @abc.abstractmethod
    def describe(self) -> str:
        """Return shape and number of weights, in one line."""


def checked_mantissas(thing: str, value: ArrayLike, ndim: int, shape: str) -> NDArray[np.int32]:
    """Return mantissas as a read-only int32 array of `ndim` dimensions, described by `shape`."""
    given = np.asarray(value)
    if given.ndim != ndim or 0 in given.shape:
        raise ValidationError(thing, f"shape {given.shape}", shape)
    if given.dtype.kind not in "iu":
        raise ValidationError(thing, f"type {given.dtype}", "integers")
    limit = 2 ** (MANTISSA_BITS - 1)
    if given.max() >= limit or given.min() <= -limit:
        raise ValidationError(
            thing, f"{given.min()} to {given.max()}", f"magnitudes below 2**{MANTISSA_BITS - 1}"
        )
    check_memory(thing, 4 * given.size, SMALLER_NETWORK)
    mantissas = given.astype(np.int32)
    mantissas.flags.writeable = False
    return mantissas


def to_grid(label: str, weights_v: ArrayLike) -> tuple[NDArray[np.int32], int]:
    """Round weights, in volts per spike, to the finest grid; return mantissas and exponent.

    The rounding error is at most ``2**(exponent - 1)``.

    Raises
    ------
    ValidationError
        If a weight is not finite or too large.
    """
    given = np.asarray(weights_v)
    # The scaled weights and the mantissas exist together; and the weights if they are converted.
    per_weight = 12 if given.dtype == np.float64 else 20
    check_memory(f"{label} weights", per_weight * given.size, SMALLER_NETWORK)
    weights = given.astype(np.float64, copy=False)
    if not np.isfinite(weights).all():
        raise ValidationError(f"{label} weights", "NaN or infinite values", "finite volts")
    largest = max(float(weights.max(initial=0.0)), -float(weights.min(initial=0.0)))
    if largest > LARGEST_WEIGHT_V:
        raise ValidationError(
            f"{label} weights", f"up to {largest:g} V", f"at most {LARGEST_WEIGHT_V:g} V"
        )
    limit = 2 ** (MANTISSA_BITS - 1)
    exponent = max(math.frexp(largest)[1] - (MANTISSA_BITS - 1), -300) if largest else 0
    if np.rint(np.ldexp(largest, -exponent)) >= limit:
        exponent += 1
    scaled = np.ldexp(weights, -exponent)
    return np.rint(scaled, out=scaled).astype(np.int32), exponent


@dataclass(frozen=True, eq=False)
class Projection(Connections):
    """Weighted connections from each neuron of a population to each of another, with one delay.

    Parameters
    ----------
    source, target : str
        Names of the populations; the source may be ``"input"``.
    mantissas : int32 array, shape (source size, target size)
        Weights in units of the grid, below 2**23 in magnitude; 0 means no connection.
    exponent : int
        Exponent of the grid, from -300 to 300.
    delay_steps : int, optional
        Time steps from a spike of the source to its arrival. 0, arrival in the same step, is for
        projections to a later population only.

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

    _BYTES_PER_LISTED = 36

    def __post_init__(self) -> None:
        self._check_ends()
        thing = f"{self.label} mantissas"
        freeze(
            self,
            mantissas=checked_mantissas(thing, self.mantissas, 2, "(source size, target size)"),
        )

    @classmethod
    def from_weights(
        cls, source: str, target: str, weights_v: ArrayLike, delay_steps: int = 1
    ) -> Projection:
        """Round weights, in volts per spike, to the finest grid that can represent them.

        The rounding error is at most ``2**(exponent - 1)``. Raises ValidationError if a weight is
        not finite or too large.
        """
        mantissas, exponent = to_grid(f"projection {source}->{target}", weights_v)
        return cls(source, target, mantissas, exponent, delay_steps)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of source neurons and of target neurons."""
        sources, targets = self.mantissas.shape
        return sources, targets

    @property
    def grid(self) -> NDArray[np.int32]:
        """The mantissas: each is the weight of one connection."""
        return self.mantissas

    def with_grid(self, grid: NDArray[np.int32], exponent: int) -> Projection:
        """Return the projection with other mantissas."""
        return Projection(self.source, self.target, grid, exponent, self.delay_steps)

    @property
    def weights_v(self) -> NDArray[np.float64]:
        """Weights in volts per spike, shape (source size, target size)."""
        return self.grid_v

    def _listed(self) -> sp.csr_matrix:
        import scipy.sparse as sp

        return sp.csr_matrix(self.mantissas, dtype=np.int64)

    def fan_out(self) -> NDArray[np.int64]:
        """Return the number of nonzero connections per source neuron, shape (source size,)."""
        fan_out: NDArray[np.int64] = np.count_nonzero(self.mantissas, axis=1).astype(np.int64)
        return fan_out

    def largest_sum(self) -> int:
        """Return the largest sum of the magnitudes of the mantissas into one target neuron."""
        return int(np.abs(self.mantissas).sum(axis=0, dtype=np.int64).max())

    def dense(self) -> Projection:
        """Return the projection itself."""
        return self

    def describe(self) -> str:
        """Return shape and number of weights, in one line."""
        sources, targets = self.shape
        return f"{sources} x {targets}, {self.connections:,} nonzero"
