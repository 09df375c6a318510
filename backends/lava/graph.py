"""Lava graph of a network in the worker: built once, then used for all queries."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..workers.endings import describe_end, find_end
from ..workers.serving import ServedError
from .plan import GraphPlan, Query

__all__ = ["Graph"]

# Messages per channel. One is written while another is read; Lava's default of 64 only wastes
# shared memory.
_CHANNEL_DEPTH = 4


class Graph:
    """Chain of running Lava processes: feed, layers, sink."""

    def __init__(self, plan: GraphPlan) -> None:
        # The models are in the modules of their processes; Lava warns that it finds no others.
        warnings.filterwarnings("ignore", "Cannot import module", UserWarning)
        # Importing Lava sets the start method to fork, which is acceptable in the worker.
        from lava.magma.core.run_configs import Loihi1SimCfg

        from ..lava_processes.count_sink import CountSink
        from ..lava_processes.layer import Layer
        from ..lava_processes.spike_feed import SpikeFeed

        queries, self._queries = multiprocessing.Pipe(duplex=False)
        self._answers, answers = multiprocessing.Pipe(duplex=False)
        self._faults, faults = multiprocessing.Pipe(duplex=False)
        layers = [Layer(plan=layer, pixels=plan.input_size, faults=faults) for layer in plan.layers]
        feed = SpikeFeed(
            sent=plan.layers[0].received, pixels=plan.input_size, queries=queries, faults=faults
        )
        last = plan.layers[-1]
        sink = CountSink(received=last.sent, columns=last.columns, answers=answers, faults=faults)
        feed.spikes_out.connect(layers[0].spikes_in)
        for layer, content in zip(layers, plan.layers, strict=True):
            if content.takes_values:
                feed.values_out.connect(layer.values_in)
        targets: list[Any] = [*layers[1:], sink]
        for source, target in zip(layers, targets, strict=True):
            source.spikes_out.connect(target.spikes_in)
            source.results_out.connect(target.results_in)
        feed.create_runtime(Loihi1SimCfg(), compile_config={"pypy_channel_size": _CHANNEL_DEPTH})
        self._feed = feed
        self._block_steps = plan.layers[0].received.block_steps
        self._children = {
            child.sentinel: child.pid for child in multiprocessing.active_children() if child.pid
        }

    def query(
        self, query: Query, abandon: Any
    ) -> tuple[NDArray[np.int32], dict[str, NDArray[np.uint8]] | None]:
        """Simulate a query.

        Returns the results, with the columns of :class:`PopulationPlan`, and the packed spikes of
        each population, if recorded. Raises ServedError if a process reported a failure or ended,
        and EOFError if `abandon` became readable, i.e. the query was canceled.
        """
        from lava.magma.core.run_conditions import RunSteps

        blocks = -(-query.steps // self._block_steps)
        self._feed.run(RunSteps(num_steps=blocks, blocking=False))
        # In a thread: if the feed has died, sending would block forever.
        sending = threading.Thread(target=self._queries.send, args=(query,), daemon=True)
        sending.start()
        ready = wait([self._answers, self._faults, abandon, *self._children])
        if self._faults in ready:
            raise ServedError(self._faults.recv_bytes().decode(errors="replace"))
        for sentinel, process in self._children.items():
            if sentinel in ready:
                raise ServedError(f"a Lava process {describe_end(find_end(process) or 0)}")
        if self._answers not in ready:
            raise EOFError("the query was abandoned")
        results, spikes = self._answers.recv()
        sending.join()
        self._feed.wait()
        return results, spikes
