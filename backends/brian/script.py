"""Export of a network as a self-contained Brian2 script, for further work in Brian2."""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.encoding.encoders import RateEncoder, RegularEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import FixedPopulation, Network, Population, Projection

from .support import check_supported

__all__ = ["brian2_script"]

_SCRIPT = '''\
"""A spiking network of leaky integrate-and-fire neurons, in Brian2.

    python net.py [IMAGE.npy] [--steps T] [--seed S]

simulates the network with one image (an array of shape @SHAPE@ with intensities from 0 to 1; by
default a ramp from dark to bright) and prints the spike counts. It needs only Brian2 and NumPy.

Written by neuroattack @VERSION@ from the network with the checksum
@CHECKSUM@.
For the same image and seed, the spikes are identical to those in neuroattack for the first image
of random stream 0.
"""

import argparse
import base64
import math
import zlib

import numpy as np
from brian2 import (
    Clock,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    prefs,
    second,
)

# Leaky integrate-and-fire neurons. Potentials are in volts, relative to rest.
EQUATIONS = """
dv/dt = -v / tau_m : 1 (unless refractory)
I : 1                    # sum of the weights that have arrived since the last step
bias : 1 (constant)      # constant input per step
threshold : 1 (constant)
"""

DT_S = @DT@
IMAGE_SHAPE = @SHAPE@
MAX_RATE_HZ = @RATE@  # spike rate of a pixel of intensity 1
READOUT = @READOUT@  # population whose spike counts are the output, one neuron per class

# Values that differ between neurons, and the weights, are in DATA at the end of this file.
POPULATIONS = {
@POPULATIONS@
}

# Delays are in time steps, at least 1.
PROJECTIONS = [
@PROJECTIONS@
]


def one_step(decay):
    """Return a state updater for Brian2: multiply v by the decay, then add the input.

    Brian2's method "exact" solves the same equation, but computes exp() with NumPy or C++, which
    may differ in the last bit. Here, the decay is a fixed number.
    """
    return lambda equations, variables, method_options=None: f"""
        v = v * {decay!r}
        v = v + (I + bias)
        I = 0
    """


def build(source, clock):
    """Return the neuron groups by population, and the synapses."""
    groups = {"input": source}
    for number, (name, p) in enumerate(POPULATIONS.items(), 1):
        # In Brian2, the refractory period includes the step of the spike.
        refractory = (p["refractory_steps"] + 1) * DT_S * second
        group = NeuronGroup(
            p["size"],
            EQUATIONS,
            method=one_step(math.exp(-DT_S / p["tau_m_s"])),
            threshold="v > threshold",
            reset="v = v_reset",
            refractory=refractory,
            namespace={"tau_m": p["tau_m_s"] * second, "v_reset": p["reset"]},
            clock=clock,
            name=f"population_{number}_{name}",
        )
        group.threshold = numbers(p["threshold"])
        group.bias = numbers(p["bias"])
        group.lastspike = -refractory  # no neuron is refractory at the start
        groups[name] = group
    synapses = []
    for number, p in enumerate(PROJECTIONS):
        pathway = Synapses(
            groups[p["source"]],
            groups[p["target"]],
            "w : 1 (constant)",
            on_pre="I_post += w",
            # I is added to v at the start of the next step, which is one step of the delay.
            delay=(p["delay_steps"] - 1) * DT_S * second,
            clock=clock,
            name=f"synapses_{number}",
        )
        weights = read_weights(p["weights"], groups[p["source"]].N, groups[p["target"]].N)
        pre, post = np.nonzero(weights)
        pathway.connect(i=pre, j=post)
        pathway.w = weights[pre, post]
        synapses.append(pathway)
    return groups, synapses


@ENCODER@


def simulate(raster):
    """Return the spike counts of every population, given input spikes (steps, pixels)."""
    clock = Clock(dt=DT_S * second, name="clock_of_network")
    step, pixel = np.nonzero(raster)
    source = SpikeGeneratorGroup(
        raster.shape[1], pixel, step * DT_S * second, clock=clock, name="population_input"
    )
    groups, synapses = build(source, clock)
    spikes = {name: SpikeMonitor(groups[name], name=f"spikes_{name}") for name in POPULATIONS}
    network = Network(*groups.values(), *synapses, *spikes.values())
    network.run(len(raster) * DT_S * second)
    return {name: np.array(monitor.count) for name, monitor in spikes.items()}


def main():
    """Simulate the network with one image, and print its spike counts."""
    parser = argparse.ArgumentParser(description="Simulate the network with one image.")
    parser.add_argument("image", nargs="?", help="NumPy file (.npy) with intensities from 0 to 1")
    parser.add_argument("--steps", type=int, default=100, help="number of time steps")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the input spikes")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.seed < 0:
        parser.error("expected at least one step, and a seed of at least 0")
    pixels = math.prod(IMAGE_SHAPE)
    if arguments.image is None:
        image = np.linspace(0, 1, pixels)
    else:
        try:
            image = np.load(arguments.image, allow_pickle=False).astype(np.float64)
        except (OSError, ValueError) as error:
            parser.error(f"{arguments.image}: expected a NumPy file (.npy): {error}")
    if image.size != pixels or not ((image >= 0) & (image <= 1)).all():
        parser.error(f"expected an image of shape {IMAGE_SHAPE} with intensities from 0 to 1")
    # For a single image, compiling the model (Brian2's default) would be slower.
    prefs.codegen.target = "numpy"
    counts = simulate(encode(image, arguments.steps, arguments.seed))
    for name, of_neurons in counts.items():
        print(f"{name}: {of_neurons.sum()} spikes")
    print("spikes by class:", *counts[READOUT])


def numbers(value):
    """Return one value for all neurons, or an array with one value per neuron."""
    return np.frombuffer(unpack(DATA[value]), "<f8") if isinstance(value, str) else value


def read_weights(name, rows, columns):
    """Return the weights in volts per spike: integers times a power of two, so sums are exact."""
    exponent, text = DATA[name]
    # Stored by byte planes, the lowest bytes of all numbers first, for better compression.
    planes = np.frombuffer(unpack(text), np.uint8).reshape(4, -1)
    mantissas = np.ascontiguousarray(planes.T).view("<i4").reshape(rows, columns)
    return np.ldexp(mantissas.astype(np.float64), exponent)


def unpack(text):
    """Return the bytes encoded in a block of text."""
    return zlib.decompress(base64.b64decode(text))


DATA = {
@DATA@
}

if __name__ == "__main__":
    main()
'''

