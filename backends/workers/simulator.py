"""Simulator of a network in a worker process, in the main process."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording, Workload, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from .handle import Worker

__all__ = ["WorkerSimulator", "nothing_in_no_steps", "recording_of"]

Response = TypeVar("Response")


class WorkerSimulator(abc.ABC):
    """Network in a worker, which is started when it is first needed, and after a failure again.

    Parameters
    ----------
    name, served : str
        Name of the backend, and class that the worker serves, ``"module:Class"``.
    network : Network
        Simulated network.
    plan : object
        Argument of the served class.
    deadline_s : float or None
        Maximum time of a build or a query; None for a limit according to its work.
    build_s : float
        That limit for a build.
    most_states : int
        Most images times steps times neurons of a query.
    workload : Workload
        Expected workload: with images, the network is built now, so that later timings measure only
        simulation.
    """

    def __init__(
        self,
        name: str,
        served: str,
        network: Network,
        plan: Any,
        *,
        deadline_s: float | None,
        build_s: float,
        most_states: int,
        workload: Workload,
    ) -> None:
        self._name, self._served = name, served
        self._network = network
        self._worker_plan = plan
        self._deadline_s, self._build_s = deadline_s, build_s
        self._most_states = most_states
        self._sizes = {population.name: population.size for population in network.populations}
        self._neurons = sum(network.sizes.values())
        self._closed = False
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        if workload.images:
            self._usable_worker()

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.end()

    @abc.abstractmethod
    def _query_s(self, inputs: SpikeTrains) -> float:
        """Return the maximum time of a query according to its work."""

    def _by_parts(
        self, inputs: InputSignal, respond: Callable[[SpikeTrains], Response]
    ) -> list[tuple[SpikeTrains, Response]]:
        """Return the parts of a batch that are simulated at once, and the response to each."""
        check_inputs(self._network, inputs)
        if isinstance(inputs, ConstantInput):
            raise SimulationError(f"{self._name}: constant input is not supported")
        with self._lock:
            if self._closed:
                raise SimulationError(
                    f"{self._name}: the simulator is closed; deploy the network again"
                )
            images = max(1, self._most_states // max(self._neurons * inputs.steps, 1))
            parts = [
                SpikeTrains.concatenate([inputs[first : first + images]])
                for first in range(0, inputs.images, images)
            ]
            return [(part, respond(part)) for part in parts]

    def _ask(self, query: Any, inputs: SpikeTrains) -> Any:
        """Return the worker's response to a query with these inputs."""
        deadline_s = self._query_s(inputs) if self._deadline_s is None else self._deadline_s
        return self._usable_worker().query(query, deadline_s)

    def _usable_worker(self) -> Worker:
        if self._worker is None or not self._worker.usable:
            deadline_s = self._deadline_s or self._build_s
            self._worker = Worker(self._name, self._served, self._worker_plan, deadline_s)
        return self._worker


def recording_of(
    inputs: SpikeTrains,
    counts: Mapping[str, NDArray[np.int32]],
    spikes: Mapping[str, SpikeTrains] | None,
) -> Recording:
    """Return the recording of all populations and of the input."""
    with_input = {INPUT: inputs.counts(), **counts}
    return Recording(with_input, None if spikes is None else {INPUT: inputs, **spikes})


def nothing_in_no_steps(
    sizes: Mapping[str, int], images: int
) -> tuple[dict[str, NDArray[np.int32]], dict[str, SpikeTrains]]:
    """Return the counts and spikes of populations, by their sizes, in images of 0 steps."""
    counts = {name: np.zeros((images, size), np.int32) for name, size in sizes.items()}
    spikes = {
        name: SpikeTrains.from_events([], [], [], (images, 0, size)) for name, size in sizes.items()
    }
    return counts, spikes
