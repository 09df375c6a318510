"""NIR graphs: versions, subgraphs, recurrence, and types of nodes."""

import h5py
import numpy as np
import pytest
from support.nir_files import ASKED, chain, lif, weights, write
from support.nir_simulation import Simulation

from neuroattack.errors import FileError
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.nir.graph.graph import read_graph
from neuroattack.ir.nir.importing import import_nir

nir = pytest.importorskip("nir")

SAME_STEP = {**ASKED, "arrival": "same-step"}


def change(path, **fields):
    """Replace, or with None delete, datasets of a file; `__` stands for `/`."""
    with h5py.File(path, "r+") as file:
        for field, value in fields.items():
            name = field.replace("__", "/")
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value
    return path


@pytest.mark.parametrize("version", ["0.0.1", "0.1.1", "0.2.0", "0.3.0", "1.0.0", "1.0.8"])
def test_files_of_all_versions_are_read(tmp_path, version):
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 2))), lif())
    # Early versions do not have reset potentials.
    change(path, version=version, node__nodes__n1__v_reset=None)
    assert import_nir(path, **ASKED).network.origin["from"] == f"NIR {version}"


@pytest.mark.parametrize("version", ["2.0.0", "10.1", "", "one"])
def test_other_versions_are_refused(tmp_path, version):
    path = change(chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 2))), lif()), version=version)
    with pytest.raises(FileError, match=r"NIR version: got .*, expected 0\.x or 1\.x"):
        read_graph(path)


def test_networks_of_lava_dl_are_told_apart(tmp_path):
    path = tmp_path / "trained.net"
    with h5py.File(path, "w") as file:
        file["layer/0/type"] = "dense"
        file["layer/0/weight"] = np.ones((2, 2))
    with pytest.raises(FileError, match=r"lava-dl \(\.net\)"):
        read_graph(path)


def recurrent_nodes(size=2, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    loop = rng.normal(size=(size, size))
    return {
        "neurons": lif(size),
        "loop": nir.Affine(loop, rng.normal(size=size) * 0.1) if bias else nir.Linear(loop),
    }


def wrapped(nodes, edges, size):
    """Return nodes and edges as a subgraph with one input and one output."""
    ends = {
        "input": nir.Input({"input": np.array([size])}),
        "output": nir.Output({"output": np.array([size])}),
    }
    return nir.NIRGraph({**nodes, **ends}, edges, metadata={}, type_check=False)


def test_subgraphs_are_flattened(tmp_path):
    rng = np.random.default_rng(1)
    inner = recurrent_nodes(3)
    loop = [("neurons", "loop"), ("loop", "neurons")]
    subgraph = wrapped(inner, [("input", "neurons"), *loop, ("neurons", "output")], 3)
    nested = wrapped({"inner": subgraph}, [("input", "inner"), ("inner", "output")], 3)
    first, last = nir.Linear(rng.normal(1, 1, (3, 2))), nir.Linear(rng.normal(1, 1, (1, 3)))
    deep = chain(tmp_path / "deep.nir", first, nested, last, lif())
    flat = write(
        tmp_path / "flat.nir",
        {
            "in": nir.Input({"input": np.array([2])}),
            **inner,
            "first": first,
            "last": last,
            "n3": lif(),
            "out": nir.Output({"output": np.array([1])}),
        },
        [
            *(("in", "first"), ("first", "neurons"), *loop),
            *(("neurons", "last"), ("last", "n3"), ("n3", "out")),
        ],
    )
    spikes = rng.random((60, 2)) < 0.4
    found = simulate(import_nir(deep, **SAME_STEP).network, spikes)
    expected = simulate(import_nir(flat, **SAME_STEP).network, spikes)
    assert expected["neurons"].sum() > 10
    np.testing.assert_array_equal(found["n1_inner_neurons"], expected["neurons"])
    np.testing.assert_array_equal(found["n3"], expected["n3"])


def test_subgraphs_have_one_input_and_one_output(tmp_path):
    two = {**recurrent_nodes(1), "second": nir.Input({"input": np.array([1])})}
    edges = [("input", "neurons"), ("second", "loop"), ("loop", "neurons"), ("neurons", "output")]
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 2))), wrapped(two, edges, 1), lif())
    with pytest.raises(FileError, match="subgraph 'n1' Input nodes: got 2"):
        read_graph(path)


def test_edges_within_subgraphs_are_checked(tmp_path):
    subgraph = wrapped(recurrent_nodes(1), [("input", "neurons"), ("neurons", "output")], 1)
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 2))), subgraph, lif())
    edges = np.array([["input", "nowhere"], ["somewhere", "output"]], "S")
    change(path, node__nodes__n1__edges=edges.astype(h5py.string_dtype()))
    with pytest.raises(FileError, match="subgraph 'n1' edge 'input' -> 'nowhere'"):
        read_graph(path)


