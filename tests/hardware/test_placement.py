"""Placement: limits recounted by plain loops, refusals compared with all possible placements."""

import dataclasses
import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.recordings import ON_CHIPS

from neuroattack.conformance.networks import fixed_networks, networks
from neuroattack.deployment.features import features_of
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import DoesNotFitError
from neuroattack.hardware.energy.traffic import traffic
from neuroattack.hardware.placement.mesh_order import capacity, mesh_positions
from neuroattack.hardware.placement.placement import place
from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.network import INPUT, Convolution, Input, Network, Population, Projection
from neuroattack.report.chips.placement import placement_figure

QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
PER_CORE = ("neurons", "synapses", "synapse_bits", "in_axons", "out_axons")

# Limits that do not depend on the placement.
ANYWHERE = {
    "fan_in_per_neuron",
    "fan_out_per_neuron",
    "input_neurons",
    "hidden_neurons",
    "readout_neurons",
    "neurons_per_chip",
    "synapses_per_chip",
}

# Resources of a core that a neuron needs independently of the placement.
OF_ONE_NEURON = {"synapses_per_core", "synapse_bits_per_core", "in_axons_per_core"}


def layers(*sizes, density=1.0, seed=0):
    """Return a network of consecutive fully connected populations."""
    rng = np.random.default_rng(seed)
    names = [INPUT, *(f"p{i}" for i in range(1, len(sizes)))]
    projections = []
    for i in range(1, len(sizes)):
        mantissas = (rng.random((sizes[i - 1], sizes[i])) < density).astype(np.int32)
        projections.append(Projection(names[i - 1], names[i], mantissas, 0))
    return Network(
        dt_s=1e-3,
        input=Input((sizes[0],), PoissonEncoder(100.0)),
        populations=tuple(
            Population(name, size, 5.0, 1.0)
            for name, size in zip(names[1:], sizes[1:], strict=True)
        ),
        projections=tuple(projections),
        readout=names[-1],
    )


@st.composite
def placed_networks(draw, max_size=30, max_layers=4):
    """Generate networks, some with two projections between the same populations."""
    features = draw(st.sampled_from([frozenset(), ON_CHIPS]))
    network = draw(
        networks(max_size, max_layers, features) | fixed_networks(max_size, max_layers, features)
    )
    if draw(st.booleans()):
        first = draw(st.sampled_from(network.projections))
        # Of a convolution, another one or an all-to-all projection.
        if draw(st.booleans()):
            first = first.dense()
        twin = first.with_grid(np.roll(first.grid, 1, axis=0), first.exponent)
        network = dataclasses.replace(network, projections=(*network.projections, twin))
    return network


def some(low, high):
    return st.none() | st.integers(low, high)


@st.composite
def core_limits(draw, scale=1.0):
    def up_to(high):
        return draw(some(1, max(2, int(scale * high))))

    return CoreLimits(
        name="made up",
        cores_per_chip=up_to(60),
        neurons_per_core=up_to(40),
        synapses_per_core=up_to(600),
        synapse_bits_per_core=up_to(3000),
        bits_per_synapse=draw(some(1, 8)),
        in_axons_per_core=up_to(80),
        out_axons_per_core=up_to(80),
        fan_in_per_neuron=draw(some(1, 200)),
        fan_out_per_neuron=draw(some(1, 200)),
        destination_cores_per_neuron=up_to(12),
        neurons_per_chip=draw(some(1, 300)),
        synapses_per_chip=draw(some(1, 8000)),
        hidden_neurons=draw(some(1, 300)),
        mesh=draw(st.none() | st.builds(Mesh, st.just(6), st.just(5), st.integers(1, 4))),
    )


def connections(network):
    """Return the number of connections from each neuron to each other one."""
    found = {}
    for p in network.projections:
        for i, j in zip(*np.nonzero(p.dense().mantissas), strict=True):
            ends = (p.source, int(i)), (p.target, int(j))
            found[ends] = found.get(ends, 0) + 1
    return found