_POISSON = '''\
def threefry(key, counter0, counter1):
    """Return two words of random bits: Threefry-2x32 with 20 rounds (Salmon et al., SC 2011).

    Arguments and results are arrays of unsigned 32-bit words.
    """
    keys = (key[:1], key[1:], key[:1] ^ key[1:] ^ np.uint32(0x1BD11BDA))
    x0, x1 = counter0 + keys[0], counter1 + keys[1]
    for number in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[number % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(rotation) | x1 >> np.uint32(32 - rotation)) ^ x0
        x0 = x0 + keys[(number + 1) % 3]
        x1 = x1 + keys[(number + 2) % 3] + np.uint32(number + 1)
    return x0, x1


def encode(image, steps, seed):
    """Return Poisson input spikes as a raster of shape (steps, pixels)."""
    probability = image.ravel() * (MAX_RATE_HZ * DT_S)
    stream_key = np.random.SeedSequence(seed, spawn_key=(0,)).generate_state(2)
    image_key = np.concatenate(threefry(stream_key, np.uint32([0]), np.uint32([0])))
    pixel = np.arange(probability.size, dtype=np.uint32)
    # A block has 16 random bits for each of four steps. Two blocks give 32 bits, upper half first.
    block = np.arange((steps + 3) // 4, dtype=np.uint32)[:, None]
    random = 0
    for first in (0, 2**31):
        x0, x1 = threefry(image_key, pixel, block + np.uint32(first))
        halves = np.stack([x0 & 0xFFFF, x0 >> 16, x1 & 0xFFFF, x1 >> 16], axis=1)
        random = random * 2.0**16 + halves.reshape(-1, pixel.size)[:steps]
    return random < probability * 2.0**32
'''

