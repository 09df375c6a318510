"""Lava backend, spike-for-spike identical to the reference dynamics."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Availability, Workload
from neuroattack.deployment.features import check_supported
from neuroattack.errors import BackendUnavailableError
from neuroattack.ir.network import Network
from neuroattack.validation import check_integer, check_positive

from .simulator import LavaSimulator

__all__ = ["LavaBackend"]


class LavaBackend:
    """Lava's simulator in a separate worker process.

    Parameters
    ----------
    block_steps : int, optional
        Number of time steps simulated per Lava step. Larger blocks are faster, because messages
        between processes dominate the time; the spikes do not depend on it.
    deadline_s : float, optional
        Maximum time of a build or a query in seconds; by default about fifty times the expected
        time, and at least a minute.
    """

    name = "lava"
    supported = frozenset(
        {
            "fixed_point",
            "per_neuron_parameters",
            "subtractive_reset",
            "delayed_subtraction",
            "inclusive_threshold",
            "synaptic_current",
            "late_input",
            "recurrence",
            "feedback",
            "same_step_arrival",
            "convolution",
            "direct_input",
            "potential_readout",
            "recurrent_bias",
            "fast_decay",
        }
    )

    def __init__(self, block_steps: int = 10, deadline_s: float | None = None) -> None:
        self._block_steps = check_integer("lava backend block_steps", block_steps, 1)
        self._deadline_s = (
            None
            if deadline_s is None
            else check_positive("lava backend deadline_s", deadline_s, "number of seconds")
        )

    def availability(self) -> Availability:
        """Return whether lava-nc is installed, without importing it."""
        try:
            return Availability(True, version=version("lava-nc"))
        except PackageNotFoundError:
            install = "run `pip install 'neuroattack[lava]'`"
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            if python == "3.10":
                return Availability(False, f"lava-nc is not installed; {install}")
            only = f"lava-nc can only be installed on Python 3.10, and this is Python {python}"
            return Availability(False, f"{only}; {install} on Python 3.10")

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> LavaSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`.

        Raises SimulationError if the worker cannot be started.
        """
        check_supported(self.name, self.supported, network)
        state = self.availability()
        if not state.available:
            raise BackendUnavailableError(f"backend 'lava' is not available: {state.reason}")
        return LavaSimulator(network, self._block_steps, self._deadline_s, workload)