def recount(network, found, core_of, limits):
    """Return the use of every limit and of every core, by plain loops."""
    fan_in, fan_out, reached = {}, {}, {}
    cores = {core: dict.fromkeys(PER_CORE, 0) for core in set(core_of.values())}
    in_axons = set()
    for core in core_of.values():
        cores[core]["neurons"] += 1
    for (source, target), number in found.items():
        fan_in[target] = fan_in.get(target, 0) + number
        cores[core_of[target]]["synapses"] += number
        cores[core_of[target]]["synapse_bits"] += number * (limits.bits_per_synapse or 0)
        in_axons.add((source, core_of[target]))
        reached.setdefault(source, set()).add(core_of[target])
        if source[0] != INPUT:
            fan_out[source] = fan_out.get(source, 0) + number
    for _, core in in_axons:
        cores[core]["in_axons"] += 1
    for source, destinations in reached.items():
        if source[0] != INPUT:
            cores[core_of[source]]["out_axons"] += len(destinations)
    readout = network.classes
    taken = {
        "cores_per_chip": len(cores),
        "fan_in_per_neuron": max(fan_in.values(), default=0),
        "fan_out_per_neuron": max(fan_out.values(), default=0),
        "destination_cores_per_neuron": max(
            (len(each) for source, each in reached.items() if source[0] != INPUT), default=0
        ),
        "input_neurons": network.input.size,
        "hidden_neurons": len(core_of) - readout,
        "readout_neurons": readout,
        "neurons_per_chip": len(core_of),
        "synapses_per_chip": sum(found.values()),
    }
    for resource in PER_CORE:
        taken[f"{resource}_per_core"] = max(core[resource] for core in cores.values())
    return taken, cores, reached


def available(limits, name):
    if name == "cores_per_chip" and limits.cores_per_chip is None and limits.mesh:
        return limits.mesh.width * limits.mesh.height * limits.mesh.cores_per_node
    if name == "synapse_bits_per_core" and limits.bits_per_synapse is None:
        return None
    return getattr(limits, name)


def holds(taken, limits):
    return all(
        available(limits, name) is None or used <= available(limits, name)
        for name, used in taken.items()
    )


def attempt(network, limits):
    try:
        return place(network, limits), None
    except DoesNotFitError as error:
        return None, error


def core_of_each(placement):
    return {
        (name, i): int(core)
        for name, cores in placement.cores.items()
        for i, core in enumerate(cores)
    }


@settings(max_examples=250, **QUICK)
@given(placed_networks(), core_limits())
def test_no_limit_is_ever_exceeded(network, limits):
    found = connections(network)
    placement, error = attempt(network, limits)
    if placement is None:
        assert error.used > error.available == available(limits, error.resource)
        assert error.population in {INPUT, None, *(p.name for p in network.populations)}
        assert f"{error.used:,}" in str(error)
        assert f"made up has {error.available:,}" in str(error)
        # Cores are never overfilled: only a single neuron can exceed a limit of a core. In a loop,
        # the routes of a neuron may be known too late.
        looped = {"recurrence", "feedback"} & set(features_of(network))
        assert not str(error).startswith("core") or (
            looped and error.resource == "out_axons_per_core"
        )
        alone = {}
        for (_, target), number in found.items():
            bits = number * (limits.bits_per_synapse or 0)
            for name, more in zip(PER_CORE, (1, number, bits, 1, 0), strict=True):
                each = alone.setdefault(f"{name}_per_core", {})
                each[target] = each.get(target, 0) + more
        if error.resource in OF_ONE_NEURON:
            assert error.used in alone[error.resource].values()
        return
    core_of = core_of_each(placement)
    assert list(core_of) == [(p.name, i) for p in network.populations for i in range(p.size)]
    taken, cores, _ = recount(network, found, core_of, limits)
    assert holds(taken, limits)
    assert sorted(cores) == list(range(placement.cores_used))
    for resource, used in placement.used.items():
        assert used.tolist() == [cores[core][resource] for core in sorted(cores)]
    assert placement.lower_bound_cores <= placement.cores_used

    known = {name for name in taken if available(limits, name) is not None}
    assert {check.limit for check in placement.checks} == set(taken)
    assert placement.utilization == {
        name: (taken[name], available(limits, name))
        for name in placement.utilization
    }  # fmt: skip
    # The number of cores is known only with limits per core.
    if not any(getattr(limits, f"{resource}_per_core") is not None for resource in placement.used):
        known.discard("cores_per_chip")
    assert set(placement.unchecked) == set(taken) - known
    assert set(placement.utilization) == known
    again = place(network, limits)
    assert core_of_each(again) == core_of
    assert again.band == placement.band


