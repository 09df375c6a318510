"""Import of networks from PyTorch modules, through the NIR exporters of their frameworks.

The modules tell what their exporters leave out: resets, comparisons and shapes of layers. These are
added to the graph as metadata before it is imported like a file.
"""

from __future__ import annotations

import copy
import importlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.errors import (
    BackendUnavailableError,
    FileError,
    NeuroattackError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.ir.nir.importing import Imported, import_nir

__all__ = ["from_norse", "from_snntorch", "from_spikingjelly"]

Shape = tuple[int, ...]

# Layers that no exporter knows, by the beginning of the name of their type.
_ADVICE = {
    "MaxPool": "train with average pooling",
    "AdaptiveMaxPool": "train with average pooling",
    "BatchNorm": "fold it into the weights and biases of the layer before",
    "Dropout": "remove it after training, as it has no effect then",
}


_OF_MODULES = ("reset", "comparison", "integration", "input_order", "refractory_steps")
"""Settings of an import that follow from a module."""


def from_snntorch(module: Any, input_shape: Shape, **settings: Any) -> Imported:
    """Import a network of snnTorch.

    Parameters
    ----------
    module : torch.nn.Module
        Trained network. It is not changed.
    input_shape : tuple of int
        Shape of one image as the network's input, without a batch axis, such as ``(1, 28, 28)``.
    **settings
        As in :func:`neuroattack.ir.nir.importing.import_nir`; at least `encoder`.

    Raises
    ------
    BackendUnavailableError
        If snnTorch or nir is not installed.
    UnsupportedFeatureError, ValidationError
        If the network cannot be imported exactly; the message names the layer.
    """
    torch, snn, exporting = _modules("snntorch", "torch", "snntorch", "snntorch.export_nir")
    network = _copy(torch, module)
    layers = _layers(network, snn.SpikingNeuron)
    _check_layers(torch, network, padding_is_lost=True)
    for name, layer in layers.items():
        _check_snntorch(name, layer)
        if isinstance(network, torch.nn.Sequential):
            layer.init_hidden = True
    sample = torch.zeros(1, *input_shape)
    shapes = _output_shapes(torch, network, layers, sample)
    _check_calls(torch, network, layers, sample)
    for name, shape in shapes.items():
        for field in ("alpha", "beta", "threshold"):
            _expand(layers[name], field, shape)
    graph = _exported("snntorch", lambda: exporting.export_to_nir(network, sample, ignore_dims=[0]))
    for name, layer in layers.items():
        zero = layer.reset_mechanism == "zero"
        loses_input = layer.reset_delay and not isinstance(layer, snn.Leaky)
        _note(
            _node(graph, name, "lif"),
            reset="value" if zero else "subtract_next",
            refractory_steps=np.array([int(zero and loses_input)]),
        )
    return _imported(graph, exporter="snntorch", **settings)


def _check_snntorch(name: str, layer: Any) -> None:
    if not hasattr(layer, "reset_delay"):
        raise UnsupportedFeatureError(
            f"layer {name!r} is of type {type(layer).__name__}, expected Leaky, Synaptic, RLeaky "
            "or RSynaptic"
        )
    zero = layer.reset_mechanism == "zero"
    for wrong, what in (
        (layer.reset_mechanism == "none", "reset_mechanism='none'"),
        (not layer.reset_delay and not zero, "reset_delay=False with a reset by subtraction"),
        (layer.inhibition, "inhibition=True"),
        (bool(layer.state_quant), "state_quant"),
        (float(layer.graded_spikes_factor) != 1, "a graded_spikes_factor other than 1"),
    ):
        if wrong:
            raise UnsupportedFeatureError(
                f"layer {name!r} has {what}, which has no counterpart; train without it"
            )


def from_norse(module: Any, input_shape: Shape, **settings: Any) -> Imported:
    """Import a network of Norse, a ``SequentialState`` of layers and cells.

    Parameters and exceptions are those of :func:`from_snntorch`. The time step is that of the
    cells.
    """
    torch, norse, exporting = _modules(
        "norse", "torch", "norse.torch", "norse.torch.utils.export_nir"
    )
    network = _copy(torch, module)
    known = (norse.LIFCell, norse.LIFBoxCell, norse.LICell, norse.LIBoxCell, norse.LIFRecurrentCell)
    layers = _layers(network, known)
    _check_layers(torch, network)
    sample = torch.zeros(1, *input_shape)
    shapes = _output_shapes(torch, network, layers, sample)
    parameters = {
        name: layer.p._replace(
            **{
                field: value.detach().expand(shapes[name]).clone()
                for field, value in layer.p._asdict().items()
                if torch.is_tensor(value) and field != "alpha"
            }
        )
        for name, layer in layers.items()
    }
    for name, layer in layers.items():
        # The recurrent cell cannot start with one value per neuron, and is not exported.
        if not isinstance(layer, norse.LIFRecurrentCell):
            layer.p = parameters[name]
    steps = {float(layer.dt) for layer in layers.values()}
    if len(steps) > 1:
        raise UnsupportedFeatureError(
            f"cells with different time steps ({', '.join(map(str, sorted(steps)))} s)"
        )
    dt_s = steps.pop() if steps else 1e-3
    if settings.get("dt_s", dt_s) != dt_s:
        raise ValidationError("dt_s", settings["dt_s"], f"{dt_s}, as in the cells")
    graph = _exported("norse", lambda: exporting.to_nir(network, sample, dt=dt_s))
    nir = importlib.import_module("nir")
    for name, layer in layers.items():
        layer.p = parameters[name]
    for name, part in network.named_modules():
        _complete_norse(nir, torch, norse, graph, name, part, dt_s)
    for name, node in graph.nodes.items():
        if node is None:
            raise UnsupportedFeatureError(f"the NIR exporter of norse does not support {name!r}")
    graph.nodes["input"] = nir.Input(np.array(input_shape))
    graph.nodes["output"] = nir.Output({"output": None})
    return _imported(graph, exporter="norse", **{"dt_s": dt_s, **settings})


def _complete_norse(
    nir: Any, torch: Any, norse: Any, graph: Any, name: str, part: Any, dt_s: float
) -> None:
    """Add what Norse's exporter leaves out of a layer."""
    if isinstance(part, torch.nn.Flatten):
        graph.nodes[name] = nir.Flatten(None, start_dim=0, end_dim=-1)
    elif isinstance(part, torch.nn.AvgPool2d):
        sizes = [np.broadcast_to(each, 2) for each in (part.kernel_size, part.stride, part.padding)]
        graph.nodes[name] = nir.AvgPool2d(*sizes)
    elif isinstance(part, norse.LICell | norse.LIFRecurrentCell):
        p = part.p
        fields = {
            "tau_syn": (dt_s / p.tau_syn_inv).numpy(),
            "tau_mem": (dt_s / p.tau_mem_inv).numpy(),
            "r": torch.ones_like(p.v_leak).numpy(),
            "v_leak": p.v_leak.numpy(),
        }
        if isinstance(part, norse.LICell):
            graph.nodes[name] = nir.CubaLI(**fields)
        else:
            graph.nodes[name] = nir.CubaLIF(**fields, v_threshold=p.v_th.numpy())
            _add_recurrence(nir, graph, name, part)
    if isinstance(part, norse.LIFCell | norse.LIFBoxCell | norse.LIFRecurrentCell):
        method = getattr(part.p, "reset_method", None)
        subtracts = getattr(method, "__name__", "") == "reset_subtract"
        graph.nodes[name].v_reset = part.p.v_reset.numpy()
        _note(graph.nodes[name], reset="subtract" if subtracts else "value")


def _add_recurrence(nir: Any, graph: Any, name: str, cell: Any) -> None:
    """Add the input weights and recurrent weights of a cell, which has no autapses."""
    recurrent = cell.recurrent_weights.detach().numpy().copy()
    np.fill_diagonal(recurrent, 0)
    graph.nodes[f"{name}.w_in"] = nir.Linear(cell.input_weights.detach().numpy())
    graph.nodes[f"{name}.w_rec"] = nir.Linear(recurrent)
    graph.edges = [
        *((a, f"{name}.w_in" if b == name else b) for a, b in graph.edges),
        (f"{name}.w_in", name),
        (name, f"{name}.w_rec"),
        (f"{name}.w_rec", name),
    ]


def from_spikingjelly(module: Any, input_shape: Shape, **settings: Any) -> Imported:
    """Import a network of SpikingJelly.

    Parameters and exceptions are those of :func:`from_snntorch`.
    """
    torch, base, exporting, functional = _modules(
        "spikingjelly",
        "torch",
        "spikingjelly.activation_based.neuron",
        "spikingjelly.activation_based.nir_exchange",
        "spikingjelly.activation_based.functional",
    )
    network = _copy(torch, module)
    functional.reset_net(network)
    functional.set_step_mode(network, "s")
    layers = _layers(network, base.BaseNode)
    _check_layers(torch, network)
    soft = {name for name, layer in layers.items() if layer.v_reset is None}
    for name in soft:
        # The exporter refuses soft resets, which NIR does not have.
        layers[name].v_reset = 0.0
        layers[name].reset()
    sample = torch.zeros(1, *input_shape)
    _output_shapes(torch, network, layers, sample)
    functional.reset_net(network)
    graph = _exported("spikingjelly", lambda: exporting.export_to_nir(network, sample))
    for name in layers:
        _note(_node(graph, name, ""), reset="subtract" if name in soft else "value")
    return _imported(graph, exporter="spikingjelly", **settings)


def _modules(framework: str, *names: str) -> list[Any]:
    """Return imported modules; raise BackendUnavailableError if one is missing."""
    try:
        importlib.import_module("nir")
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise BackendUnavailableError(
            f"importing from {framework} needs the package {error.name or framework}: "
            f"pip install {framework} 'neuroattack[nir]'"
        ) from error


def _copy(torch: Any, module: Any) -> Any:
    """Return a copy of a module in single precision, without the history of its states."""
    if not isinstance(module, torch.nn.Module):
        raise UnsupportedFeatureError(
            f"network: got {type(module).__name__}, expected a torch.nn.Module"
        )
    # Layers keep states of training, which PyTorch does not copy.
    states: dict[int, Any] = {}
    stack: list[Any] = [vars(part) for part in module.modules()]
    while stack:
        value = stack.pop()
        if torch.is_tensor(value):
            if not value.is_leaf:
                states[id(value)] = value.detach().clone()
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
    return copy.deepcopy(module, states).cpu().float().eval()


def _layers(network: Any, kinds: Any) -> dict[str, Any]:
    return {name: part for name, part in network.named_modules() if isinstance(part, kinds)}


def _output_shapes(
    torch: Any, network: Any, layers: Mapping[str, Any], sample: Any
) -> dict[str, Shape]:
    """Return the shapes of the outputs of layers, without the batch axis."""
    shapes: dict[str, Shape] = {}
    calls: dict[str, int] = {}

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def keep(_layer: Any, _inputs: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            first = output[0] if isinstance(output, tuple) else output
            shapes[name] = tuple(first.shape[1:])

        return keep

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            network(sample)
    # A module raises whatever it likes.
    except Exception as error:
        raise UnsupportedFeatureError(
            f"the network fails for an image of shape {tuple(sample.shape[1:])}: {_line(error)}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    for name in layers:
        if name not in shapes:
            raise UnsupportedFeatureError(f"layer {name!r} is not used by the network")
        if calls[name] != min(calls.values()):
            raise UnsupportedFeatureError(
                f"layer {name!r} is called {calls[name]} times, expected a layer of its "
                "own for each call, as layers have a state"
            )
    return shapes


def _check_calls(torch: Any, network: Any, layers: Mapping[str, Any], sample: Any) -> None:
    """Raise UnsupportedFeatureError for computations that snnTorch's exporter does not see.

    It connects layers by the values that they pass on, and each layer becomes one node.
    """
    calls: dict[str, int] = {}
    given: list[Any] = []
    sizes: list[int] = []

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def keep(_layer: Any, inputs: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            given.append(inputs[0].detach().clone())
            sizes.append(next(_tensors(torch, output)).numel())

        return keep

    inner = tuple(f"{name}." for name in layers)
    parts = {
        name: part
        for name, part in network.named_modules()
        if name in layers or not (name.startswith(inner) or list(part.children()))
    }
    handles = [part.register_forward_hook(hook(name)) for name, part in parts.items()]
    ones = torch.ones_like(sample)
    with torch.no_grad():
        outputs = list(_tensors(torch, network(ones)))
    for handle in handles:
        handle.remove()
    first = next(iter(calls))
    for name, count in calls.items():
        if count != calls[first]:
            raise UnsupportedFeatureError(
                f"layer {name!r} is called {count} times, and layer {first!r} {calls[first]} "
                "times; expected layers that are called once per time step"
            )
    # Encoders such as torch.bernoulli pass ones on.
    if given[0].numel() == ones.numel() and not bool((given[0] == 1).all()):
        raise UnsupportedFeatureError(
            f"the network changes the image before layer {first!r}, which is not exported; change "
            "the images instead"
        )
    if all(output.numel() % sizes[-1] for output in outputs):
        raise UnsupportedFeatureError(
            f"the network has outputs of {', '.join(str(o.numel()) for o in outputs)} elements, "
            f"expected those of its last layer, {sizes[-1]}: what follows it is not exported"
        )


def _tensors(torch: Any, value: Any) -> Iterator[Any]:
    """Yield the tensors in nested tuples and lists."""
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(torch, each)


def _expand(layer: Any, field: str, shape: Shape) -> None:
    """Give a parameter of a layer one value per neuron, as exporters require."""
    value = getattr(layer, field, None)
    if value is None:
        return
    full = value.detach().expand(shape).clone()
    delattr(layer, field)
    layer.register_buffer(field, full)


def _exported(framework: str, export: Callable[[], Any]) -> Any:
    try:
        return export()
    # Exporters raise whatever they like.
    except Exception as error:
        raise UnsupportedFeatureError(
            f"the NIR exporter of {framework} failed: {_line(error)}"
        ) from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _node(graph: Any, layer: str, inner: str) -> Any:
    """Return the node of a layer; exporters change names, and recurrent layers contain it."""

    def plain(name: str) -> str:
        return re.sub(r"\W", "_", name).strip("_")

    for name, node in _flat(graph):
        if plain(name) in (plain(layer), plain(f"{layer}.{inner}")) and not hasattr(node, "nodes"):
            return node
    raise UnsupportedFeatureError(f"layer {layer!r} is missing in the exported graph")


def _flat(graph: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, node in graph.nodes.items():
        yield prefix + name, node
        if hasattr(node, "nodes"):
            yield from _flat(node, f"{prefix}{name}.")


def _note(node: Any, **settings: Any) -> None:
    """Add settings to the metadata of a node of neurons."""
    node.metadata = {"neuroattack": settings}


def _check_layers(torch: Any, network: Any, padding_is_lost: bool = False) -> None:
    """Raise UnsupportedFeatureError for layers that are not exported as they are."""
    for name, part in network.named_modules():
        kind = type(part).__name__
        for beginning, advice in _ADVICE.items():
            if kind.startswith(beginning):
                raise UnsupportedFeatureError(
                    f"layer {name!r} is of type {kind}, which cannot be imported: {advice}"
                )
        if not isinstance(part, torch.nn.AvgPool2d):
            continue
        padded = bool(np.any(part.padding))
        for wrong, what in (
            (part.ceil_mode, "ceil_mode, which NIR does not define"),
            (part.divisor_override is not None, "divisor_override, which NIR does not define"),
            (
                padded and not part.count_include_pad,
                "count_include_pad=False, which NIR does not define",
            ),
            (padded and padding_is_lost, "padding, which the framework does not export"),
        ):
            if wrong:
                raise UnsupportedFeatureError(f"layer {name!r} has {what}")


def _imported(graph: Any, **settings: Any) -> Imported:
    """Import a graph of the package nir; errors do not name a file."""
    for name in _OF_MODULES:
        if settings.get(name) is not None:
            raise ValidationError(name, repr(settings[name]), "none, as the module determines it")
    nir = importlib.import_module("nir")
    with tempfile.TemporaryDirectory(prefix="neuroattack-nir-") as folder:
        path = Path(folder) / "network.nir"
        try:
            graph.infer_types()
            nir.write(path, graph)
        except Exception as error:
            raise UnsupportedFeatureError(
                f"the exported graph is incomplete: {_line(error)}"
            ) from error
        try:
            return import_nir(path, **settings)
        except FileError as error:
            if isinstance(error.__cause__, NeuroattackError):
                raise error.__cause__ from None
            raise
