"""Export of networks as NIR graphs, written with the package nir."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError
from neuroattack.files import atomic_path
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population
from neuroattack.ir.nir.losses import Losses
from neuroattack.ir.nir.stated import graph_metadata, neuron_metadata
from neuroattack.ir.values import span

__all__ = ["export_nir"]

# Not identifiers, hence not names of populations.
_PIXELS = "input-pixels"
_OUTPUT = "network-output"


def export_nir(
    path: str | os.PathLike[str], network: Network, *, allow_lossy: bool = False
) -> tuple[str, ...]:
    """Write a floating-point network as a NIR file, atomically.

    The file must be read with integration ``hold``, arrival ``next-step`` and times in seconds
    (:class:`neuroattack.ir.nir.reading.Reading`). Its metadata contain these settings, and the
    refractory period and the encoder, which NIR does not support. Importing the file with them
    gives a network that is spike-for-spike identical.

    Parameters
    ----------
    path : path
        File to write.
    network : Network
        Network in floating point.
    allow_lossy : bool, optional
        Whether to export networks with a refractory period, which other tools will ignore.

    Returns
    -------
    tuple of str
        Features that other tools will ignore.

    Raises
    ------
    UnsupportedFeatureError
        If the network is in fixed point, or has a refractory period and losses are not allowed.
    BackendUnavailableError, OutputError
        If the package nir is not installed, or the file cannot be written.
    """
    try:
        import nir
    except ImportError as error:
        raise BackendUnavailableError(
            "NIR export needs the package nir: pip install 'neuroattack[nir]'"
        ) from error
    losses = Losses(allow_lossy)
    graph = _Export(nir, network, losses).graph()
    with atomic_path(path) as temporary:
        nir.write(temporary, graph)
    return tuple(losses.listed)


class _Export:
    def __init__(self, nir: Any, network: Network, losses: Losses) -> None:
        self.nir = nir
        self.network = network
        self.losses = losses
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def graph(self) -> Any:
        """Return the network as a graph of the package nir."""
        shape = np.array(self.network.input.shape)
        self.nodes[INPUT] = self.nir.Input(input_type={"input": shape})
        if len(shape) > 1:
            self.nodes[_PIXELS] = self.nir.Flatten(input_type={"input": shape}, start_dim=0)
            self.edges.append((INPUT, _PIXELS))
        for population in self.network.populations:
            if isinstance(population, FixedPopulation):
                raise UnsupportedFeatureError(
                    f"population {population.name!r} is in fixed point, which NIR does not "
                    "support; expected a network in floating point"
                )
            self._population(population)
        self.nodes[_OUTPUT] = self.nir.Output(
            output_type={"output": np.array([self.network.classes])}
        )
        self.edges.append((self.network.readout, _OUTPUT))
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=graph_metadata(self.network))

    def _population(self, population: Population) -> None:
        size = population.size
        leak = 1 - float(population.decay(self.network.dt_s)[0])
        resistance, gain = _resistances(leak or self.network.dt_s, population.bias_v)
        if population.refractory_steps.any():
            self.losses.add(
                f"population {population.name!r} has a refractory period of "
                f"{span(population.refractory_steps)} steps, which NIR does not support",
                "stored in the file's metadata only, which other tools ignore",
            )
        values = {
            "r": resistance,
            "v_threshold": population.threshold_v.copy(),
            "v_reset": population.reset_v.copy(),
        }
        metadata = neuron_metadata(population)
        if leak:
            tau, rest = population.tau_m_s.copy(), np.zeros(size)
            neurons = self.nir.LIF(tau=tau, v_leak=rest, metadata=metadata, **values)
        else:
            neurons = self.nir.IF(metadata=metadata, **values)
        self.nodes[population.name] = neurons
        self._incoming(population, gain)

    def _incoming(self, population: Population, gain: NDArray[np.float64]) -> None:
        bias: NDArray[np.float64] | None = population.bias_v / gain
        if not population.bias_v.any():
            bias = None
        projections = self.network.incoming(population.name)
        for number, projection in enumerate(projections):
            source = self._after_delay(projection.source, projection.delay_steps)
            weight = projection.dense().weights_v.T / gain[:, None]
            self._connect(source, population.name, weight, bias, str(number))
            bias = None
        if bias is not None or not projections:
            # NIR requires an incoming edge for every node of neurons.
            nothing = np.zeros((population.size, self.network.input.size))
            source = self._after_delay(INPUT, 1)
            self._connect(source, population.name, nothing, bias, "none")

    def _after_delay(self, source: str, delay_steps: int) -> str:
        """Return the node that outputs the source's spikes delayed by all steps but the last."""
        size = self.network.input.size
        if source != INPUT:
            size = self.network.population(source).size
        elif _PIXELS in self.nodes:
            source = _PIXELS
        if delay_steps == 1:
            return source
        name = f"{source}-after-{delay_steps - 1}"
        if name not in self.nodes:
            delay = np.full(size, (delay_steps - 1) * self.network.dt_s)
            self.nodes[name] = self.nir.Delay(delay=delay)
            self.edges.append((source, name))
        return name

    def _connect(
        self,
        source: str,
        target: str,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None,
        suffix: str,
    ) -> None:
        name = f"{source}-to-{target}-{suffix}"
        self.nodes[name] = (
            self.nir.Linear(weight) if bias is None else self.nir.Affine(weight, bias)
        )
        self.edges += [(source, name), (name, target)]


def _resistances(
    leak: float, bias_v: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a resistance for each neuron, and its product with `leak` in float64.

    Dividing and multiplying the neuron's bias by the product is lossless. The product 1 fits every
    bias if `leak` has an exact inverse in float64; otherwise, other products are tried.
    """
    resistances, products = np.zeros_like(bias_v), np.zeros_like(bias_v)
    open_ = np.ones(bias_v.shape, bool)
    for factor in range(1, 1000):
        near = factor / leak
        for resistance in (near, np.nextafter(near, 0), np.nextafter(near, np.inf)):
            product = leak * resistance
            fits = open_ & (bias_v / product * product == bias_v)
            resistances[fits], products[fits] = resistance, product
            open_ &= ~fits
        if not open_.any():
            return resistances, products
    raise UnsupportedFeatureError(
        f"bias: got {bias_v[open_][0]!r} V, which NIR cannot represent exactly"
    )
