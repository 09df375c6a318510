"""Supported nodes of NIR graphs, validated when they are read.

NIR's own reader accepts NaN, negative time constants and arrays of inconsistent shapes.
Names and equations are those of NIR 1.0 (``nir/ir/*.py``); numbers are in the units of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError, ValidationError

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
    "Scale",
    "read_node",
]

_LARGEST_SIDE = 1_000_000
_REFRACTORY = "metadata/neuroattack/refractory_steps"

Arrays = Mapping[str, NDArray[Any]]


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
    """Cross-correlation over two dimensions, as in torch's Conv2d.

    `weight` has the shape (channels out, channels in / groups, rows, columns); `sides` are the
    input's rows and columns, if the file specifies them; `padding` is the zero padding
    (before, after) of rows and of columns.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    sides: tuple[int, int] | None
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int


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

    Without leak (`tau` is None, IF): ``dv/dt = r I``. With synapses (`tau_syn`, CubaLIF):
    ``tau_syn dI/dt = -I + w_in S``; without synapses: ``I = w_in S`` with `w_in` = 1. Arrays have
    the same shape, or one element for all neurons. `refractory_steps` comes from metadata that
    only files exported by neuroattack have.
    """

    tau: NDArray[np.float64] | None
    tau_syn: NDArray[np.float64] | None
    r: NDArray[np.float64]
    w_in: NDArray[np.float64]
    v_leak: NDArray[np.float64]
    v_threshold: NDArray[np.float64]
    v_reset: NDArray[np.float64]
    refractory_steps: int | None


class _Fields:
    """Arrays of one node, with checks common to all nodes."""

    def __init__(self, name: str, kind: str, arrays: Arrays) -> None:
        self.name = name
        self.me = f"{kind} node {name!r}"
        self._arrays = arrays

    def wrong(self, field: str, got: object, expected: str) -> ValidationError:
        """Return the error for an invalid field."""
        return ValidationError(f"{self.me} {field}", got, expected)

    def __contains__(self, field: str) -> bool:
        return field in self._arrays

    def numbers(self, field: str, default: float | None = None) -> NDArray[np.float64]:
        """Return an array of finite numbers."""
        if field not in self._arrays and default is not None:
            return np.array(default, np.float64)
        array = self._array(field)
        if array.dtype.kind not in "fiu":
            raise self.wrong(field, f"type {array.dtype}", "numbers")
        values = array.astype(np.float64)
        if not np.isfinite(values).all():
            raise self.wrong(field, "NaN or infinite values", "finite numbers")
        return values

    def positive(self, field: str) -> NDArray[np.float64]:
        """Return an array of positive numbers."""
        values = self.numbers(field)
        if values.size and values.min() <= 0:
            raise self.wrong(field, f"{values.min():g}", "positive numbers")
        return values

    def integers(self, field: str, least: int, count: int | None) -> tuple[int, ...]:
        """Return `count` integers (any number if None); a single one in the file is repeated."""
        array = self._array(field)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.wrong(field, f"{array.dtype} of shape {array.shape}", "integers")
        values = tuple(int(value) for value in array.flat)
        if count is not None and len(values) == 1:
            values *= count
        if len(values) != (count or len(values)):
            raise self.wrong(field, f"{len(values)} numbers", f"{count}")
        if any(not least <= value <= _LARGEST_SIDE for value in values):
            raise self.wrong(field, values, f"numbers from {least} to {_LARGEST_SIDE}")
        return values

    def pair(self, field: str, least: int = 1) -> tuple[int, int]:
        """Return two integers, for rows and columns."""
        rows, columns = self.integers(field, least, 2)
        return rows, columns

    def text(self, field: str) -> str | None:
        """Return a text; None if the field is not text."""
        array = self._arrays.get(field)
        return str(array) if array is not None and array.dtype.kind == "U" else None

    def _array(self, field: str) -> NDArray[Any]:
        if field not in self._arrays:
            raise self.wrong(field, "nothing", "an array of that name")
        return self._arrays[field]

    def one_shape(self, **values: NDArray[np.float64]) -> None:
        """Raise ValidationError unless all arrays of more than one element have the same shape."""
        shapes = {array.shape for array in values.values() if array.size != 1}
        if len(shapes) > 1 or any(0 in shape for shape in shapes):
            named = ", ".join(f"{field} {array.shape}" for field, array in values.items())
            raise self.wrong("parameters", f"shapes {named}", "one shape")


def read_node(name: str, arrays: Arrays) -> Node:
    """Return a validated node; raise ValidationError, or UnsupportedFeatureError for its type."""
    kind = arrays.get("type")
    if kind is None or kind.dtype.kind != "U" or kind.shape != ():
        raise ValidationError(f"node {name!r} type", "nothing", "the name of a type of node")
    if str(kind) not in _READERS:
        raise UnsupportedFeatureError(
            f"node {name!r} is of type {str(kind)!r}, expected one of {', '.join(_READERS)}"
        )
    return _READERS[str(kind)](_Fields(name, str(kind), arrays))


def _input(fields: _Fields) -> Input:
    return Input(fields.name, fields.integers("shape", 1, None))


def _linear(fields: _Fields) -> Linear:
    weight = fields.numbers("weight")
    if weight.ndim != 2 or weight.size == 0:
        raise fields.wrong("weight", f"shape {weight.shape}", "shape (outputs, inputs)")
    return Linear(fields.name, weight, _bias(fields, len(weight)))


def _bias(fields: _Fields, outputs: int) -> NDArray[np.float64]:
    bias = fields.numbers("bias", 0.0)
    if bias.shape not in ((), (outputs,)):
        raise fields.wrong("bias", f"shape {bias.shape}", f"({outputs},)")
    return np.broadcast_to(bias, (outputs,))


def _convolution(fields: _Fields) -> Convolution:
    weight = fields.numbers("weight")
    if weight.ndim != 4 or weight.size == 0:
        raise fields.wrong(
            "weight",
            f"shape {weight.shape}",
            "shape (channels out, channels in, rows, columns)",
        )
    (groups,) = fields.integers("groups", 1, 1)
    if len(weight) % groups:
        raise fields.wrong("groups", groups, f"a divisor of {len(weight)}")
    stride, dilation = fields.pair("stride"), fields.pair("dilation")
    return Convolution(
        fields.name,
        weight,
        _bias(fields, len(weight)),
        fields.pair("input_shape") if "input_shape" in fields else None,
        stride,
        _padding(fields, weight.shape[2:], stride, dilation),
        dilation,
        groups,
    )


def _padding(
    fields: _Fields, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    text = fields.text("padding")
    if text == "valid":
        return (0, 0), (0, 0)
    if text == "same" and stride == (1, 1):
        # An odd row or column is added at the end, as in torch.
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        rows, columns = ((t // 2, t - t // 2) for t in total)
        return rows, columns
    if text is not None:
        raise fields.wrong("padding", repr(text), "'valid', 'same' (with stride 1) or numbers")
    rows_padding, columns_padding = fields.pair("padding", 0)
    return (rows_padding, rows_padding), (columns_padding, columns_padding)


def _pool(fields: _Fields, average: bool) -> Pool:
    return Pool(
        fields.name,
        fields.pair("kernel_size"),
        fields.pair("stride"),
        fields.pair("padding", 0),
        average,
    )


def _delay(fields: _Fields) -> Delay:
    delay = fields.numbers("delay")
    if delay.size and delay.min() < 0:
        raise fields.wrong("delay", f"{delay.min():g}", "no negative delays")
    return Delay(fields.name, delay)


def _neurons(fields: _Fields, *, leak: bool, synapses: bool) -> Neurons:
    values = {
        "r": fields.numbers("r"),
        "v_threshold": fields.numbers("v_threshold"),
        "v_reset": fields.numbers("v_reset", 0.0),
    }
    if leak:
        values["v_leak"] = fields.numbers("v_leak")
        values["tau_mem" if synapses else "tau"] = fields.positive("tau_mem" if synapses else "tau")
    if synapses:
        values["tau_syn"] = fields.numbers("tau_syn")
        values["w_in"] = fields.numbers("w_in", 1.0)
        if values["tau_syn"].size and values["tau_syn"].min() < 0:
            raise fields.wrong("tau_syn", f"{values['tau_syn'].min():g}", "no negative times")
    fields.one_shape(**values)
    if (values["v_threshold"] <= values["v_reset"]).any():
        raise fields.wrong(
            "v_threshold",
            f"{values['v_threshold'].min():g}",
            f"above v_reset, {values['v_reset'].max():g}",
        )
    return Neurons(
        fields.name,
        tau=values.get("tau_mem", values.get("tau")),
        tau_syn=values.get("tau_syn"),
        r=values["r"],
        w_in=values.get("w_in", np.ones(())),
        v_leak=values.get("v_leak", np.zeros(())),
        v_threshold=values["v_threshold"],
        v_reset=values["v_reset"],
        refractory_steps=fields.integers(_REFRACTORY, 0, 1)[0] if _REFRACTORY in fields else None,
    )


_READERS: dict[str, Callable[[_Fields], Node]] = {
    "Input": _input,
    "Output": lambda fields: Output(fields.name),
    "Affine": _linear,
    "Linear": _linear,
    "Scale": lambda fields: Scale(fields.name, fields.numbers("scale")),
    "Flatten": lambda fields: Flatten(fields.name),
    "Conv2d": _convolution,
    "SumPool2d": lambda fields: _pool(fields, average=False),
    "AvgPool2d": lambda fields: _pool(fields, average=True),
    "Delay": _delay,
    "LIF": lambda fields: _neurons(fields, leak=True, synapses=False),
    "IF": lambda fields: _neurons(fields, leak=False, synapses=False),
    "CubaLIF": lambda fields: _neurons(fields, leak=True, synapses=True),
}
