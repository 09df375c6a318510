"""Counts of events on a chip against plain loops over spikes and steps."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from support.networks import small_network
from support.recordings import batch, recorded

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.activity import Activity, count_activity
from neuroattack.hardware.energy.traffic import traffic
from neuroattack.hardware.placement.mesh_order import mesh_positions
from neuroattack.hardware.placement.placement import Placement, place
from neuroattack.hardware.profiles.core_limits import CoreLimits
from neuroattack.ir.network import INPUT, Network


def recount(network: Network, placement: Placement, spikes: dict[str, np.ndarray]) -> dict:
    """Count the events of one image, from the definitions."""
    mesh = placement.limits.mesh
    steps = len(spikes[INPUT])
    found = dict.fromkeys(
        ("synaptic_operations", "spikes", "routes", "packets", "input_spikes", "readout_spikes",
         "hops_ew", "hops_ns", "concentrated_synaptic_operations"), 0
    )  # fmt: skip
    into = np.zeros(placement.cores_used, int)
    of_core = np.zeros(placement.cores_used, int)
    arrivals = set()
    for name, raster in spikes.items():
        for step, neuron in zip(*np.nonzero(raster), strict=True):
            per_core: dict[int, int] = {}
            for projection in network.outgoing(name):
                mantissas = projection.dense().mantissas
                for target in range(mantissas.shape[1]):
                    if mantissas[neuron, target] == 0:
                        continue
                    core = int(placement.cores[projection.target][target])
                    per_core[core] = per_core.get(core, 0) + 1
                    if step + projection.delay_steps < steps:
                        arrivals.add((projection.target, target, step + projection.delay_steps))
            found["synaptic_operations"] += sum(per_core.values())
            found["routes"] += len(per_core)
            found["packets"] += bool(per_core)
            found["concentrated_synaptic_operations"] += max(per_core.values(), default=0)
            for core, connections in per_core.items():
                into[core] += connections
            if name == INPUT:
                found["input_spikes"] += bool(per_core)
                continue
            found["spikes"] += 1
            found["readout_spikes"] += name == network.readout
            here = int(placement.cores[name][neuron])
            of_core[here] += 1
            for core in per_core if mesh else ():
                column, row = mesh_positions(np.array([here, core]), mesh, placement.band)
                found["hops_ew"] += abs(int(column[0] - column[1]))
                found["hops_ns"] += abs(int(row[0] - row[1]))
    found["updates_on_event"] = len(arrivals)
    found["spiking_on_event"] = sum(bool(spikes[n][step, i]) for n, i, step in arrivals)
    if mesh is None:
        found["hops_ew"] = found["hops_ns"] = None
    return found | {"core_synaptic_operations": into.tolist(), "core_spikes": of_core.tolist()}


@given(recorded())
@settings(max_examples=40, deadline=None)
def test_plain_loops_count_the_same(drawn):
    network, placement, spikes = drawn
    counts, trains = batch(spikes)
    steps = trains[INPUT].steps
    activity = count_activity(
        network, traffic(network, placement), placement, counts, steps, spikes=trains
    )
    for image, raster in enumerate(spikes):
        for name, expected in recount(network, placement, raster).items():
            values = getattr(activity, name)
            assert (None if values is None else values[image].tolist()) == expected, name
    neurons = sum(population.size for population in network.populations)
    assert activity.updates.tolist() == [neurons * steps] * len(spikes)
    assert activity.neurons_of_core.tolist() == [
        sum(int((cores == core).sum()) for cores in placement.cores.values())
        for core in range(placement.cores_used)
    ]


@given(recorded())
@settings(max_examples=20, deadline=None)
def test_parts_add_up(drawn):
    network, placement, spikes = drawn
    counts, trains = batch(spikes)
    steps = trains[INPUT].steps
    route = traffic(network, placement)
    activity = count_activity(network, route, placement, counts, steps)
    assert activity.updates_on_event is activity.spiking_on_event is None
    alone = [{name: values[[i]] for name, values in counts.items()} for i in range(len(spikes))]
    joined = Activity.concatenate(
        [count_activity(network, route, placement, one, steps) for one in alone]
    )
    for name, values in vars(activity).items():
        assert np.array_equal(getattr(joined, name), values), name
    means = activity.as_json()
    assert means["routes"] == activity.routes.mean()
    assert means["updates_on_event"] is None


def test_an_arrival_after_the_last_step_is_no_update(small):
    network, route, placement = small
    raster = np.zeros((1, 3, 784), bool)
    raster[0, 2, 0] = True
    trains = {
        INPUT: SpikeTrains.from_dense(raster),
        "hidden": SpikeTrains.from_dense(np.zeros((1, 3, 30), bool)),
        "output": SpikeTrains.from_dense(np.zeros((1, 3, 10), bool)),
    }
    counts = {name: train.counts() for name, train in trains.items()}
    activity = count_activity(network, route, placement, counts, 3, spikes=trains)
    assert activity.synaptic_operations.tolist() == [30]
    assert activity.updates_on_event.tolist() == [0]


@pytest.fixture
def small():
    """Return a 784-30-10 network on one core."""
    network = small_network()
    placement = place(network, CoreLimits("Made-up"))
    return network, traffic(network, placement), placement


def zeros(images=2):
    return {
        INPUT: np.zeros((images, 784), np.int32),
        "hidden": np.zeros((images, 30), np.int32),
        "output": np.zeros((images, 10), np.int32),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": np.zeros((2, 9), np.int32)}, "output: got shape (2, 9), expected (2, 10)"),
        ({"output": np.zeros((3, 10), np.int32)}, "output: got shape (3, 10), expected (2, 10)"),
        ({INPUT: np.zeros((0, 784), np.int32)}, "input: got shape (0, 784)"),
        ({"hidden": np.full((2, 30), 8)}, "hidden: got 8 to 8, expected 0 to 7"),
        ({"hidden": np.full((2, 30), -1)}, "hidden: got -1 to -1, expected 0 to 7"),
    ],
)
def test_counts_of_something_else_are_refused(small, change, message):
    network, route, placement = small
    with pytest.raises(ValidationError) as error:
        count_activity(network, route, placement, zeros() | change, 7)
    assert message in str(error.value)


def test_missing_populations_and_other_steps_are_refused(small):
    network, route, placement = small
    counts = zeros()
    silent = {
        n: SpikeTrains.from_dense(np.zeros((2, 7, v.shape[1]), bool)) for n, v in counts.items()
    }
    with pytest.raises(ValidationError, match="spike counts of hidden: got none"):
        count_activity(network, route, placement, {INPUT: counts[INPUT]}, 7)
    with pytest.raises(ValidationError, match="spikes of output: got none"):
        count_activity(
            network, route, placement, counts, 7, {n: silent[n] for n in (INPUT, "hidden")}
        )
    with pytest.raises(ValidationError, match=r"spikes of input: got .*\(2, 7, 784\)"):
        count_activity(network, route, placement, counts, 6, silent)
    with pytest.raises(ValidationError, match="steps: got 0"):
        count_activity(network, route, placement, counts, 0)


def test_only_batches_on_the_same_chip_are_joined(small):
    network, route, placement = small
    one = count_activity(network, route, placement, zeros(), 7)
    other = dataclasses.replace(one, neurons_of_core=one.neurons_of_core + 1)
    with pytest.raises(ValidationError, match="different neurons_of_core"):
        Activity.concatenate([one, other])
    with pytest.raises(ValidationError, match="no batch"):
        Activity.concatenate([])
