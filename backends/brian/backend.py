"""The backends that register: Brian2 as it suits the workload, and Brian2 compiled."""

from __future__ import annotations

from neuroattack.ir.network import Network
from neuroattack.simulation import UNKNOWN_WORKLOAD, Availability, Simulator, Workload

from .library import brian2_availability
from .runtime import RuntimeSimulator

__all__ = ["BrianBackend"]


class BrianBackend:
    """Brian2, in this process."""

    name = "brian2"

    def availability(self) -> Availability:
        """Say whether Brian2 is installed."""
        return brian2_availability()

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> Simulator:
        """Prepare a network to run; see :meth:`neuroattack.simulation.Backend.deploy`."""
        del workload
        return RuntimeSimulator(network)
