"""Text of exported PyNN scripts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..scripts.text import ENCODERS, filled

__all__ = ["script_text"]

# A template of neuroattack.backends.scripts.text.filled.
_SCRIPT = '''\
"""A spiking network of leaky integrate-and-fire neurons, in PyNN.

    python net.py [IMAGE.npy] [--simulator NAME] [--steps T] [--seed S] [--spikes FILE.npz]

simulates the network with one image (an array of shape @SHAPE@ with intensities from 0 to 1; by
default a ramp from dark to bright) and prints the spike counts. It needs NumPy, PyNN (0.13 or
later), and one of the simulators that have PyNN's neuron model IF_curr_delta: nest, brian2 or
spiNNaker.

--spikes writes all spikes to a file, which `neuroattack compare` reads: for every population, and
for "input", the arrays "NAME.steps" and "NAME.neurons" with the time step and the neuron of every
spike; and the number of time steps, "steps".

Written by neuroattack @VERSION@ from the network with the checksum
@CHECKSUM@.
For the same image and seed, the spikes on NEST are identical to those in neuroattack for the first
image of random stream 0. On Brian2, rounding may change spikes in rare cases. Other simulators have
not been compared.
"""

import argparse
import base64
import importlib
import logging
import math
import os
import sys
import warnings
import zlib

import numpy as np

DT_S = @DT@  # one time step, which is 1 ms in PyNN
IMAGE_SHAPE = @SHAPE@
MAX_RATE_HZ = @RATE@  # spike rate of a pixel of intensity 1
READOUT = @READOUT@  # population that is the output, one neuron per class

# Potentials are in volts, relative to rest; a neuron spikes if its potential is above the
# threshold. Decay is the factor of the potential per time step.
?lags|#
?lags|# In PyNN, spikes take at least one step. Populations that receive spikes in the step in which
?lags|# they are emitted are therefore simulated later than others, by a lag in time steps.
?lags|#
# Values that differ between neurons, and the weights, are in DATA at the end of this file.
POPULATIONS = {
@POPULATIONS@
}

# Delays are in time steps, at least 1.
?lags|# They contain the differences of lags.
PROJECTIONS = [
@PROJECTIONS@
]

# Time of the first step in PyNN, in ms. NEST's spike sources cannot spike before 2 ms.
FIRST_MS = 3.0

# Potentials in PyNN are in mV. In NEST, 1 V is called 1 mV: then potentials have the same binary
# digits as in neuroattack. Brian2 converts them back to volts.
MV_PER_V = {"nest": 1.0}

COMPARED = ("nest", "brian2")  # simulators whose spikes have been compared with neuroattack


def set_up(name, longest_delay):
    """Return PyNN's module for a simulator, set up with time steps of 1 ms."""
    options = {}
    if name == "nest":
        os.environ.setdefault("PYNEST_QUIET", "1")  # no banner on stdout
        options = {"spike_precision": "on_grid", "threads": 1, "verbosity": "error"}
    if name in COMPARED:
        # Messages about extensions and initial values, which this script does not need.
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
    try:
        sim = importlib.import_module(f"pyNN.{name}")
    except ImportError as error:
        sys.exit(f"simulator {name!r} is not available: {error}")
    if not hasattr(sim, "IF_curr_delta"):
        sys.exit(f"simulator {name!r} does not have PyNN's neuron model IF_curr_delta")
    sim.setup(timestep=1.0, min_delay=1.0, max_delay=float(longest_delay), **options)
    if name == "brian2":
        import brian2

        brian2.prefs.codegen.target = "numpy"
        brian2.defaultclock.dt = 1 * brian2.ms  # clock of spike sources
        # Brian2 adds weights after it has compared potentials with thresholds; here, before.
        schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
        sim.simulator.state.network.schedule = schedule
    return sim


def time_constant(decay, step):
    """Return the time constant tau with exp(-step / tau) == decay, or one that is close."""
    if np.ndim(decay):
        return np.array([time_constant(each, step) for each in decay.tolist()])
    if decay == 1:
        return 1e300 * step
    if decay == 0:
        return 1e-4 * step
    below = above = -step / math.log(decay)
    for _ in range(16):
        for tau in (below, above):
            if math.exp(-step / tau) == decay:
                return tau
        below, above = math.nextafter(below, 0), math.nextafter(above, math.inf)
    return -step / math.log(decay)


