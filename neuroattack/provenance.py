"""Provenance of a result: the information needed to reproduce it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

from neuroattack import __version__

__all__ = ["Provenance", "machine_text", "versions_text"]


@dataclass(frozen=True)
class Provenance:
    """Provenance of a result; see :mod:`neuroattack.deployment.provenance` for deployments.

    Parameters
    ----------
    command : str
        Command line; empty for results made from Python.
    seed : int
        Random seed of the input spikes.
    dataset, dataset_checksum : str
        Name of the data set, and SHA-256 of its images and labels.
    network_checksum : str
        SHA-256 of everything that determines the network's spikes.
    backend, backend_version : str
        Name and version of the simulator.
    precision : str
        Arithmetic of the network: ``"floating"`` or ``"fixed"``.
    steps : int
        Number of time steps T per image.
    dt_s : float
        Length of a time step in seconds.
    versions : str
        Versions of neuroattack, Python and the numerical libraries.
    machine : str
        Processor architecture and operating system.
    profile, profile_checksum : str
        Hardware profile, and SHA-256 of its file; empty without a profile.
    exit : str
        Rule of early exit; empty if all steps are run.
    device : str
        Device of the backend; empty for its default.
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
    exit: str = ""
    device: str = ""


def versions_text() -> str:
    """Return the versions of neuroattack, Python and the numerical libraries."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("NumPy", "SciPy", "numba"))
    return f"neuroattack {__version__}, Python {platform.python_version()}, {libraries}"


def machine_text() -> str:
    """Return the processor architecture and the operating system."""
    return f"{platform.machine()}, {platform.system()}"