def partitions(items):
    """Yield all assignments of items to cores, as the core of each item."""
    if not items:
        yield {}
        return
    for rest in partitions(items[:-1]):
        for core in range(len(set(rest.values())) + 1):
            yield {**rest, items[-1]: core}


@settings(max_examples=120, **QUICK)
@given(placed_networks(max_size=2, max_layers=3), core_limits(scale=0.1))
def test_what_is_refused_for_certain_fits_in_no_way_and_no_way_takes_fewer_cores(network, limits):
    found = connections(network)
    neurons = [(p.name, i) for p in network.populations for i in range(p.size)]
    fewest = math.inf
    for core_of in partitions(neurons):
        taken, cores, _ = recount(network, found, core_of, limits)
        if len(cores) < fewest and holds(taken, limits):
            fewest = len(cores)
    placement, error = attempt(network, limits)
    if placement is None:
        if error.resource in ANYWHERE | OF_ONE_NEURON or "at least" in str(error):
            assert fewest == math.inf
    else:
        assert placement.lower_bound_cores <= fewest <= placement.cores_used


@pytest.mark.parametrize(
    ("sizes", "limits", "bound"),
    [
        # 784 x 500 + 500 x 500 + 5,000 = 647,000 connections of 8 bits.
        ((784, 500, 500, 10), {"synapse_bits_per_core": 1_048_576, "bits_per_synapse": 8}, 5),
        ((784, 500, 500, 10), {"synapse_bits_per_core": 131_072, "bits_per_synapse": 8}, 40),
        ((784, 500, 500, 10), {"neurons_per_core": 20}, 51),
        ((100, 2000, 2000, 10), {"neurons_per_core": 64, "in_axons_per_core": 4096}, 63),
        # 20 x 1,000 + 1,000 x 1,000 + 10,000 connections. Routes would take 6 more cores if p1
        # did not share those of p2.
        ((20, 1000, 1000, 10), {"synapses_per_core": 50_000, "out_axons_per_core": 4096}, 21),
    ],
)
def test_dense_networks_take_few_cores(sizes, limits, bound):
    placement = place(layers(*sizes), CoreLimits("c", **limits))
    assert placement.lower_bound_cores == bound
    assert placement.cores_used <= 1.1 * bound


def test_a_network_on_one_core_fewer_than_it_takes_is_refused():
    network = layers(30, 40, 50, 10, density=0.3)
    needed = place(network, CoreLimits("c", synapses_per_core=60)).cores_used
    fits = CoreLimits("c", synapses_per_core=60, cores_per_chip=needed)
    assert place(network, fits).utilization["cores_per_chip"] == (needed, needed)
    with pytest.raises(DoesNotFitError) as refused:
        place(network, dataclasses.replace(fits, cores_per_chip=needed - 1))
    assert refused.value.resource == "cores_per_chip"


def convolutional(input_shape, *kernels, classes=10):
    """Return a network of convolutions (channels, side, stride, padding) and a dense readout."""
    rng = np.random.default_rng(0)
    shape, source, populations, projections = input_shape, INPUT, [], []
    for i, (channels, side, stride, padding) in enumerate(kernels):
        kernel = rng.integers(-100, 100, (channels, shape[0], side, side))
        projection = Convolution(
            source, f"p{i}", kernel, 0, shape, (stride, stride), ((padding, padding),) * 2
        )
        shape, source = projection.target_shape, f"p{i}"
        projections.append(projection)
        populations.append(Population(source, math.prod(shape), 0.02, 1.0))
    weights = np.ones((math.prod(shape), classes), np.int32)
    return Network(
        dt_s=1e-3,
        input=Input(input_shape, PoissonEncoder(100.0)),
        populations=(*populations, Population("out", classes, 0.02, 1.0)),
        projections=(*projections, Projection(source, "out", weights, 0)),
        readout="out",
    )