def test_an_edge_may_have_the_former_name_of_a_node_in_a_subgraph(tmp_path):
    # As in the networks that were published with the NIR paper.
    edges = [("input", "neurons"), ("neurons", "loop"), ("loop", "neurons"), ("neurons", "output")]
    subgraph = wrapped(recurrent_nodes(1), edges, 1)
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 2))), subgraph, lif())
    with h5py.File(path, "r+") as file:
        file.move("node/nodes/n1/nodes/neurons", "node/nodes/n1/nodes/n1")
    imported = import_nir(path, **SAME_STEP)
    assert imported.network.population("n1_n1").size == 1
    assert any("'neurons'" in note and "'n1'" in note for note in imported.notes)


def two_layers(tmp_path, edges, arrival="same-step", delay=None):
    """Return the spikes of two layers here and in the independent simulation."""
    rng = np.random.default_rng(2)
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "a": lif(4),
        "b": lif(2),
        "in-a": nir.Linear(rng.normal(0.8, 1, (4, 3))),
        "in-b": nir.Linear(rng.normal(0.8, 1, (2, 3))),
        "a-b": nir.Affine(rng.normal(0.5, 1, (2, 4)), rng.normal(0, 0.2, 2)),
        "b-a": nir.Affine(rng.normal(0, 1, (4, 2)), rng.normal(0, 0.2, 4)),
        "a-a": nir.Linear(rng.normal(0, 1, (4, 4))),
        "out": nir.Output({"output": np.array([2])}),
    }
    if delay is not None:
        nodes["wait"] = nir.Delay(np.full(4, delay))
    used = {name for edge in edges for name in edge}
    path = write(
        tmp_path / "n.nir", {name: node for name, node in nodes.items() if name in used}, edges
    )
    imported = import_nir(path, **{**ASKED, "arrival": arrival})
    spikes = rng.random((80, 3)) < 0.3
    found = simulate(imported.network, spikes)
    simulation = Simulation(nir.read(path, type_check=False), 1e-3, arrival=arrival)
    return found, simulation.run(spikes.astype(float)) if delay is None else None, imported


LOOPS = {
    "in a layer": [("a", "a-a"), ("a-a", "a")],
    "back": [("b", "b-a"), ("b-a", "a")],
    "both": [("a", "a-a"), ("a-a", "a"), ("b", "b-a"), ("b-a", "a")],
}
FORWARD = [("in", "in-a"), ("in-a", "a"), ("a", "a-b"), ("a-b", "b"), ("b", "out")]


@pytest.mark.parametrize("arrival", ["same-step", "next-step"])
@pytest.mark.parametrize("loops", LOOPS)
def test_recurrent_graphs_spike_as_simulated(tmp_path, loops, arrival):
    found, expected, imported = two_layers(tmp_path, [*FORWARD, *LOOPS[loops]], arrival)
    assert [population.name for population in imported.network.populations] == ["a", "b"]
    for name in ("a", "b"):
        assert 10 < found[name].sum() < 300
        np.testing.assert_array_equal(found[name], expected[name])
    assert bool(imported.notes) == (arrival == "same-step")


def test_delays_make_feedback_where_there_are_some(tmp_path):
    # Both layers are as far from the input; only the connection with a delay can wait.
    edges = [("in", "in-a"), ("in-a", "a"), ("in", "in-b"), ("in-b", "b"), ("b", "out")]
    edges += [("a", "wait"), ("wait", "a-b"), ("a-b", "b"), ("b", "b-a"), ("b-a", "a")]
    _, _, imported = two_layers(tmp_path, edges, delay=2e-3)
    delays = {(p.source, p.target): p.delay_steps for p in imported.network.projections}
    assert (delays["b", "a"], delays["a", "b"]) == (0, 2)


def test_cycles_without_neurons_are_refused(tmp_path):
    one = nir.Linear(np.ones((1, 1)))
    nodes = {
        "in": nir.Input({"input": np.array([1])}),
        "w": one,
        "x": one,
        "a": lif(),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("in", "w"), ("w", "x"), ("x", "w"), ("x", "a"), ("a", "out")]
    with pytest.raises(
        FileError, match=r"cycle without neurons \('(w' -> 'x' -> 'w|x' -> 'w' -> 'x)'\)"
    ):
        read_graph(write(tmp_path / "n.nir", nodes, edges))


def test_neurons_without_a_path_from_the_input_are_refused(tmp_path):
    nodes = {
        "in": nir.Input({"input": np.array([1])}),
        "a": lif(),
        "lonely": nir.IF(np.ones(1), np.ones(1)),
        "w": nir.Scale(np.ones(1)),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("in", "a"), ("a", "out"), ("lonely", "w"), ("w", "lonely")]
    with pytest.raises(FileError, match="no path from the input"):
        import_nir(write(tmp_path / "n.nir", nodes, edges), **SAME_STEP)


