"""First process of the chain, which sends the input of a query."""

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
from ..lava.plan import Block, Layout, Query

__all__ = ["PySpikeFeedModel", "SpikeFeed"]


class SpikeFeed(AbstractProcess):
    """Source of input spikes, sent block by block, or of a constant input, sent once per query."""

    def __init__(self, *, sent: Layout, pixels: int, queries: Any, faults: Any) -> None:
        super().__init__(sent=sent, pixels=pixels, queries=queries, faults=faults, name="feed")
        self.spikes_out = OutPort(shape=(sent.nbytes,))
        self.values_out = OutPort(shape=(sent.capacity, pixels))


@implements(proc=SpikeFeed, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PySpikeFeedModel(PyLoihiProcessModel):
    """Receives a query after the previous one is complete, and sends one block per Lava step."""

    spikes_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    values_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._sent: Layout = proc_params["sent"]
        self._queries = proc_params["queries"]
        self._faults = proc_params["faults"]
        self._message = self._sent.empty()
        self._values = np.zeros((self._sent.capacity, proc_params["pixels"]), np.int32)
        self._query: Query | None = None
        self._step = 0

    def run_spk(self) -> None:
        """Send the next block."""
        with reporting(self._faults, "feed"):
            query = self._query
            if query is None:
                query = self._query = self._queries.recv()
                self._step = 0
                if query.values is not None:
                    self._values[: query.images] = query.values
                    self.values_out.send(self._values)
            steps = min(self._sent.block_steps, query.steps - self._step)
            block = Block(self._step, steps, query.steps, query.images, int(query.record))
            self._sent.write_block(self._message, block)
            if query.packed is not None:
                self._sent.spikes(self._message, block)[INPUT][:] = query.packed[block.span]
            self.spikes_out.send(self._message)
            self._step += steps
            if block.is_last:
                self._query = None
