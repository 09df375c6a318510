"""Nodes of NIR graphs.

Names and equations are those of NIR 1.0 (``nir/ir/*.py``); numbers are in the units of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Convolution",
    "Delay",
    "Flatten",
    "Input",
    "Linear",
    "Neurons",
    "Node",
    "Output",
    "Pool",
    "PopulationNode",
    "Relay",
    "Scale",
    "Threshold",
]


@dataclass(frozen=True, eq=False)
class Node:
    """Node with its name in the file."""

    name: str

    @property
    def words(self) -> str:
        """Kind and name of the node, for messages."""
        return f"{type(self).__name__.lower()} node {self.name!r}"


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Input of spikes, with one neuron per element of `shape`."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Output(Node):
    """Output of the network."""


@dataclass(frozen=True, eq=False)
class Relay(Node):
    """Input or output of a subgraph: the sum of its inputs, unchanged."""


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """Change of shape; elements and their order stay the same."""


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """``weight @ x + bias``; `weight` has the shape (outputs, inputs)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale(Node):
    """``scale * x``, elementwise."""

    scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Delay(Node):
    """``x(t - delay)``, elementwise, in the file's time unit."""

    delay: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Convolution(Node):
    """Cross-correlation over one or two dimensions, as in torch's Conv1d and Conv2d.

    `weight` has the shape (channels out, channels in / groups, rows, columns), with a single row in
    one dimension; `sides` are the input's rows and columns, if the file specifies them; `padding`
    is the zero padding (before, after) of rows and of columns.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    sides: tuple[int, int] | None
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    dimensions: int = 2


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """Sums, or means if `average` is True, over windows of each channel."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    average: bool


@dataclass(frozen=True, eq=False)
class Neurons(Node):
    """Integrate-and-fire neurons: ``tau dv/dt = (v_leak - v) + r I``, spike if v > v_threshold.

    Without leak (IF, I; `tau` is infinite): ``dv/dt = r I``. With a synaptic current (CubaLIF,
    CubaLI): ``tau_syn dI/dt = -I + w_in S``; otherwise ``I = w_in S`` with `w_in` = 1.
    Integrators (I, LI, CubaLI) never spike: `v_threshold` is infinite, and the node's output is v.
    Arrays have the same shape, or one element for all neurons. `kind` is the type in the file, and
    `own` the metadata that only files exported by neuroattack have.
    """

    kind: str
    tau: NDArray[np.float64]
    tau_syn: NDArray[np.float64]
    r: NDArray[np.float64]
    w_in: NDArray[np.float64]
    v_leak: NDArray[np.float64]
    v_threshold: NDArray[np.float64]
    v_reset: NDArray[np.float64]
    own: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def words(self) -> str:
        """Type and name of the node, for messages."""
        return f"{self.kind} node {self.name!r}"

    @property
    def leaky(self) -> bool:
        """Whether the equation of the potential has a leak."""
        return self.kind not in ("I", "IF")

    @property
    def has_current(self) -> bool:
        """Whether there is an equation of a synaptic current."""
        return self.kind.startswith("Cuba")

    @property
    def spiking(self) -> bool:
        """Whether the neurons spike; otherwise their output is the potential."""
        return bool(np.isfinite(self.v_threshold).any())


@dataclass(frozen=True, eq=False)
class Threshold(Node):
    """Neurons without memory: a spike in each step in which the input is above `threshold`."""

    threshold: NDArray[np.float64]


PopulationNode = Neurons | Threshold
"""Nodes that become populations; all others are linear."""
