"""Sides of a diagnosis: deployments, and files with recorded spikes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import EVALUATION_STREAM
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.deployment.spike_files import RecordedSpikes, load_spikes
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.images import validate_images
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError, ValidationError
from neuroattack.ir.network import INPUT, Network

__all__ = ["Recorded", "Side", "record", "side_from_text"]

Side = DeploymentSpec | Path
"""Deployment, or path of a file with recorded spikes."""

_SUFFIX = ".npz"


def side_from_text(text: str, *, steps: int, seed: int) -> Side:
    """Return a deployment such as ``native,profile=loihi1``, or the path of an npz file.

    Raises
    ------
    ValidationError, UnknownNameError, BackendUnavailableError
        As :meth:`neuroattack.deployment.spec.DeploymentSpec.from_text`; also if the text sets the
        number of time steps or the seed, which are the same on both sides.
    """
    if text.endswith(_SUFFIX):
        return Path(text)
    spec = DeploymentSpec.from_text(text)
    for name in ("steps", "seed"):
        if f"{name}=" in text.replace(" ", ""):
            raise ValidationError(
                f"{name} of deployment {text!r}",
                str(getattr(spec, name)),
                f"none: both sides have the same, set by --{name}",
            )
    if spec.kind != "network":
        raise ValidationError("deployment", repr(text), "a simulated network, or an npz file")
    return replace(spec, steps=steps, seed=seed)


@dataclass(frozen=True, eq=False)
class Recorded:
    """Recorded spikes of a side, and the network that it simulates.

    Parameters
    ----------
    name : str
        Deployment or file.
    network : Network
        Network of the side, in its precision; for a file, the original network.
    recorded : RecordedSpikes
        Recorded spikes.
    values : float64 array, shape (images, pixels), or None
        Input values with direct coding.
    potentials : float64 array, shape (images, classes), or None
        Output potentials, if they are the output of the network and were recorded.
    version : str
        Version of the simulator; empty for a file.
    """

    name: str
    network: Network
    recorded: RecordedSpikes
    values: NDArray[np.float64] | None = None
    potentials: NDArray[np.float64] | None = None
    version: str = ""

    def outputs(self) -> NDArray[np.int32] | NDArray[np.float64] | None:
        """Return the outputs, shape (images, classes): spike counts or potentials.

        None if potentials are the output of the network, but were not recorded.
        """
        if self.network.readout_quantity != "spike_count":
            return self.potentials
        return self.recorded.spikes[self.network.readout].counts()


def record(
    network: Network,
    images: NDArray[np.float32],
    sides: tuple[Side, Side],
    *,
    steps: int,
    seed: int,
) -> tuple[Recorded, Recorded]:
    """Record the spikes of both sides for the same input.

    If a file has the spikes of its input, a deployment on the other side is run on these;
    otherwise, images are encoded from the seed.

    Parameters
    ----------
    network : Network
        Network of both sides.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; at least as many as in the files, if they are encoded.
    sides : pair of DeploymentSpec or Path
        The two sides.
    steps, seed : int
        Number of time steps per image, and random seed of the input spikes.

    Raises
    ------
    ValidationError
        If the two cannot be compared.
    NeuroattackError
        If a side cannot be read or run.
    """
    files = {
        i: load_spikes(side, network) for i, side in enumerate(sides) if isinstance(side, Path)
    }
    if files:
        shapes = {(each.images, each.steps) for each in files.values()}
        if len(shapes) > 1:
            one, other = sorted(shapes)
            raise ValidationError(
                "recorded spikes", f"{one} images and time steps", f"{other}, as in the other file"
            )
        count, steps = shapes.pop()
        images = images[:count]
    inputs = next((each.spikes[INPUT] for each in files.values() if INPUT in each.spikes), None)
    if files and len(images) < count and (inputs is None or _is_direct(network)):
        raise ValidationError("images", len(images), f"at least the {count} of the recorded spikes")
    first, second = (
        _read(network, images, side, files[i])
        if isinstance(side, Path)
        else _run(network, images, side, inputs, steps, seed)
        for i, side in enumerate(sides)
    )
    return first, second


def _run(
    network: Network,
    images: NDArray[np.float32],
    spec: DeploymentSpec,
    inputs: SpikeTrains | None,
    steps: int,
    seed: int,
) -> Recorded:
    spec = replace(spec, steps=steps, seed=seed)
    count = len(images) if inputs is None else len(inputs)
    if spec.exit is not None:
        raise ValidationError(
            f"early exit of {_name(spec)}", spec.exit, "none: spikes of all time steps are compared"
        )
    with spec.deploy(network, count) as deployment:
        if inputs is None:
            found = deployment.record(images, indices=np.arange(count), record_spikes=True)
        elif _is_direct(deployment.network):
            raise ValidationError(
                f"input of {_name(spec)}", "recorded spikes", "the values of images, not spikes"
            )
        else:
            found = Recording.concatenate([
                deployment.simulator.run(inputs[batch], record_spikes=True)
                for batch in deployment.batches(count, record_spikes=True)
            ])  # fmt: skip
        if found.spikes is None:
            raise SimulationError(f"backend {spec.backend!r} recorded no spikes")
        return Recorded(
            _name(spec),
            deployment.network,
            RecordedSpikes(count, steps, found.spikes),
            _values(deployment.network, images),
            found.potentials,
            deployment.backend_version,
        )


def _read(
    network: Network, images: NDArray[np.float32], path: Path, recorded: RecordedSpikes
) -> Recorded:
    potentials = recorded.potentials.get(network.readout)
    if network.readout_quantity == "spike_count" or potentials is None:
        outputs = None
    elif network.readout_quantity == "final_potential":
        outputs = potentials[:, -1]
    else:
        outputs = potentials.max(axis=1)
    values = None if INPUT in recorded.spikes else _values(network, images)
    return Recorded(str(path), network, recorded, values, outputs)


def _is_direct(network: Network) -> bool:
    return isinstance(network.input.encoder, DirectEncoder)


def _name(spec: DeploymentSpec) -> str:
    """Return the deployment without the settings that both sides share."""
    return str(replace(spec, steps=DeploymentSpec.steps, seed=DeploymentSpec.seed))


def _values(network: Network, images: NDArray[np.float32]) -> NDArray[np.float64] | None:
    encoder = network.input.encoder
    if not isinstance(encoder, DirectEncoder):
        return None
    rows = validate_images(images, network.input.shape)
    inputs = encoder.encode(
        rows, indices=np.arange(len(rows)), steps=1, dt_s=network.dt_s, seed=0,
        stream=EVALUATION_STREAM,
    )  # fmt: skip
    return inputs.intensities()
