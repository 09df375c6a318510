"""Registered Brian2 backends: automatic choice of the mode, and standalone mode."""

from __future__ import annotations

import logging

from neuroattack.deployment.backend import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Simulator,
    Workload,
)
from neuroattack.encoding.constant import InputSignal
from neuroattack.errors import BackendUnavailableError
from neuroattack.ir.network import Network

from .importing import brian2_availability
from .runtime import RuntimeSimulator
from .standalone.builds import find_build, missing_tools
from .standalone.simulation import StandaloneSimulator
from .support import SUPPORTED, check_supported

__all__ = ["BrianBackend", "BrianStandaloneBackend"]

_LOGGER = logging.getLogger(__name__)

# Total number of steps from which building a standalone network saves time. For a 784-500-500-10
# network, building takes 17 to 32 s on two cores; a step in this process takes 0.35 ms.
_BUILDING_PAYS_FROM = 75_000


class BrianBackend:
    """Brian2 in standalone mode if this saves time or a build exists, else in this process."""

    name = "brian2"
    supported = SUPPORTED

    def availability(self) -> Availability:
        """Return whether Brian2 is installed."""
        return brian2_availability()

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> Simulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`."""
        check_supported(self.name, network)
        pays = workload.images * workload.steps >= _BUILDING_PAYS_FROM
        return _EitherSimulator(network, workload if pays else UNKNOWN_WORKLOAD)


class BrianStandaloneBackend:
    """Brian2 in standalone mode: a network is built once per number of steps."""

    name = "brian2-standalone"
    supported = SUPPORTED

    def availability(self) -> Availability:
        """Return whether Brian2 and a compiler are installed."""
        missing = missing_tools()
        return Availability(not missing, missing, brian2_availability().version)

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> Simulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`."""
        check_supported(self.name, network)
        return StandaloneSimulator(network, workload)


class _EitherSimulator:
    """Simulator that runs an existing build, or Brian2 in this process if no build works."""

    def __init__(self, network: Network, to_build: Workload) -> None:
        self._network = network
        self._in_process: RuntimeSimulator | None = None
        self._built: dict[int, StandaloneSimulator | None] = {}
        if to_build.steps and not missing_tools():
            try:
                self._built[to_build.steps] = StandaloneSimulator(network, to_build)
            except BackendUnavailableError as error:
                self._run_in_process_instead(to_build.steps, error)

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        steps = inputs.steps
        if steps not in self._built:
            found = find_build(self._network, steps)
            self._built[steps] = None if found is None else StandaloneSimulator(self._network)
        built = self._built[steps]
        if built is not None:
            try:
                return built.run(inputs, record_spikes=record_spikes)
            except BackendUnavailableError as error:
                self._run_in_process_instead(steps, error)
        if self._in_process is None:
            self._in_process = RuntimeSimulator(self._network)
        return self._in_process.run(inputs, record_spikes=record_spikes)

    def close(self) -> None:
        if self._in_process is not None:
            self._in_process.close()

    def _run_in_process_instead(self, steps: int, error: BackendUnavailableError) -> None:
        _LOGGER.warning("%s; Brian2 simulates in this process, which is slower", error)
        self._built[steps] = None
