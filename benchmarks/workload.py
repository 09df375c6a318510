"""What is simulated: a network, images, and the input spikes that every engine gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.conversion import convert
from neuroattack.datasets import load_dataset
from neuroattack.encoding import PoissonEncoder
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.spikes import SpikeTrains
from neuroattack.training.storage import load_model

__all__ = ["Workload", "make_workload"]

_SIZES = (784, 500, 500, 10)

# Standard deviation of each layer's weights in volts per spike. Chosen so that the layers fire
# about as often as those of the model trained on MNIST: per image and 100 steps some 700, 450
# and 20 spikes.
_DEVIATIONS_V = (2.2e-4, 2.7e-4, 5.7e-4)


@dataclass(frozen=True, eq=False)
class Workload:
    """A network and what it is shown.

    Parameters
    ----------
    network : Network
        What to simulate.
    origin : str
        Where it comes from, for a reader.
    dataset : str
        Name of the data set.
    images : float64 array, shape (images, pixels)
        Images shown.
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
        """Time steps T that an image is shown for."""
        return self.inputs.steps

    def encode(self) -> SpikeTrains:
        """Draw the input spikes, as a deployment does."""
        return _encode(self.network, self.images, self.steps)


def make_workload(model: str | None, dataset: str, *, images: int, steps: int) -> Workload:
    """Take the first test images of a data set, and a trained network or a random one.

    Parameters
    ----------
    model : str or None
        File of a trained model; None for random weights.
    dataset : str
        Name of the data set.
    images, steps : int
        Images, and time steps that each is shown for.

    Raises
    ------
    NeuroattackError
        If the model cannot be read, or the data set is not there.
    """
    if model is None:
        network, origin = _random_network(), "random weights with the rates of a trained network"
    else:
        trained = load_model(model)
        network = convert(trained).network
        origin = f"trained ({trained.recipe} on {trained.dataset}, seed {trained.seed})"
    shown = load_dataset(dataset).test.first(images).images
    rows = shown.reshape(images, -1).astype(np.float64)
    return Workload(network, origin, dataset, rows, _encode(network, rows, steps))


def _encode(network: Network, images: NDArray[np.float64], steps: int) -> SpikeTrains:
    return network.input.encoder.encode(
        images, indices=np.arange(len(images)), steps=steps, dt_s=network.dt_s, seed=0
    )


def _random_network() -> Network:
    rng = np.random.default_rng(0)
    names = (INPUT, "hidden1", "hidden2", "output")
    return Network(
        dt_s=1e-3,
        input=Input((28, 28), PoissonEncoder(100.0)),
        populations=tuple(
            Population(name, size, tau_m_s=5.0, threshold_v=5e-3, refractory_steps=1)
            for name, size in zip(names[1:], _SIZES[1:], strict=True)
        ),
        projections=tuple(
            Projection.from_weights(
                names[i], names[i + 1], rng.normal(0, deviation, (_SIZES[i], _SIZES[i + 1]))
            )
            for i, deviation in enumerate(_DEVIATIONS_V)
        ),
        readout="output",
    )