_REGULAR = '''\
def encode(image, steps, seed):
    """Return evenly spaced input spikes as a raster of shape (steps, pixels)."""
    # A pixel spikes whenever its expected spike count reaches n + 1/2; the seed is not used.
    probability = image.ravel() * (MAX_RATE_HZ * DT_S)
    due = np.floor(np.arange(steps + 1)[:, None] * probability + 0.5)
    return due[1:] > due[:-1]
'''


def brian2_script(network: Network) -> str:
    """Return a Brian2 script with a network and its weights that does not need neuroattack.

    The script simulates an image; its last line of output are the spike counts of the readout.
    Raises UnsupportedFeatureError if Brian2 does not support the network exactly.
    """
    check_supported("brian2", network)
    data: dict[str, str] = {}
    populations = [
        _population(population, data)
        for population in network.populations
        if not isinstance(population, FixedPopulation)
    ]
    # Brian2 does not support synapses without connections.
    projections = [
        _projection(number, projection.dense(), data)
        for number, projection in enumerate(network.projections)
        if projection.grid.any()
    ]
    encoder = network.input.encoder
    if not isinstance(encoder, RateEncoder):
        raise UnsupportedFeatureError(
            f"Brian2 script: got a {encoder.kind} encoder, expected a rate encoder"
        )
    fields = {
        "VERSION": __version__,
        "CHECKSUM": network.checksum(),
        "SHAPE": repr(network.input.shape),
        "DT": repr(network.dt_s),
        "RATE": repr(encoder.max_rate_hz),
        "READOUT": json.dumps(network.readout),
        "ENCODER": _REGULAR if isinstance(encoder, RegularEncoder) else _POISSON,
        "POPULATIONS": "\n".join(populations),
        "PROJECTIONS": "\n".join(projections),
        "DATA": "\n".join(f"    {name!r}: {block}," for name, block in data.items()),
    }
    script = _SCRIPT
    for name, text in fields.items():
        script = script.replace(f"@{name}@", text)
    return script


def _population(population: Population, data: dict[str, str]) -> str:
    """Return the population's entry in the script; long arrays are added to `data`."""

    def per_neuron(field: str, values: NDArray[np.float64]) -> str:
        if (values == values[0]).all():
            return repr(float(values[0]))
        name = f"{field} of {population.name}"
        data[name] = _block(values.astype("<f8"))
        return repr(name)

    tau_m = "math.inf" if np.isinf(population.tau_m_s[0]) else repr(float(population.tau_m_s[0]))
    return _entry(
        f"{population.name!r}: ",
        {
            "size": repr(population.size),
            "tau_m_s": tau_m,
            "threshold": per_neuron("threshold", population.threshold_v),
            "bias": per_neuron("bias", population.bias_v),
            "reset": repr(float(population.reset_v[0])),
            "refractory_steps": repr(int(population.refractory_steps[0])),
        },
    )


def _projection(number: int, projection: Projection, data: dict[str, str]) -> str:
    name = f"weights {number}"
    planes = projection.mantissas.astype("<i4").view(np.uint8).reshape(-1, 4).T
    data[name] = f"({projection.exponent}, {_block(np.ascontiguousarray(planes))})"
    return _entry(
        "",
        {
            "source": repr(projection.source),
            "target": repr(projection.target),
            "delay_steps": repr(projection.delay_steps),
            "weights": repr(name),
        },
    )


def _entry(key: str, fields: dict[str, str]) -> str:
    lines = "".join(f"        {name!r}: {text},\n" for name, text in fields.items())
    return f"    {key}{{\n{lines}    }},".replace("'", '"')


def _block(array: NDArray[Any]) -> str:
    text = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return '"""\n' + "\n".join(textwrap.wrap(text, 100)) + '\n"""'
