"""Layer of the network: one population, or several with loops among them."""

# mypy: allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

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

from ..lava.faults import reporting
from ..lava.plan import Block, LayerPlan
from ..lava.simulation import LayerSimulation

__all__ = ["Layer", "PyLayerModel"]


class Layer(AbstractProcess):
    """Populations of one layer, in floating or fixed point.

    Receives the spikes of all earlier populations that are needed, adds its own and sends them.
    Results are passed from layer to layer once per query, after the last block, and a constant
    input is received once, with the first block.
    """

    def __init__(self, *, plan: LayerPlan, pixels: int, faults: Any) -> None:
        super().__init__(plan=plan, faults=faults, name=plan.name)
        self.spikes_in = InPort(shape=(plan.received.nbytes,))
        self.spikes_out = OutPort(shape=(plan.sent.nbytes,))
        self.values_in = InPort(shape=(plan.received.capacity, pixels))
        self.results_in = InPort(shape=(plan.sent.capacity, plan.columns))
        self.results_out = OutPort(shape=(plan.sent.capacity, plan.columns))


@implements(proc=Layer, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyLayerModel(PyLoihiProcessModel):
    """Model of a layer, which simulates one block per Lava step."""

    spikes_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    spikes_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    values_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    results_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    results_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._plan: LayerPlan = proc_params["plan"]
        self._faults = proc_params["faults"]
        self._simulation = LayerSimulation(self._plan)
        self._message = self._plan.sent.empty()

    def run_spk(self) -> None:
        """Simulate the next block."""
        with reporting(self._faults, f"layer {self._plan.name}"):
            received = self.spikes_in.recv()
            block = self._plan.received.read_block(received)
            spikes = self._plan.received.spikes(received, block)
            if block.is_first:
                values = self.values_in.recv() if self._plan.takes_values else None
                self._simulation.begin(block, None if values is None else values[: block.images])
            fired = self._simulation.simulate(block, spikes)
            self._send(block, spikes | fired)

    def _send(self, block: Block, spikes: dict[str, NDArray[np.uint8]]) -> None:
        self._plan.sent.write_block(self._message, block)
        for carried, room in self._plan.sent.spikes(self._message, block).items():
            room[:] = spikes[carried]
        self.spikes_out.send(self._message)
        if block.is_last:
            # The port of the first layer is not connected, and Lava returns zeros.
            results = self.results_in.recv()
            self._simulation.write_results(results)
            self.results_out.send(results)
