"""NEST backend, spike-for-spike identical to the reference dynamics."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Availability, Workload
from neuroattack.deployment.features import check_supported
from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError
from neuroattack.ir.network import Network
from neuroattack.validation import check_positive

from .simulator import NestSimulator

__all__ = ["NestBackend"]

# NEST stores synapses one by one, also those of convolutions: about 1 GiB.
_MOST_SYNAPSES = 2**24


class NestBackend:
    """NEST's ``iaf_psc_delta`` neurons in a separate worker process.

    Parameters
    ----------
    deadline_s : float, optional
        Maximum time of a build or a query in seconds; by default about fifty times the expected
        time, and at least a minute.
    """

    name = "nest"
    supported = frozenset(
        {
            "per_neuron_parameters",
            "inclusive_threshold",
            "recurrence",
            "feedback",
            "same_step_arrival",
            "convolution",
        }
    )

    def __init__(self, deadline_s: float | None = None) -> None:
        self._deadline_s = (
            None
            if deadline_s is None
            else check_positive("nest backend deadline_s", deadline_s, "number of seconds")
        )

    def availability(self) -> Availability:
        """Return whether NEST is installed, without importing it."""
        try:
            return Availability(True, version=version("nest-simulator"))
        except PackageNotFoundError:
            return Availability(
                False, "nest-simulator is not installed; run `pip install 'neuroattack[nest]'`"
            )

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> NestSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`.

        Raises SimulationError if the worker cannot be started.
        """
        check_supported(self.name, self.supported, network)
        synapses = sum(projection.connections for projection in network.projections)
        if synapses > _MOST_SYNAPSES:
            raise UnsupportedFeatureError(
                f"backend 'nest' stores every synapse: got {synapses:,} connections, expected at "
                f"most {_MOST_SYNAPSES:,}"
            )
        state = self.availability()
        if not state.available:
            raise BackendUnavailableError(f"backend 'nest' is not available: {state.reason}")
        return NestSimulator(network, self._deadline_s, workload)
