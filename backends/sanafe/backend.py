"""Emulator SANA-FE: networks in fixed point on its description of Loihi."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Availability, Workload
from neuroattack.deployment.features import check_supported
from neuroattack.errors import BackendUnavailableError
from neuroattack.hardware.placement.placement import place
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.network import Network
from neuroattack.validation import check_positive

from .plan import SanafePlan
from .simulator import SanafeSimulator

__all__ = ["SanafeBackend", "availability"]


def availability() -> Availability:
    """Return whether SANA-FE is installed, without importing it."""
    try:
        return Availability(True, version=version("sanafe"))
    except PackageNotFoundError:
        return Availability(False, "sanafe is not installed; run `pip install sanafe`")


class SanafeBackend:
    """SANA-FE's model of Loihi's neurons in a separate worker process.

    Neurons are placed on cores under the limits of the profile ``loihi1``.

    Parameters
    ----------
    deadline_s : float, optional
        Maximum time of a build or a query in seconds; by default about fifty times the expected
        time, and at least a minute.
    """

    name = "sanafe"
    supported = frozenset({"fixed_point", "recurrence", "feedback", "convolution"})

    def __init__(self, deadline_s: float | None = None) -> None:
        self._deadline_s = (
            None
            if deadline_s is None
            else check_positive("sanafe deadline_s", deadline_s, "number of seconds")
        )

    def availability(self) -> Availability:
        """Return whether SANA-FE is installed, without importing it."""
        return availability()

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> SanafeSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`.

        Raises SimulationError if the worker cannot be started.
        """
        check_supported(self.name, self.supported, network)
        plan = SanafePlan.of(network, place(network, load_profile("loihi1").core_limits()))
        state = availability()
        if not state.available:
            raise BackendUnavailableError(f"backend 'sanafe' is not available: {state.reason}")
        return SanafeSimulator(network, plan, self._deadline_s, workload)