def create(sim, name, label, size, values):
    """Return a population of neurons at rest."""
    values = {key: numbers(value) for key, value in values.items()}
    refractory = values["refractory_steps"]
    threshold = values["threshold"]
    tau_ms = time_constant(values["decay"], 1.0)
    if name == "brian2":
        if np.ndim(refractory):
            sys.exit("PyNN does not support refractory periods per neuron on Brian2")
        # In Brian2, the refractory period includes the step of the spike.
        refractory = refractory + 1
    else:
        # NEST's neurons also spike at the threshold.
        threshold = np.nextafter(threshold, math.inf)
    scale = MV_PER_V.get(name, 1000.0)
    # Numbers on SpiNNaker are below 65,536.
    largest = math.inf if name in COMPARED else 60_000.0
    cells = sim.IF_curr_delta(
        v_rest=0.0,
        v_reset=values["reset"] * scale,
        v_thresh=np.minimum(threshold * scale, largest),
        tau_m=np.minimum(tau_ms, largest),
        tau_refrac=refractory,
        cm=1.0,
        i_offset=0.0,
    )
    population = sim.Population(size, cells, initial_values={"v": 0.0}, label=label)
    if name == "nest":
        population.node_collection.V_m = 0.0  # PyNN does not set initial potentials
    if name == "brian2":
        # Without the rounding errors of unit conversions.
        group = population.brian2_group
        group.v_thresh_ = threshold
        group.v_reset_ = values["reset"]
        group.tau_m_ = time_constant(values["decay"], 1e-3)
    return population


def connect(sim, name, source, target, pre, post, weights, delay_steps):
    """Connect two populations; return PyNN's projections. Weights are in volts per spike."""
    if name == "brian2":
        delay_steps = delay_steps - 1  # spikes are delivered in the step after the spike
    scale = MV_PER_V.get(name, 1000.0)
    projections = []
    # PyNN's synapses are excitatory or inhibitory.
    for receptor, chosen in (("excitatory", weights > 0), ("inhibitory", weights < 0)):
        if not chosen.any():
            continue
        columns = [pre, post, weights * scale, np.full(len(weights), float(delay_steps))]
        connector = sim.FromListConnector(np.column_stack(columns)[chosen])
        projection = sim.Projection(
            source, target, connector, sim.StaticSynapse(), receptor_type=receptor
        )
        projections.append(projection)
    return projections


def check_rounding(name):
    """Report on stderr what may make spikes differ from those in neuroattack."""
    decays = np.unique(
        np.concatenate([np.ravel(numbers(p["values"]["decay"])) for p in POPULATIONS.values()])
    )
    if name not in COMPARED:
        report(f"{name}: spikes on this simulator have not been compared with neuroattack")
        return
    sim = set_up(name, 1)
    values = {"decay": decays, "threshold": math.inf, "reset": 0.0, "refractory_steps": 0.0}
    population = create(sim, name, "check", len(decays), values)
    if name == "nest":
        import nest

        population.node_collection.V_m = 1.0
        nest.Simulate(1.0)
        found = np.atleast_1d(population.node_collection.V_m)
    else:
        population.brian2_group.v_ = 1.0
        sim.run(1.0)
        found = np.array(population.brian2_group.v_)
?bias|        exact = False
?-bias|        exact = np.isin(decays, (0, 1)).all()  # sums of weights are exact
        if not exact:
            report(
                "brian2: potentials are rounded after every weight, so that spikes may differ from "
                "those in neuroattack in rare cases"
            )
    sim.end()
    if not np.array_equal(found, decays):
        report(f"{name}: potentials decay by other factors than in neuroattack; spikes may differ")


def report(message):
    """Print a message on stderr."""
    print(message, file=sys.stderr)


def spike_source(sim, times):
    """Return a population with given spike times, one list per neuron."""
    if len(times) == 1:
        times = [*times, []]  # PyNN does not support a single source on Brian2
    return sim.Population(len(times), sim.SpikeSourceArray(spike_times=times))