@pytest.mark.parametrize(
    "network",
    [
        # 12C5-P2-64C5-P2-10, with pooling composed into the kernels.
        convolutional((1, 28, 28), (12, 6, 2, 0), (64, 6, 2, 0)),
        # 2 x 34 x 34 as in N-MNIST.
        convolutional((2, 34, 34), (16, 5, 2, 1), (16, 3, 1, 1), (8, 6, 2, 1)),
    ],
)
def test_convolutions_are_placed_as_their_connections(network):
    limits = load_profile("loihi1").core_limits()
    placement = place(network, limits)
    dense = dataclasses.replace(network, projections=tuple(p.dense() for p in network.projections))
    in_order = place(dense, limits)
    assert placement.lower_bound_cores == in_order.lower_bound_cores
    assert placement.cores_used <= min(in_order.cores_used, 1.25 * placement.lower_bound_cores)
    found, of_dense = traffic(network, placement), traffic(dense, placement)
    for one, other in zip(dataclasses.astuple(found), dataclasses.astuple(of_dense), strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
    sources = in_order.used
    assert placement.used["synapses"].sum() == sources["synapses"].sum()


@pytest.mark.parametrize(
    ("chip", "resource"),
    [("loihi1", "cores_per_chip"), ("loihi2", "synapses_per_chip"), ("akida", None)],
)
def test_a_network_of_200_million_connections_is_not_unrolled(chip, resource):
    # 3 x 32 x 32 - 64C3 - 128C3 - P2 - 256C3 - 10; unrolled, it would take gigabytes.
    network = convolutional((3, 32, 32), (64, 3, 1, 1), (128, 3, 1, 1), (256, 4, 2, 1))
    limits = load_profile(chip).core_limits()
    tracemalloc.start()
    start = time.process_time()
    placement, error = attempt(network, limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (error and error.resource) == resource
    assert resource or placement.cores_used == 1
    assert peak < 2**28
    assert time.process_time() - start < 20


def test_routes_of_a_loop_are_placed_again_until_they_fit():
    # The last two neurons reach all neurons of their own population.
    network = layers(2, 8)
    mantissas = np.zeros((8, 8), np.int32)
    mantissas[6:] = 1
    loop = Projection("p1", "p1", mantissas, 0)
    network = dataclasses.replace(network, projections=(*network.projections, loop))
    two = place(network, CoreLimits("c", neurons_per_core=4, out_axons_per_core=4))
    assert two.cores["p1"].tolist() == [0] * 4 + [1] * 4
    assert two.used["out_axons"].tolist() == [0, 4]
    # Two cores are not enough for these routes, so the two neurons are on different cores.
    three = place(network, CoreLimits("c", neurons_per_core=4, out_axons_per_core=3))
    assert three.used["out_axons"].tolist() == [0, 3, 3]
    with pytest.raises(DoesNotFitError) as refused:
        place(network, CoreLimits("c", neurons_per_core=4, out_axons_per_core=2))
    assert refused.value.resource == "out_axons_per_core"


def walk(mesh, band):
    """Return columns and rows of nodes in the order of the serpentine path."""
    nodes, eastwards = [], True
    for bottom in range(0, mesh.height, band):
        rows = list(range(bottom, min(bottom + band, mesh.height)))
        columns = range(mesh.width) if eastwards else reversed(range(mesh.width))
        for column in columns:
            nodes += [(column, row) for row in rows]
            rows.reverse()
        eastwards = not eastwards
    return nodes


@settings(max_examples=100, **QUICK)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.data())
def test_cores_follow_one_another_through_the_mesh(width, height, per_node, data):
    mesh = Mesh(width, height, per_node)
    band = data.draw(st.integers(1, height))
    column, row = mesh_positions(np.arange(capacity(mesh)), mesh, band)
    nodes = walk(mesh, band)
    assert list(zip(column.tolist(), row.tolist(), strict=True)) == [
        node for node in nodes for _ in range(per_node)
    ]
    assert sorted(nodes) == [(x, y) for x in range(width) for y in range(height)]


def total_hops(network, placement):
    found = traffic(network, placement)
    return sum(int(h.sum()) for way in (found.hops_ew, found.hops_ns) for h in way.values())


@settings(max_examples=80, **QUICK)
@given(
    placed_networks(max_size=20),
    st.integers(1, 12),
    st.integers(1, 3),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_traffic_is_that_of_every_connection_one_by_one(network, per_core, per_node, seed):
    mesh = Mesh(3, 30, per_node)
    limits = CoreLimits("c", neurons_per_core=per_core, mesh=mesh)
    placement = place(network, limits)
    if seed is not None:  # neurons that lie in no order
        rng = np.random.default_rng(seed)
        shuffled = {name: rng.permutation(cores) for name, cores in placement.cores.items()}
        placement = dataclasses.replace(placement, cores=shuffled)
    found = connections(network)
    core_of = core_of_each(placement)
    _, _, reached = recount(network, found, core_of, limits)
    counted = traffic(network, placement)
    nodes = walk(mesh, placement.band)
    sizes = {INPUT: network.input.size} | {p.name: p.size for p in network.populations}
    for name, size in sizes.items():
        for i in range(size):
            cores = reached.get((name, i), set())
            out_of = sum(number for (source, _), number in found.items() if source == (name, i))
            assert counted.connections[name][i] == out_of
            assert counted.destination_cores[name][i] == len(cores)
            if name == INPUT:
                continue
            x, y = nodes[core_of[name, i] // per_node]
            ways = [
                (abs(x - to_x), abs(y - to_y))
                for to_x, to_y in (nodes[core // per_node] for core in cores)
            ]
            assert counted.hops_ew[name][i] == sum(east for east, _ in ways)
            assert counted.hops_ns[name][i] == sum(north for _, north in ways)
    for by_population in dataclasses.astuple(counted):
        assert all(values.dtype == np.int64 for values in by_population.values())
    assert not {INPUT} & (set(counted.hops_ew) | set(counted.hops_ns))
    if seed is None:
        for band in range(1, 4):
            other = dataclasses.replace(placement, band=band)
            assert total_hops(network, placement) <= total_hops(network, other)


def test_a_chain_on_a_mesh_worked_out_by_hand():
    # Cores of 2 neurons: p1 on cores 0 and 1, p2 on core 2. One core per node, two nodes wide:
    # row 0 is 0, 1; row 1 runs back, so that core 2 lies above core 1.
    network = layers(3, 4, 2)
    placement = place(network, CoreLimits("c", neurons_per_core=2, mesh=Mesh(2, 2)))
    assert {name: cores.tolist() for name, cores in placement.cores.items()} == {
        "p1": [0, 0, 1, 1],
        "p2": [2, 2],
    }
    found = traffic(network, placement)
    assert found.connections[INPUT].tolist() == [4, 4, 4]
    assert found.destination_cores[INPUT].tolist() == [2, 2, 2]
    assert found.destination_cores["p1"].tolist() == [1, 1, 1, 1]
    assert found.hops_ew["p1"].tolist() == [1, 1, 0, 0]
    assert found.hops_ns["p1"].tolist() == [1, 1, 1, 1]
    assert found.destination_cores["p2"].tolist() == [0, 0]
    assert placement.used["in_axons"].tolist() == [3, 3, 4]
    assert placement.used["out_axons"].tolist() == [2, 2, 0]


def test_a_route_to_the_own_core_has_no_hop():
    network = layers(2, 3, 4)
    found = traffic(network, place(network, CoreLimits("c", mesh=Mesh(2, 2))))
    assert found.destination_cores["p1"].tolist() == [1, 1, 1]
    assert found.hops_ew["p1"].tolist() == found.hops_ns["p1"].tolist() == [0, 0, 0]


def test_without_a_mesh_no_hops_are_made_up():
    network = layers(3, 4, 2)
    found = traffic(network, place(network, CoreLimits("c", neurons_per_core=2)))
    assert found.hops_ew is found.hops_ns is None


@pytest.mark.parametrize(
    ("limits", "resource", "population", "used", "available"),
    [
        ({"fan_in_per_neuron": 5}, "fan_in_per_neuron", "p2", 7, 5),
        ({"fan_out_per_neuron": 2}, "fan_out_per_neuron", "p1", 3, 2),
        ({"input_neurons": 5}, "input_neurons", INPUT, 6, 5),
        ({"hidden_neurons": 6}, "hidden_neurons", "p1", 7, 6),
        ({"readout_neurons": 2}, "readout_neurons", "p2", 3, 2),
        ({"neurons_per_chip": 9}, "neurons_per_chip", None, 10, 9),
        ({"synapses_per_chip": 9}, "synapses_per_chip", None, 63, 9),
        ({"neurons_per_core": 2, "cores_per_chip": 4}, "cores_per_chip", "p1", 5, 4),
        ({"neurons_per_core": 2, "mesh": Mesh(2, 1, 2)}, "cores_per_chip", "p1", 5, 4),
        ({"synapses_per_core": 6}, "synapses_per_core", "p2", 7, 6),
        (
            {"synapse_bits_per_core": 55, "bits_per_synapse": 8},
            *("synapse_bits_per_core", "p2", 56, 55),
        ),
        ({"in_axons_per_core": 6}, "in_axons_per_core", "p2", 7, 6),
        ({"neurons_per_core": 1, "out_axons_per_core": 2}, "out_axons_per_core", "p1", 3, 2),
        (
            {"neurons_per_core": 1, "destination_cores_per_neuron": 2},
            *("destination_cores_per_neuron", "p1", 3, 2),
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(limits, resource, population, used, available):
    with pytest.raises(DoesNotFitError) as refused:
        place(layers(6, 7, 3), CoreLimits("c", **limits))
    error = refused.value
    assert (error.resource, error.population) == (resource, population)
    assert (error.used, error.available) == (used, available)
    thing = {INPUT: "the input", None: "the network"}.get(population, f"population '{population}'")
    for words in (thing, f"needs {used} ", f"c has {available}"):
        assert words in str(error)


def test_what_is_not_known_is_unchecked_and_what_is_meaningless_is_not_listed():
    limits = CoreLimits("c", neurons_per_core=10, not_applicable=frozenset({"fan_in_per_neuron"}))
    placement = place(layers(6, 7, 3), limits)
    assert placement.utilization == {"neurons_per_core": (10, 10)}
    assert "cores_per_chip" in placement.unchecked
    assert "fan_in_per_neuron" not in placement.unchecked
    assert placement.is_by_core


def test_a_chip_of_which_nothing_is_known_is_one_core_with_nothing_checked():
    placement = place(layers(6, 7, 3), CoreLimits("c"))
    assert placement.cores_used == placement.lower_bound_cores == 1
    assert placement.utilization == {}
    assert len(placement.unchecked) == len(placement.checks)
    assert not placement.is_by_core


def test_memory_is_unchecked_where_the_bits_of_a_connection_are_not_known():
    limits = CoreLimits("c", cores_per_chip=3, neurons_per_core=5, synapse_bits_per_core=1)
    placement = place(layers(6, 7, 3), limits)
    assert "synapse_bits_per_core" in placement.unchecked


@pytest.mark.parametrize("mesh", [None, Mesh(4, 2, 2)])
def test_the_picture_has_a_field_for_every_core_and_a_color_for_every_population(mesh):
    limits = CoreLimits("c", cores_per_chip=16, neurons_per_core=2, mesh=mesh)
    axes, *_ = placement_figure(place(layers(6, 7, 3), limits)).axes
    cores, strips = axes.collections
    assert len(cores.get_paths()) == 16
    # 10 neurons on 5 cores: p1 on 4 of them, p2 on 2.
    assert len(strips.get_paths()) == 6
    assert "c: 5 of 16 cores used" in axes.get_title()
    assert "neurons of core 0, 2 of 2" in axes.get_title()


def test_the_picture_shows_no_use_where_none_is_known():
    figure = placement_figure(place(layers(6, 7, 3), CoreLimits("c")))
    assert len(figure.axes) == 1
    assert "of core" not in figure.axes[0].get_title()