def test_neurons_may_differ_in_every_parameter(tmp_path):
    rng = np.random.default_rng(5)
    size = 6
    node = nir.CubaLIF(
        tau_syn=rng.uniform(1e-3, 5e-3, size),
        tau_mem=rng.uniform(2e-3, 2e-2, size),
        r=rng.uniform(1, 3, size),
        v_leak=rng.uniform(-0.2, 0.2, size),
        v_threshold=rng.uniform(0.3, 0.6, size),
        v_reset=rng.uniform(-0.5, 0.0, size),
        w_in=rng.uniform(0.5, 1.5, size),
    )
    spikes = rng.random((100, 3)) < 0.5
    for integration in ("euler", "hold", "impulse"):
        layer = nir.Affine(rng.normal(1, 1, (size, 3)), np.full(size, 0.1))
        if integration == "impulse":
            # Of spikes only: a constant is no impulse.
            layer = nir.Linear(1e-3 * layer.weight)
        path = chain(tmp_path / "n.nir", layer, node, pixels=(3,), classes=size)
        for order in ("before", "after"):
            settings = {**SAME_STEP, "integration": integration, "input_order": order}
            found = simulate(import_nir(path, **settings).network, spikes)["n1"]
            simulation = Simulation(nir.read(path), 1e-3, integration, late_input=order == "after")
            expected = simulation.run(spikes.astype(float))["n1"]
            assert 30 < expected.sum() < 500
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["LI", "CubaLI", "I"])
def test_integrators_are_read_out_by_their_potential(tmp_path, kind):
    rng = np.random.default_rng(6)
    fields = {"tau": 0.02, "tau_mem": 0.02, "tau_syn": 5e-3, "r": 2.0, "v_leak": 0.0}
    used = {
        "LI": ("tau", "r", "v_leak"),
        "CubaLI": ("tau_mem", "tau_syn", "r", "v_leak"),
        "I": ("r",),
    }[kind]
    node = getattr(nir, kind)(**{field: np.full(2, fields[field]) for field in used})
    layer = nir.Affine(rng.normal(size=(2, 3)), rng.normal(size=2))
    path = chain(tmp_path / "n.nir", layer, node, pixels=(3,), classes=2)
    settings = SAME_STEP | ({"input_order": "before"} if kind == "CubaLI" else {})
    with pytest.raises(FileError, match=f"readout of {kind} node 'n1'.*got no --readout"):
        import_nir(path, **settings)
    with pytest.raises(FileError, match="readout: got 'spike_count'"):
        import_nir(path, **settings, readout="spike_count")
    imported = import_nir(path, **settings, readout="max_potential")
    assert imported.network.readout_quantity == "max_potential"
    spikes = rng.random((40, 3)) < 0.4
    expected = Simulation(nir.read(path), 1e-3).run(spikes.astype(float))["n1"]
    found = readout_potentials(imported.network, spikes)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_integrators_between_neurons_are_refused(tmp_path):
    one = nir.Linear(np.ones((1, 1)))
    li = nir.LI(np.full(1, 0.01), np.ones(1), np.zeros(1))
    path = chain(tmp_path / "n.nir", one, li, one, lif(), pixels=(1,))
    with pytest.raises(FileError, match=r"LI node 'n1'.* linear node 'n2'"):
        import_nir(path, **ASKED)


def test_integrators_of_different_rest_are_refused(tmp_path):
    li = nir.LI(np.full(2, 0.01), np.ones(2), np.array([0.0, 1.0]))
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((2, 2))), li, classes=2)
    with pytest.raises(FileError, match=r"LI node 'n1'.*v_leak"):
        import_nir(path, **ASKED, readout="final_potential")


def test_outputs_without_neurons_are_summed_if_asked_for(tmp_path):
    rng = np.random.default_rng(7)
    layer = nir.Affine(rng.normal(size=(2, 4)), rng.normal(size=2))
    first = nir.Linear(rng.normal(1, 1, (4, 3)))
    path = chain(tmp_path / "n.nir", first, lif(4), layer, pixels=(3,), classes=2)
    with pytest.raises(FileError, match="output_sum"):
        import_nir(path, **SAME_STEP)
    imported = import_nir(path, **SAME_STEP, readout="output_sum")
    assert imported.network.readout_quantity == "final_potential"
    spikes = rng.random((40, 3)) < 0.4
    expected = Simulation(nir.read(path), 1e-3).run(spikes.astype(float))["n2"].sum(axis=0)
    found = readout_potentials(imported.network, spikes)[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("comparison", ["strict", "inclusive"])
def test_thresholds_are_neurons_without_memory(tmp_path, comparison):
    threshold = nir.Threshold(np.array([1.0, -0.5, 2.0]))
    weight = np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    path = chain(tmp_path / "n.nir", nir.Linear(weight), threshold, classes=3)
    settings = {**SAME_STEP, "comparison": comparison}
    network = import_nir(path, **settings).network
    spikes = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0]], bool)
    value = spikes @ weight.T
    expected = value > threshold.threshold
    if comparison == "inclusive":
        expected = value >= threshold.threshold
    np.testing.assert_array_equal(simulate(network, spikes)["n1"], expected)


def test_weights_of_parallel_connections_add_up(tmp_path):
    nodes = {
        "in": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(np.array([[1.0, 2.0]])),
        "x": nir.Linear(np.array([[0.5, 0.0]])),
        "a": lif(),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("in", "w"), ("in", "x"), ("w", "a"), ("x", "a"), ("a", "out")]
    (projection,) = import_nir(write(tmp_path / "n.nir", nodes, edges), **ASKED).network.projections
    np.testing.assert_allclose(weights(projection)[:, 0], [1.5, 2.0])
