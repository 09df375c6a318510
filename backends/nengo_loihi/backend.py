"""Emulator ``nengo-loihi``: a second opinion on the arithmetic of Loihi 1."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Availability, Workload
from neuroattack.deployment.features import check_supported
from neuroattack.errors import BackendUnavailableError
from neuroattack.ir.network import Network
from neuroattack.validation import check_positive

from .plan import NengoLoihiPlan
from .simulator import NengoLoihiSimulator

__all__ = ["NengoLoihiEmulator"]


class NengoLoihiEmulator:
    """Emulator of Loihi 1 in nengo-loihi, in a separate worker process.

    It runs networks in the number formats of Loihi 1, as the profile ``loihi1`` makes them. Its
    arithmetic is nengo-loihi's own: spikes may differ from the reference dynamics, see
    ``docs/hardware.md``.

    Parameters
    ----------
    deadline_s : float, optional
        Maximum time of a build or a query in seconds; by default about fifty times the expected
        time, and at least a minute.
    """

    name = "nengo-loihi"
    supported = frozenset(
        {"fixed_point", "synaptic_current", "recurrence", "feedback", "convolution"}
    )

    def __init__(self, deadline_s: float | None = None) -> None:
        self._deadline_s = (
            None
            if deadline_s is None
            else check_positive("nengo-loihi emulator deadline_s", deadline_s, "number of seconds")
        )

    def availability(self) -> Availability:
        """Return whether nengo-loihi is installed, without importing it."""
        try:
            return Availability(True, version=version("nengo-loihi"))
        except PackageNotFoundError:
            return Availability(
                False,
                "nengo-loihi is not installed; run `pip install 'neuroattack[nengo-loihi]'` on "
                "Python 3.10",
            )

    def deploy(
        self, network: Network, workload: Workload = UNKNOWN_WORKLOAD
    ) -> NengoLoihiSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`.

        Raises SimulationError if the worker cannot be started.
        """
        check_supported(self.name, self.supported, network)
        plan = NengoLoihiPlan.of(network)
        state = self.availability()
        if not state.available:
            raise BackendUnavailableError(
                f"emulator 'nengo-loihi' is not available: {state.reason}"
            )
        return NengoLoihiSimulator(network, plan, self._deadline_s, workload)
