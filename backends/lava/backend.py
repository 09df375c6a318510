"""The Lava backend: networks on Lava's simulation of Loihi, spike for spike the plain dynamics."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Availability, Workload
from neuroattack.errors import BackendUnavailableError
from neuroattack.ir.network import Network
from neuroattack.validation import check_positive, check_whole

from .simulator import LavaSimulator

__all__ = ["LavaBackend"]


class LavaBackend:
    """Lava's simulator, in a worker process of its own.

    Parameters
    ----------
    block_steps : int, optional
        Time steps that one Lava step simulates. Messages between processes are what costs, so
        more is faster; the spikes do not depend on it.
    deadline_s : float, optional
        Seconds that a build or a query may take at most; by default some fifty times what its
        work takes, and a minute at least.
    """

    name = "lava"

    def __init__(self, block_steps: int = 10, deadline_s: float | None = None) -> None:
        self._block_steps = check_whole("lava backend block_steps", block_steps, 1)
        self._deadline_s = (
            None
            if deadline_s is None
            else check_positive("lava backend deadline_s", deadline_s, "number of seconds")
        )

    def availability(self) -> Availability:
        """Say whether lava-nc is installed, without importing it."""
        try:
            return Availability(True, version=version("lava-nc"))
        except PackageNotFoundError:
            install = "run `pip install 'neuroattack[lava]'`"
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            if python == "3.10":
                return Availability(False, f"lava-nc is not installed; {install}")
            only = f"lava-nc installs on Python 3.10 only, and this is {python}"
            return Availability(False, f"{only}; {install} on Python 3.10")

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> LavaSimulator:
        """Prepare a network to run; supports every feature of the IR.

        Raises BackendUnavailableError if lava-nc is missing, and SimulationError if the worker
        could not be started.
        """
        state = self.availability()
        if not state.available:
            raise BackendUnavailableError(f"backend 'lava' is not available: {state.reason}")
        return LavaSimulator(network, self._block_steps, self._deadline_s, workload)
