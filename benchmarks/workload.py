"""The simulated workload: a network, images, and the input spikes that every engine gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Options
from neuroattack.backends.native import NativeBackend
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import Recording
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.training.conversion import convert
from neuroattack.training.storage import load_model

__all__ = ["Workload", "check_recording", "encode", "layered_network", "make_workload"]

_SIZES = (784, 500, 500, 10)

# Close to the rates of the hidden layers of the model trained on MNIST, 15 and 10 Hz.
_RATE_HZ = 12.0
_CALIBRATED_ON_STEPS = 100
_CALIBRATED_NEURONS = 200


@dataclass(frozen=True, eq=False)
class Workload:
    """A network and its input.

    Parameters
    ----------
    network : Network
        Network to simulate.
    origin : str
        Origin of the network, for display.
    dataset : str
        Name of the data set.
    images : float64 array, shape (images, pixels)
        Images to simulate.
    inputs : SpikeTrains
        Their input spikes, the same for every engine.
    """

    network: Network
    origin: str
    dataset: str
    images: NDArray[np.float64]
    inputs: SpikeTrains

    @property
    def steps(self) -> int:
        """Time steps T per image."""
        return self.inputs.steps

    def encode(self) -> SpikeTrains:
        """Generate the input spikes, as a deployment does."""
        return encode(self.network, self.images, self.steps)

    def with_steps(self, steps: int) -> Workload:
        """Return the same network and images with another number of steps."""
        inputs = encode(self.network, self.images, steps)
        return Workload(self.network, self.origin, self.dataset, self.images, inputs)


def make_workload(options: Options, *, images: int, steps: int) -> Workload:
    """Return the first test images of a data set, with a trained or a random network.

    Parameters
    ----------
    options : Options
        Options with the model and the data set.
    images, steps : int
        Number of images, and time steps per image.

    Raises
    ------
    NeuroattackError
        If the model cannot be read, or the data set is not available.
    """
    shown = load_dataset(options.dataset).test.first(images).images
    rows = shown.reshape(images, -1).astype(np.float64)
    if options.model is None:
        network = layered_network(_SIZES, rows)
        origin = f"random weights, layers firing at {_RATE_HZ:g} Hz"
    else:
        trained = load_model(options.model)
        network = convert(trained).network
        origin = f"trained ({trained.recipe} on {trained.dataset}, seed {trained.seed})"
    return Workload(network, origin, options.dataset, rows, encode(network, rows, steps))


def encode(network: Network, images: NDArray[np.float64], steps: int) -> SpikeTrains:
    """Generate the input spikes of images of shape (images, pixels), with indices from 0."""
    return network.input.encoder.encode(
        images, indices=np.arange(len(images)), steps=steps, dt_s=network.dt_s, seed=0
    )


def check_recording(
    network: Network, inputs: SpikeTrains, recording: Recording, *, images: int
) -> None:
    """Raise RuntimeError unless counts, and spikes if any, equal the reference dynamics.

    Parameters
    ----------
    network : Network
        Network that was simulated.
    inputs : SpikeTrains
        Its input spikes.
    recording : Recording
        Recording of the simulation.
    images : int
        Number of images to check, from the first.
    """
    for image, raster in enumerate(inputs[:images].to_dense()):
        for name, spikes in simulate(network, raster).items():
            same = np.array_equal(recording.counts[name][image], spikes.sum(axis=0))
            if recording.spikes is not None:
                found = recording.spikes[name][image : image + 1].to_dense()[0]
                same = same and np.array_equal(found, spikes)
            if not same:
                raise RuntimeError(f"spikes of {name!r} differ from the reference dynamics")


def layered_network(sizes: Sequence[int], images: NDArray[np.float64]) -> Network:
    """Return a chain of layers with random weights, scaled so that each layer fires at 12 Hz.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of the input, of each layer, and of the readout.
    images : float64 array, shape (images, pixels)
        Images for the calibration; the first ones are used.
    """
    rng = np.random.default_rng(0)
    names = (INPUT, *(f"hidden{layer}" for layer in range(1, len(sizes) - 1)), "output")
    populations: tuple[Population, ...] = ()
    projections: tuple[Projection, ...] = ()
    for source, name, before, size in zip(names, names[1:], sizes, sizes[1:], strict=False):
        deviation_v = 5e-4
        for _ in range(5):
            # The rate of a neuron does not depend on the size of its layer.
            few = min(size, _CALIBRATED_NEURONS)
            weights = rng.normal(0, deviation_v, (before, few))
            trial = _network(
                (*populations, _population(name, few)),
                (*projections, Projection.from_weights(source, name, weights)),
            )
            deviation_v *= (_RATE_HZ / max(_rate_hz(trial, images[:10]), 1.0)) ** 0.5
        populations = (*populations, _population(name, size))
        weights = rng.normal(0, deviation_v, (before, size))
        projections = (*projections, Projection.from_weights(source, name, weights))
    return _network(populations, projections)


def _population(name: str, size: int) -> Population:
    return Population(name, size, tau_m_s=5.0, threshold_v=np.asarray(5e-3), refractory_steps=1)


def _network(populations: Sequence[Population], projections: Sequence[Projection]) -> Network:
    return Network(
        dt_s=1e-3,
        input=Input((28, 28), PoissonEncoder(100.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=populations[-1].name,
    )


def _rate_hz(network: Network, images: NDArray[np.float64]) -> float:
    inputs = encode(network, images, _CALIBRATED_ON_STEPS)
    counts = NativeBackend(threads=1).deploy(network).run(inputs).counts[network.readout]
    return float(counts.mean()) / (_CALIBRATED_ON_STEPS * network.dt_s)
