"""Where a result comes from: enough to make it again."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

from neuroattack import __version__

__all__ = ["Provenance", "machine_text", "versions_text"]


@dataclass(frozen=True)
class Provenance:
    """What made a result; :mod:`neuroattack.deployment.provenance` describes deployments.

    Parameters
    ----------
    command : str
        Command line that was given; empty where there was none.
    seed : int
        Of the input spikes.
    dataset, dataset_checksum : str
        Images, and the SHA-256 over them.
    network_checksum : str
        SHA-256 over all that decides the network's spikes.
    backend, backend_version : str
        Name and version of the simulator.
    precision : str
        Arithmetic of the network: ``"floating"`` or ``"fixed"``.
    steps : int
        Time steps T an image is shown for.
    dt_s : float
        Length of a step in seconds.
    versions : str
        Of neuroattack, Python and the libraries that compute.
    machine : str
        Processor architecture and operating system.
    profile, profile_checksum : str
        Hardware profile, and the SHA-256 of its file; empty without one.
    """

    command: str
    seed: int
    dataset: str
    dataset_checksum: str
    network_checksum: str
    backend: str
    backend_version: str
    precision: str
    steps: int
    dt_s: float
    versions: str
    machine: str
    profile: str = ""
    profile_checksum: str = ""


def versions_text() -> str:
    """Return the versions of neuroattack, Python and the libraries that compute."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("NumPy", "SciPy", "numba"))
    return f"neuroattack {__version__}, Python {platform.python_version()}, {libraries}"


def machine_text() -> str:
    """Return processor architecture and operating system."""
    return f"{platform.machine()}, {platform.system()}"
