"""Where a result comes from: enough to make it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numba
import numpy
import scipy

from neuroattack import __version__
from neuroattack.deployment.deployment import Deployment
from neuroattack.ir.network import Network, Precision

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.profile import Profile

__all__ = ["Provenance", "machine_text", "versions_text"]


@dataclass(frozen=True)
class Provenance:
    """What made a result.

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
        Chip whose numbers the network was held in, and the SHA-256 of its file; empty without one.
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

    @classmethod
    def of(
        cls, deployment: Deployment, dataset: str, dataset_checksum: str, command: str
    ) -> Provenance:
        """Describe results of a deployment on a data set, in this process."""
        chip = None if deployment.fitted is None else deployment.fitted.profile
        described = cls.of_network(
            deployment.network,
            backends={deployment.backend: deployment.backend_version},
            precisions=[deployment.network.precision],
            steps=deployment.steps,
            seed=deployment.seed,
            dataset=dataset,
            dataset_checksum=dataset_checksum,
            command=command,
        )
        return described if chip is None else described.on(chip)

    def on(self, chip: Profile) -> Provenance:
        """Return the same of a network held as a chip would."""
        return replace(self, profile=chip.id, profile_checksum=chip.checksum)

    @classmethod
    def of_network(
        cls,
        network: Network,
        *,
        backends: Mapping[str, str],
        precisions: Sequence[Precision],
        steps: int,
        seed: int,
        dataset: str,
        dataset_checksum: str,
        command: str,
    ) -> Provenance:
        """Describe results of a network on several backends, their versions by their names."""
        return cls(
            command=command,
            seed=seed,
            dataset=dataset,
            dataset_checksum=dataset_checksum,
            network_checksum=network.checksum(),
            backend=", ".join(backends),
            backend_version=", ".join(backends.values()),
            precision=", ".join(precisions),
            steps=steps,
            dt_s=network.dt_s,
            versions=versions_text(),
            machine=machine_text(),
        )


def versions_text() -> str:
    """Return the versions of neuroattack, Python and the libraries that compute."""
    return (
        f"neuroattack {__version__}, Python {platform.python_version()}, "
        f"NumPy {numpy.__version__}, SciPy {scipy.__version__}, numba {numba.__version__}"
    )


def machine_text() -> str:
    """Return processor architecture and operating system."""
    return f"{platform.machine()}, {platform.system()}"