def simulate(name, raster):
    """Return the spikes of every population as arrays of time steps and neurons.

    The raster of input spikes has the shape (steps, pixels).
    """
    check_rounding(name)
    steps = len(raster)
    sim = set_up(name, max((p["delay_steps"] for p in PROJECTIONS), default=1))
    source = spike_source(sim, [(np.flatnonzero(of) + FIRST_MS).tolist() for of in raster.T])
    groups = {"input": source}
    for label, p in POPULATIONS.items():
        groups[label] = create(sim, name, label, p["size"], p["values"])
        groups[label].record("spikes")
    for p in PROJECTIONS:
        ends = groups[p["source"]], groups[p["target"]]
        connect(sim, name, *ends, *read_weights(p), p["delay_steps"])
?bias|    for label, p in POPULATIONS.items():
?bias|        # The bias comes from a spike source, one step after it is sent. All other spikes take
?bias|        # longer if the sum must be rounded: then the bias is added last.
?bias|        bias = np.broadcast_to(numbers(p["values"]["bias"]), p["size"])
?bias|        times = (np.arange(steps) + FIRST_MS + p["lag"] - 1).tolist()
?bias|        ends = spike_source(sim, [times]), groups[label]
?bias|        neurons = np.arange(p["size"])
?bias|        for projection in connect(sim, name, *ends, 0 * neurons, neurons, bias, 1):
?bias|            if name == "nest":
?bias|                # PyNN multiplies weights by 1000 and by 0.001, which may round biases.
?bias|                synapses = projection.nest_connections
?bias|                target = np.atleast_1d(synapses.target) - int(groups[label].all_cells[0])
?bias|                synapses.weight = bias[target].tolist()
    sim.run(FIRST_MS + steps + max(p["lag"] for p in POPULATIONS.values()))
    spikes = {"input": np.nonzero(raster)}
    for label, p in POPULATIONS.items():
        trains = groups[label].get_data("spikes").segments[0].spiketrains
        step, neuron = [np.zeros(0, int)], [np.zeros(0, int)]
        for train in trains:
            of_train = np.rint(train.rescale("ms").magnitude - FIRST_MS).astype(int) - p["lag"]
            of_train = of_train[(of_train >= 0) & (of_train < steps)]
            step.append(of_train)
            neuron.append(np.full(len(of_train), int(train.annotations["source_index"])))
        spikes[label] = np.concatenate(step), np.concatenate(neuron)
    sim.end()
    return spikes


@ENCODER@


def main():
    """Simulate the network with one image, and print its output."""
    parser = argparse.ArgumentParser(description="Simulate the network with one image.")
    parser.add_argument("image", nargs="?", help="NumPy file (.npy) with intensities from 0 to 1")
    parser.add_argument("--simulator", default="nest", help="PyNN's name of the simulator")
    parser.add_argument("--steps", type=int, default=100, help="number of time steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of the input spikes")
    parser.add_argument("--spikes", help="NumPy file (.npz) to write with all spikes")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.seed < 0:
        parser.error("expected at least one step, and a seed of at least 0")
@READ_IMAGE@
    spikes = simulate(arguments.simulator, encode(image, arguments.steps, arguments.seed))
    if arguments.spikes:
        arrays = {"steps": np.array(arguments.steps)}
        for label, (step, neuron) in spikes.items():
            arrays[f"{label}.steps"], arrays[f"{label}.neurons"] = step, neuron
        np.savez_compressed(arguments.spikes, **arrays)
    for label in POPULATIONS:
        print(f"{label}: {len(spikes[label][0])} spikes")
    classes = POPULATIONS[READOUT]["size"]
    print("spikes by class:", *np.bincount(spikes[READOUT][1], minlength=classes))


@READ_DATA@


DATA = {
@DATA@
}

if __name__ == "__main__":
    main()
'''


def script_text(flags: Collection[str], fields: Mapping[str, str], encoder: str) -> str:
    """Return the script for networks with given flags.

    Parameters
    ----------
    flags : collection of str
        ``"bias"`` (neurons have biases), ``"lags"`` (populations are shifted in time),
        ``"sparse"`` (projections stored as lists of synapses).
    fields : mapping of str to str
        Texts by name of the field.
    encoder : {"poisson", "regular"}
        Kind of encoder.
    """
    return filled(_SCRIPT, ENCODERS[encoder], flags, fields)
