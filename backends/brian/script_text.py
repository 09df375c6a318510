"""Text of exported Brian2 scripts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..scripts.text import ENCODERS, filled

__all__ = ["script_text"]

# A template of neuroattack.backends.scripts.text.filled.
_SCRIPT = '''\
"""A spiking network of leaky integrate-and-fire neurons, in Brian2.

?-direct|    python net.py [IMAGE.npy] [--steps T] [--seed S]
?direct|    python net.py [IMAGE.npy] [--steps T]

simulates the network with one image (an array of shape @SHAPE@ with intensities from 0 to 1; by
default a ramp from dark to bright) and prints the spike counts. It needs only Brian2 and NumPy.
?potentials|The output are membrane potentials, printed last.

Written by neuroattack @VERSION@ from the network with the checksum
@CHECKSUM@.
?-direct|For the same image and seed, the spikes are identical to those in neuroattack for the first
?-direct|image of random stream 0.
?direct|For the same image, the spikes are identical to those in neuroattack.
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
?-direct|    SpikeGeneratorGroup,
    SpikeMonitor,
?potentials|    StateMonitor,
    Synapses,
?direct|    TimedArray,
    prefs,
    second,
)

DT_S = @DT@
IMAGE_SHAPE = @SHAPE@
?-direct|MAX_RATE_HZ = @RATE@  # spike rate of a pixel of intensity 1
?direct|BITS = @BITS@  # intensities are rounded to multiples of 2**-BITS
READOUT = @READOUT@  # population that is the output, one neuron per class
?lags|
?lags|# In Brian2, spikes take at least one step. Populations that receive spikes in the step in
?lags|# which they are emitted are therefore simulated later than others, by a lag in time steps.
?lags|LONGEST_LAG = @LAG@

# Neuron models. Potentials are in volts, relative to rest.
#
# With method="exact", Brian2 solves the same equations, but computes exp() with NumPy or C++, which
# may differ in the last bit. Here, the decay is a fixed number, and each line of the update is one
# operation, because Brian2 may reorder sums of several terms.
MODELS = [
@MODELS@
]

# Values that differ between neurons, and the weights, are in DATA at the end of this file.
POPULATIONS = {
@POPULATIONS@
}

# Delays are in time steps, at least 1.
?lags|# They contain the differences of lags.
PROJECTIONS = [
@PROJECTIONS@
]

TIMES = ("tau_m", "tau_syn", "refractory_period")  # values in seconds


def solution(update):
    """Return a state updater for Brian2 with given statements."""
    return lambda equations, variables, method_options=None: update


?-direct|-lags|def build(source, clock):
?-direct|lags|def build(source, clock, steps):
?direct|def build(image, clock, steps):
    """Return the neuron groups by population, and the synapses."""
?-direct|    groups = {"input": source}
?direct|    groups = {}
    for number, (name, p) in enumerate(POPULATIONS.items(), 1):
        model = MODELS[p["model"]]
        values = {key: numbers(value) for key, value in p["values"].items()}
        # Those that differ between neurons are parameters in the equations.
        constants = {key: value for key, value in values.items() if np.ndim(value) == 0}
        for key in constants.keys() & TIMES:
            constants[key] *= second
?direct|        constants["direct"] = direct_input(name, image, steps)
?lags|        constants["first"], constants["end"] = p["lag"], p["lag"] + steps
        group = NeuronGroup(
            p["size"],
            model["equations"],
            method=solution(model["update"]),
?-lags|            threshold=model["threshold"],
?lags|            threshold=model["threshold"]
?lags|            + " and t_in_timesteps >= first and t_in_timesteps < end",
            reset=model["reset"],
            # In Brian2, the refractory period includes the step of the spike.
            refractory="refractory_period",
?lags|            events={"start_of_image": "t_in_timesteps == first"},
            namespace=constants,
            clock=clock,
            name=f"population_{number}_{name}",
        )
        for key in values.keys() - constants.keys():
            setattr(group, f"{key}_", values[key])  # without unit
        group.lastspike = "-refractory_period"  # no neuron is refractory at the start
?lags|        group.set_event_schedule("start_of_image", when="before_start")
?lags|        group.run_on_event("start_of_image", model["rest"], when="start")
        groups[name] = group
    synapses = []
    for number, p in enumerate(PROJECTIONS):
?direct|        if p["source"] == "input":
?direct|            continue
        pathway = Synapses(
            groups[p["source"]],
            groups[p["target"]],
            "w : 1 (constant)",
            on_pre="I_post += w",
            # I is added at the start of the next step, which is one step of the delay.
            delay=(p["delay_steps"] - 1) * DT_S * second,
            clock=clock,
            name=f"synapses_{number}",
        )
        pre, post, weights = read_weights(p)
        pathway.connect(i=pre, j=post)
        pathway.w = weights
        synapses.append(pathway)
    return groups, synapses


