"""First process of the chain, which sends the input spikes of a query block by block."""

# mypy: allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuroattack.ir.network import INPUT

from ..lava.faults import reporting
from ..lava.plan import Block, Layout

__all__ = ["PySpikeFeedModel", "SpikeFeed"]


class SpikeFeed(AbstractProcess):
    """Source of input spikes; queries are (record, packed spikes)."""

    def __init__(self, *, sent: Layout, queries: Any, faults: Any) -> None:
        super().__init__(sent=sent, queries=queries, faults=faults, name="feed")
        self.spikes_out = OutPort(shape=(sent.nbytes,))


@implements(proc=SpikeFeed, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PySpikeFeedModel(PyLoihiProcessModel):
    """Receives a query after the previous one is complete, and sends one block per Lava step."""

    spikes_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._sent: Layout = proc_params["sent"]
        self._queries = proc_params["queries"]
        self._faults = proc_params["faults"]
        self._message = self._sent.empty()
        self._packed: Any = None
        self._record = 0
        self._step = 0

    def run_spk(self) -> None:
        """Send the next block."""
        with reporting(self._faults, "feed"):
            if self._packed is None:
                self._record, self._packed = self._queries.recv()
                self._step = 0
            total, images = self._packed.shape[:2]
            steps = min(self._sent.block_steps, total - self._step)
            block = Block(self._step, steps, total, images, self._record)
            self._sent.write_block(self._message, block)
            self._sent.spikes(self._message, block)[INPUT][:] = self._packed[block.span]
            self.spikes_out.send(self._message)
            self._step += steps
            if block.is_last:
                self._packed = None
