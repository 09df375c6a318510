"""Population of the network: synapses, neurons, and their reset between queries."""

# mypy: allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neuroattack.ir.network import FixedPopulation, Population

from ..lava.arithmetic import FixedNeurons, FloatingNeurons, Neurons, Synapses
from ..lava.faults import reporting
from ..lava.plan import Block, LayerPlan, packed_bytes

__all__ = ["Layer", "PyLayerModelFixed", "PyLayerModelFloating"]


class Layer(AbstractProcess):
    """One population.

    Receives the spikes of all earlier populations that are needed, adds its own and sends them.
    Counts are passed from layer to layer once per query, after the last block.
    """

    def __init__(self, *, plan: LayerPlan, faults: Any) -> None:
        super().__init__(plan=plan, faults=faults, name=plan.population.name)
        self.spikes_in = InPort(shape=(plan.received.nbytes,))
        self.spikes_out = OutPort(shape=(plan.sent.nbytes,))
        self.counts_in = InPort(shape=(plan.sent.capacity, plan.total))
        self.counts_out = OutPort(shape=(plan.sent.capacity, plan.total))


class _PyLayerModel(PyLoihiProcessModel):
    """Model of a layer, common to both kinds of arithmetic."""

    spikes_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    spikes_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    counts_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    counts_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._plan: LayerPlan = proc_params["plan"]
        self._faults = proc_params["faults"]
        self._synapses = [Synapses(projection) for projection in self._plan.incoming]
        self._exponents = [projection.exponent for projection in self._plan.incoming]
        self._neurons = self._make_neurons()
        self._message = self._plan.sent.empty()
        # Packed spikes of each source in this query: (total steps, images, bytes).
        self._history: dict[str, NDArray[np.uint8]] = {}

    @abc.abstractmethod
    def _make_neurons(self) -> Neurons:
        """Return the neurons of the plan."""

    def run_spk(self) -> None:
        """Simulate the next block."""
        with reporting(self._faults, f"layer {self._plan.population.name}"):
            received = self.spikes_in.recv()
            block = self._plan.received.read_block(received)
            spikes = self._plan.received.spikes(received, block)
            if block.is_first:
                self._begin(block)
            for source, history in self._history.items():
                history[block.span] = spikes[source]
            fired = self._simulate(block)
            self._send(block, spikes, fired)

    def _begin(self, block: Block) -> None:
        sizes = self._plan.received.sizes
        self._history = {
            name: np.empty((block.total_steps, block.images, packed_bytes(sizes[name])), np.uint8)
            for name in {synapses.source for synapses in self._synapses}
        }
        self._neurons.rest(block.images)

    def _simulate(self, block: Block) -> NDArray[np.bool_]:
        size = self._plan.population.size
        shape = (block.steps, block.images, size)
        sums = [
            s.sums(s.arriving(self._history[s.source], block.first_step, block.steps))
            for s in self._synapses
        ]
        fired = np.empty(shape, bool)
        for k in range(block.steps):
            fired[k] = self._neurons.step([part.reshape(shape)[k] for part in sums])
        return fired

    def _send(
        self, block: Block, spikes: dict[str, NDArray[np.uint8]], fired: NDArray[np.bool_]
    ) -> None:
        name = self._plan.population.name
        self._plan.sent.write_block(self._message, block)
        for carried, room in self._plan.sent.spikes(self._message, block).items():
            if carried == name:
                room[:] = np.packbits(fired, axis=-1, bitorder="little")
            else:
                room[:] = spikes[carried]
        self.spikes_out.send(self._message)
        if block.is_last:
            # The port of the first layer is not connected, and Lava returns zeros.
            counts = self.counts_in.recv()
            counts[: block.images, self._plan.counts] = self._neurons.counts
            self.counts_out.send(counts)


@implements(proc=Layer, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyLayerModelFloating(_PyLayerModel):
    """Layer in floating point, with potentials in volts."""

    def _make_neurons(self) -> Neurons:
        population = self._plan.population
        if not isinstance(population, Population):
            raise TypeError("a population in fixed point")
        return FloatingNeurons(population, self._plan.dt_s, self._exponents)


@implements(proc=Layer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLayerModelFixed(_PyLayerModel):
    """Layer in fixed point, with potentials in units of the last bit of the state."""

    def _make_neurons(self) -> Neurons:
        population = self._plan.population
        if not isinstance(population, FixedPopulation):
            raise TypeError("a population in floating point")
        return FixedNeurons(population, self._exponents)