@ENCODER@


?-direct|def simulate(raster, steps):
?direct|def simulate(image, steps):
?-potentials|    """Return the spike counts of every population.
?potentials|    """Return the spike counts of every population, and the potentials of the output.

?-direct|    The raster of input spikes has the shape (steps, pixels).
?direct|    The image is an array of integers in units of 2**-BITS.
    """
    clock = Clock(dt=DT_S * second, name="clock_of_network")
?-direct|    step, pixel = np.nonzero(raster)
?-direct|    source = SpikeGeneratorGroup(
?-direct|        raster.shape[1], pixel, step * DT_S * second, clock=clock, name="population_input"
?-direct|    )
?-direct|-lags|    groups, synapses = build(source, clock)
?-direct|lags|    groups, synapses = build(source, clock, steps)
?direct|    groups, synapses = build(image, clock, steps)
    spikes = {name: SpikeMonitor(groups[name], name=f"spikes_{name}") for name in POPULATIONS}
    network = Network(*groups.values(), *synapses, *spikes.values())
?potentials|    potentials = StateMonitor(
?potentials|        groups[READOUT], "v", True, when="after_groups", clock=clock, name="potentials"
?potentials|    )
?potentials|    network.add(potentials)
?-lags|    network.run(steps * DT_S * second)
?lags|    network.run((steps + LONGEST_LAG) * DT_S * second)
    counts = {name: np.array(monitor.count) for name, monitor in spikes.items()}
?-potentials|    return counts
?potentials|    # Potentials after each step of the image.
?potentials|-lags|    v = potentials.v
?potentials|lags|    first = POPULATIONS[READOUT]["lag"]
?potentials|lags|    v = potentials.v[:, first : first + steps]
?potentials|-max|    return counts, v[:, -1]
?potentials|max|    return counts, v.max(axis=1)


def main():
    """Simulate the network with one image, and print its output."""
    parser = argparse.ArgumentParser(description="Simulate the network with one image.")
    parser.add_argument("image", nargs="?", help="NumPy file (.npy) with intensities from 0 to 1")
    parser.add_argument("--steps", type=int, default=100, help="number of time steps")
?-direct|    parser.add_argument("--seed", type=int, default=0, help="seed of the input spikes")
    arguments = parser.parse_args()
?-direct|    if arguments.steps < 1 or arguments.seed < 0:
?-direct|        parser.error("expected at least one step, and a seed of at least 0")
?direct|    if arguments.steps < 1:
?direct|        parser.error("expected at least one step")
@READ_IMAGE@
    # For a single image, compiling the model (Brian2's default) would be slower.
    prefs.codegen.target = "numpy"
?-direct|    inputs = encode(image, arguments.steps, arguments.seed)
?direct|    inputs = encode(image)
?-potentials|    counts = simulate(inputs, arguments.steps)
?potentials|    counts, potentials = simulate(inputs, arguments.steps)
    for name, of_neurons in counts.items():
        print(f"{name}: {of_neurons.sum()} spikes")
?-potentials|    print("spikes by class:", *counts[READOUT])
?potentials|    print("potentials by class:", *potentials.tolist())


@READ_DATA@


DATA = {
@DATA@
}

if __name__ == "__main__":
    main()
'''

_DIRECT = '''\
def encode(image):
    """Return intensities as integers in units of 2**-BITS."""
    return np.rint(np.ldexp(image.ravel(), BITS))


def direct_input(name, image, steps):
    """Return the constant input of a population in every step, from the delay on."""
    size = POPULATIONS[name]["size"]
?-lags|    arriving = np.zeros((steps, size))
?lags|    arriving = np.zeros((steps + LONGEST_LAG, size))
    for p in PROJECTIONS:
        if p["source"] == "input" and p["target"] == name:
            pre, post, weights = read_weights(p)
            total = np.bincount(post, weights * image[pre], size)
            arriving[p["delay_steps"] :] += np.ldexp(total, -BITS)
    return TimedArray(arriving, dt=DT_S * second, name=f"direct_input_{name}")
'''


def script_text(flags: Collection[str], fields: Mapping[str, str], encoder: str) -> str:
    """Return the script for networks with given flags.

    Parameters
    ----------
    flags : collection of str
        ``"direct"`` (direct coding), ``"lags"`` (populations are shifted in time),
        ``"potentials"`` (output of potentials; with ``"max"``, of the largest), ``"sparse"``
        (projections stored as lists of synapses).
    fields : mapping of str to str
        Texts by name of the field.
    encoder : {"poisson", "regular", "direct"}
        Kind of encoder.
    """
    encoders = {**ENCODERS, "direct": _DIRECT}
    return filled(_SCRIPT, encoders[encoder], flags, fields)
