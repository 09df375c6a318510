"""Networks in fixed point for the tests of SANA-FE, and the mark of tests that need it."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.network import INPUT, Convolution, FixedPopulation, Input, Network, Projection

installed = pytest.mark.skipif(find_spec("sanafe") is None, reason="needs `pip install sanafe`")

LIMITS = load_profile("loihi1").core_limits()


def layers(*sizes, delay=1, weights=(-60, 90), **parameters):
    """Return a network of fixed-point layers with random weights."""
    rng = np.random.default_rng(5)
    names = [INPUT, *(f"layer{i}" for i in range(1, len(sizes)))]
    defaults = {"leak": 100, "threshold": 6400} | parameters
    populations = tuple(
        FixedPopulation(name, size, **defaults)
        for name, size in zip(names[1:], sizes[1:], strict=True)
    )
    projections = tuple(
        Projection(a, b, rng.integers(*weights, (m, n)) * (rng.random((m, n)) < 0.8), 6, delay)
        for a, b, m, n in zip(names, names[1:], sizes, sizes[1:], strict=False)
    )
    return Network(1e-3, Input((sizes[0],), PoissonEncoder(100.0)), populations, projections,
                   names[-1])  # fmt: skip


def looped(network):
    """Return a network whose last population excites itself, and never falls silent."""
    last = network.populations[-1]
    ring = Projection(last.name, last.name, np.full((last.size, last.size), 120), 6)
    return replace(network, projections=(*network.projections, ring))


def raster(network, images=3, steps=60, rate=0.15):
    return np.random.default_rng(2).random((images, steps, network.input.size)) < rate


def convolution():
    """Return a network with a kernel in two channels, and a dense readout."""
    rng = np.random.default_rng(6)
    kernel = Convolution(INPUT, "maps", rng.integers(-20, 90, (2, 1, 3, 3)), 6, (1, 6, 6))
    maps, readout = FixedPopulation("maps", 32, 10, 9000), FixedPopulation("out", 3, 10, 9000)
    dense = Projection("maps", "out", rng.integers(-60, 90, (32, 3)), 6)
    return Network(1e-3, Input((1, 6, 6), PoissonEncoder(100.0)), (maps, readout), (kernel, dense),
                   "out")  # fmt: skip
