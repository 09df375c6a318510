"""Nodes of NIR files of versions 0.x and 1.x, validated when they are read.

Fields that some versions or exporters omit have the defaults of NIR's own reader: ``v_reset`` 0,
``w_in`` 1, no bias, ``input_shape`` from the node's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.nir.graph.fields import Fields
from neuroattack.ir.nir.graph.nodes import (
    Convolution,
    Delay,
    Flatten,
    Input,
    Linear,
    Neurons,
    Node,
    Output,
    Pool,
    Scale,
    Threshold,
)

__all__ = ["read_node"]

_OWN = "metadata/neuroattack/"


def read_node(name: str, arrays: Mapping[str, NDArray[Any]]) -> Node:
    """Return a validated node; raise ValidationError, or UnsupportedFeatureError for its type."""
    kind = arrays.get("type")
    if kind is None or kind.dtype.kind != "U" or kind.shape != ():
        raise ValidationError(f"node {name!r} type", "nothing", "the name of a type of node")
    if str(kind) not in _READERS:
        raise UnsupportedFeatureError(
            f"node {name!r} is of type {str(kind)!r}, expected one of NIRGraph, "
            f"{', '.join(_READERS)}"
        )
    return _READERS[str(kind)](Fields(name, str(kind), arrays))


def _input(fields: Fields) -> Input:
    return Input(fields.name, fields.integers("shape", 1, None))


def _linear(fields: Fields) -> Linear:
    weight = fields.numbers("weight")
    if weight.ndim != 2 or weight.size == 0:
        raise fields.wrong("weight", f"shape {weight.shape}", "shape (outputs, inputs)")
    return Linear(fields.name, weight, _bias(fields, len(weight)))


def _bias(fields: Fields, outputs: int) -> NDArray[np.float64]:
    bias = fields.numbers("bias", 0.0)
    if bias.shape not in ((), (outputs,)):
        raise fields.wrong("bias", f"shape {bias.shape}", f"({outputs},)")
    return np.broadcast_to(bias, (outputs,))


def _convolution(fields: Fields, dimensions: int) -> Convolution:
    weight = fields.numbers("weight")
    sides = "rows, columns" if dimensions == 2 else "columns"
    if weight.ndim != dimensions + 2 or weight.size == 0:
        raise fields.wrong(
            "weight", f"shape {weight.shape}", f"shape (channels out, channels in, {sides})"
        )
    (groups,) = fields.integers("groups", 1, 1)
    if len(weight) % groups:
        raise fields.wrong("groups", groups, f"a divisor of {len(weight)}")
    if dimensions == 1:
        weight = weight[:, :, None]
    stride, dilation = (_sides(fields, field, dimensions) for field in ("stride", "dilation"))
    return Convolution(
        fields.name,
        weight,
        _bias(fields, len(weight)),
        _sides(fields, "input_shape", dimensions) if "input_shape" in fields else None,
        stride,
        _padding(fields, dimensions, weight.shape[2:], stride, dilation),
        dilation,
        groups,
        dimensions,
    )


def _sides(fields: Fields, field: str, dimensions: int) -> tuple[int, int]:
    """Return integers for rows and columns; in one dimension there is one row."""
    if dimensions == 2:
        return fields.pair(field)
    (columns,) = fields.integers(field, 1, 1)
    return 1, columns


def _padding(
    fields: Fields,
    dimensions: int,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
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
    if dimensions == 1:
        (columns_padding,) = fields.integers("padding", 0, 1)
        return (0, 0), (columns_padding, columns_padding)
    rows_padding, columns_padding = fields.pair("padding", 0)
    return (rows_padding, rows_padding), (columns_padding, columns_padding)


def _pool(fields: Fields, average: bool) -> Pool:
    return Pool(
        fields.name,
        fields.pair("kernel_size"),
        fields.pair("stride"),
        fields.pair("padding", 0),
        average,
    )


def _delay(fields: Fields) -> Delay:
    delay = fields.numbers("delay")
    if delay.size and delay.min() < 0:
        raise fields.wrong("delay", f"{delay.min():g}", "no negative delays")
    return Delay(fields.name, delay)


def _neurons(fields: Fields, *, leak: bool, synapses: bool, spikes: bool) -> Neurons:
    values = {"r": fields.numbers("r", infinite=True)}
    if spikes:
        values["v_threshold"] = fields.numbers("v_threshold")
        values["v_reset"] = fields.numbers("v_reset", 0.0)
    if leak:
        values["v_leak"] = fields.numbers("v_leak")
        values["tau"] = fields.numbers("tau_mem" if synapses else "tau", infinite=True)
    if synapses:
        values["tau_syn"] = fields.numbers("tau_syn")
        values["w_in"] = fields.numbers("w_in", 1.0)
    fields.one_shape(**values)
    if f"{_OWN}refractory_steps" in fields:
        fields.integers(f"{_OWN}refractory_steps", 0, None)
    return Neurons(
        fields.name,
        fields.kind,
        tau=values.get("tau", np.array(np.inf)),
        tau_syn=values.get("tau_syn", np.zeros(())),
        r=values["r"],
        w_in=values.get("w_in", np.ones(())),
        v_leak=values.get("v_leak", np.zeros(())),
        v_threshold=values.get("v_threshold", np.array(np.inf)),
        v_reset=values.get("v_reset", np.zeros(())),
        own=MappingProxyType(fields.within(_OWN)),
    )


_READERS: dict[str, Callable[[Fields], Node]] = {
    "Input": _input,
    "Output": lambda fields: Output(fields.name),
    "Affine": _linear,
    "Linear": _linear,
    "Scale": lambda fields: Scale(fields.name, fields.numbers("scale")),
    "Flatten": lambda fields: Flatten(fields.name),
    "Conv1d": lambda fields: _convolution(fields, 1),
    "Conv2d": lambda fields: _convolution(fields, 2),
    "SumPool2d": lambda fields: _pool(fields, average=False),
    "AvgPool2d": lambda fields: _pool(fields, average=True),
    "Delay": _delay,
    "Threshold": lambda fields: Threshold(fields.name, fields.numbers("threshold")),
    "IF": lambda fields: _neurons(fields, leak=False, synapses=False, spikes=True),
    "LIF": lambda fields: _neurons(fields, leak=True, synapses=False, spikes=True),
    "CubaLIF": lambda fields: _neurons(fields, leak=True, synapses=True, spikes=True),
    "I": lambda fields: _neurons(fields, leak=False, synapses=False, spikes=False),
    "LI": lambda fields: _neurons(fields, leak=True, synapses=False, spikes=False),
    "CubaLI": lambda fields: _neurons(fields, leak=True, synapses=True, spikes=False),
}
