"""Provenance of results of a deployment, or of a network on several backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuroattack.deployment.deployment import Deployment
from neuroattack.encoding.early_exit import EarlyExit
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.ir.network import Network, Precision
from neuroattack.provenance import Provenance, machine_text, versions_text

__all__ = ["network_provenance", "provenance_of"]


def provenance_of(
    deployment: Deployment, dataset: str, dataset_checksum: str, command: str
) -> Provenance:
    """Return the provenance of results of a deployment on a data set."""
    return network_provenance(
        deployment.network,
        backends={deployment.backend: deployment.backend_version},
        precisions=[deployment.network.precision],
        steps=deployment.steps,
        seed=deployment.seed,
        dataset=dataset,
        dataset_checksum=dataset_checksum,
        command=command,
        profile=None if deployment.fitted is None else deployment.fitted.profile,
        early_exit=deployment.exit,
        device=deployment.device,
    )


def network_provenance(
    network: Network,
    *,
    backends: Mapping[str, str],
    precisions: Sequence[Precision],
    steps: int,
    seed: int,
    dataset: str,
    dataset_checksum: str,
    command: str,
    profile: Profile | None = None,
    early_exit: EarlyExit | None = None,
    device: str | None = None,
) -> Provenance:
    """Return the provenance of results on several backends, given as name: version."""
    return Provenance(
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
        profile="" if profile is None else profile.id,
        profile_checksum="" if profile is None else profile.checksum,
        exit="" if early_exit is None else str(early_exit),
        device=device or "",
    )
