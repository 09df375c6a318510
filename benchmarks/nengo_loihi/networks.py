"""Spikes of whole networks."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

import neuroattack as na
from benchmarks.nengo_loihi.table import Row, layer
from neuroattack.deployment.backend import load_backend
from neuroattack.encoding.images import validate_images
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import INPUT, Network, Population, Projection

IMAGES = 100


def random_network(rng: np.random.Generator) -> tuple[Network, Any]:
    """Return a recurrent network with leak, currents and biases on the chip, and its input."""
    sizes = [int(rng.integers(20, 61)) for _ in range(4)]
    names = [INPUT, "a", "b", "c"]
    populations = [
        Population(
            name,
            size,
            float(rng.choice([0.01, 0.1, 5.0])),
            rng.uniform(0.5, 2.0, size),
            bias_v=rng.normal(0, 0.02, size) if rng.random() < 0.5 else 0.0,
            refractory_steps=int(rng.integers(0, 6)),
            tau_syn_s=float(rng.choice([0.0, 0.002, 0.01])),
        )
        for name, size in zip(names[1:], sizes[1:], strict=True)
    ]
    ends = [(0, 1), (1, 2), (2, 3), (0, 3), (2, 2), (3, 1)]
    projections = [
        Projection.from_weights(names[i], names[j], rng.normal(0.03, 0.15, (sizes[i], sizes[j])))
        for i, j in ends
    ]
    network = quantize(layer(sizes[0], populations, projections), fixed_format()).network
    return network, rng.random((4, 200, sizes[0])) < rng.uniform(0.02, 0.3, (4, 1, 1))


def spikes_row(aspect: str, cases: list[tuple[Network, SpikeTrains]]) -> tuple[Row, dict[str, int]]:
    """Compare the spikes of all neurons in all steps; also return sums over the networks."""
    compared = differing = spikes = largest = 0
    for network, given in cases:
        with closing(load_backend("native").deploy(network)) as simulator:
            own = simulator.run(given, record_spikes=True).spikes
        with closing(load_backend("nengo-loihi").deploy(network)) as simulator:
            found = simulator.run(given, record_spikes=True).spikes
        rasters = {name: each.to_dense() for name, each in own.items()}
        for name in (each.name for each in network.populations):
            compared += rasters[name].size
            spikes += int(rasters[name].sum())
            differing += int((rasters[name] != found[name].to_dense()).sum())
            largest = max(largest, largest_sum(network, rasters, name))
    return Row(aspect, compared, differing, differing), {"spikes": spikes, "largest_sum": largest}


def largest_sum(network: Network, rasters: dict[str, Any], name: str) -> int:
    """Return the largest magnitude of the sums of weights that arrive in one step."""
    images, steps, _ = rasters[INPUT].shape
    sums = np.zeros((images, steps, network.sizes[name]))
    for each in network.incoming(name):
        weights = each.dense().grid.astype(np.float64) * 2.0**each.exponent
        late = each.delay_steps
        sums[:, late:] += rasters[each.source][:, : steps - late].astype(np.float64) @ weights
    return int(np.abs(sums).max())


def trained(path: str, dataset: str) -> list[tuple[Network, SpikeTrains]]:
    """Return a network in the profile's formats and the input of the first test images."""
    test = na.load_dataset(dataset).test[:IMAGES]
    with na.deploy(na.load(path), profile="loihi1") as model:
        network = model.network
        spikes = network.input.encoder.encode(
            validate_images(test.images, network.input.shape),
            indices=np.arange(len(test)),
            steps=model.steps,
            dt_s=network.dt_s,
            seed=model.seed,
        )
    return [(network, spikes)]
