"""Open deployments as targets: simulated, conventional and served networks."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from neuroattack.deployment.deployment import Deployment
from neuroattack.deployment.spec import DNN, DeploymentSpec
from neuroattack.errors import BackendUnavailableError, FileError, ValidationError
from neuroattack.files import require_file
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network
from neuroattack.targets.black_box import BlackBox, Randomness, Target
from neuroattack.targets.rates import GradedDeployment
from neuroattack.training.dnn.storage import load_mlp

__all__ = ["OpenDeployment", "OpenTarget", "open_target"]

_LARGEST_TOKEN_FILE = 2**16


class OpenTarget(Protocol):
    """Factory of black boxes of a target."""

    def __call__(
        self, stream: int, budget: int | None = None, randomness: Randomness = "independent"
    ) -> Target:
        """Return a black box with this random stream and query budget."""
        ...


@dataclass(frozen=True, eq=False)
class OpenDeployment:
    """Open deployment, which returns black boxes when called.

    Parameters
    ----------
    spec : DeploymentSpec
        Specification of the deployment.
    boxes : OpenTarget
        Factory of black boxes that return counts.
    image_shape : tuple of int
        Shape of one image.
    n_classes : int
        Number of classes.
    deployment : Deployment or None
        Simulated network, for measurements; None for other kinds of targets.
    """

    spec: DeploymentSpec
    boxes: OpenTarget
    image_shape: tuple[int, ...]
    n_classes: int
    deployment: Deployment | None = None

    def __call__(
        self, stream: int, budget: int | None = None, randomness: Randomness = "independent"
    ) -> Target:
        """Return a black box with this random stream and query budget."""
        trials = None if budget is None else budget * self.spec.trials_per_query
        return self.spec.wrap(self.boxes(stream, trials, randomness))


@contextlib.contextmanager
def open_target(
    spec: DeploymentSpec,
    network: Network | Path | None,
    dnn: Path | None = None,
    expected_images: int = 0,
) -> Iterator[OpenDeployment]:
    """Open a deployment for queries.

    Parameters
    ----------
    spec : DeploymentSpec
        Specification of the deployment.
    network : Network, path or None
        Network, or its file; None if the backend is not a simulator.
    dnn : Path, optional
        File of the conventional network.
    expected_images : int, optional
        Total number of images of all queries, if known, for which a backend may prepare.

    Yields
    ------
    OpenDeployment
        Factory of black boxes.

    Raises
    ------
    NeuroattackError
        If a file cannot be read, the network cannot be deployed, or the server cannot be reached.
    """
    if spec.kind == "dnn":
        if dnn is None:
            raise ValidationError(
                "deployment", DNN, "the model file of the conventional network in addition"
            )
        model = load_mlp(dnn)
        graded = GradedDeployment(model.outputs, model.image_shape, model.classes)

        def boxes(
            stream: int, budget: int | None = None, randomness: Randomness = "independent"
        ) -> Target:
            del randomness  # The conventional network is deterministic.
            return graded.black_box(stream, budget)

        yield OpenDeployment(spec, boxes, model.image_shape, model.classes)
    elif spec.kind == "served":
        yield from _served(spec)
    else:
        if network is None:
            raise ValidationError("deployment", str(spec), "a network to deploy")
        loaded = network if isinstance(network, Network) else load_network(network)
        with spec.deploy(loaded, expected_images) as deployment:
            shape, classes = deployment.image_shape, deployment.network.classes
            metered = functools.partial(deployment.black_box, meter=spec.reading)
            yield OpenDeployment(spec, metered, shape, classes, deployment)


def _served(spec: DeploymentSpec) -> Iterator[OpenDeployment]:
    try:
        from neuroattack.remote.client import RemoteTarget
    except ImportError as error:
        raise BackendUnavailableError(
            "served networks need the extra `remote`: pip install 'neuroattack[remote]'"
        ) from error

    with RemoteTarget(spec.backend, token=_token(spec.token_file), ca_file=spec.ca_file) as remote:

        def boxes(
            stream: int, budget: int | None = None, randomness: Randomness = "independent"
        ) -> Target:
            # The server uses its own random numbers, one after the other.
            del stream, randomness
            return BlackBox(remote.query, remote.image_shape, remote.n_classes, budget)

        yield OpenDeployment(spec, boxes, remote.image_shape, remote.n_classes)


def _token(file: str | None) -> str | None:
    """Return the token in a file that contains nothing else."""
    if file is None:
        return None
    path = require_file(Path(file), _LARGEST_TOKEN_FILE, "a file with a bearer token")
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if len(words) != 1 or not words[0].isascii():
        raise FileError(path, f"contains {len(words)} words, expected only a bearer token")
    return words[0]
