"""Last process of the chain, which returns the results of a query, and recorded spikes."""

# mypy: allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neuroattack.ir.network import INPUT

from ..lava.faults import reporting
from ..lava.plan import Layout, packed_bytes

__all__ = ["CountSink", "PyCountSinkModel"]


class CountSink(AbstractProcess):
    """Output of results, which have `columns` columns, see PopulationPlan.

    Answers are (results, packed spikes of each population or None).
    """

    def __init__(self, *, received: Layout, columns: int, answers: Any, faults: Any) -> None:
        super().__init__(received=received, answers=answers, faults=faults, name="sink")
        self.spikes_in = InPort(shape=(received.nbytes,))
        self.results_in = InPort(shape=(received.capacity, columns))


@implements(proc=CountSink, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyCountSinkModel(PyLoihiProcessModel):
    """Stores recorded spikes, and sends the answer after the last block."""

    spikes_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    results_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._received: Layout = proc_params["received"]
        self._answers = proc_params["answers"]
        self._faults = proc_params["faults"]
        self._recorded: dict[str, NDArray[np.uint8]] = {}

    def run_spk(self) -> None:
        """Receive a block; send the answer after the last one."""
        with reporting(self._faults, "sink"):
            message = self.spikes_in.recv()
            block = self._received.read_block(message)
            if block.record:
                if block.is_first:
                    self._recorded = {
                        name: np.empty(
                            (block.total_steps, block.images, packed_bytes(size)), np.uint8
                        )
                        for name, size in self._received.sizes.items()
                        if name != INPUT
                    }
                spikes = self._received.spikes(message, block)
                for name, recorded in self._recorded.items():
                    recorded[block.span] = spikes[name]
            if block.is_last:
                results = self.results_in.recv()[: block.images]
                self._answers.send((results, self._recorded if block.record else None))
                self._recorded = {}
