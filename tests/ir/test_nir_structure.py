"""Convolutions and pooling in NIR files remain kernels, and have the weights of plain loops."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nir_files import ASKED, chain, weights
from support.nir_simulation import Simulation, linear

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import FileError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Convolution, Input, Network, Population, Projection
from neuroattack.ir.nir.exporting import export_nir
from neuroattack.ir.nir.importing import import_nir

nir = pytest.importorskip("nir")


def relaxed(size=(1,)):
    """Return neurons that add up their input, and never spike in these tests."""
    return nir.IF(r=np.full(size, 1e3), v_threshold=np.full(size, 1e9))


def conv(weight, *, sides=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, bias=0.0):
    bias = np.broadcast_to(bias, len(weight)).astype(float)
    return nir.Conv2d(sides, weight, stride, padding, dilation, groups, bias)


def pool(*sides, stride=None, padding=(0, 0), average=False):
    kind = nir.AvgPool2d if average else nir.SumPool2d
    return kind(np.array(sides), np.array(stride or sides), np.array(padding))


def plain(layers, image):
    """Return the output of linear nodes, computed by the independent simulation."""
    for node in layers:
        image = linear(node, image)
    return np.ravel(image)


def output_shape(node, shape):
    return linear(node, np.zeros(shape)).shape


def check(path, layers, shape, rng, classes=None):
    """Import layers between an input and neurons; compare the map, and return its projections."""
    image = rng.integers(0, 2, shape).astype(float)
    expected = plain(layers, image)
    chain(path, *layers, relaxed(), pixels=shape, classes=classes or expected.size)
    network = import_nir(path, **ASKED).network
    (population,) = network.populations
    found = population.bias_v.copy()
    for projection in network.projections:
        found += image.ravel() @ weights(projection)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    return network.projections


@st.composite
def linear_layers(draw, shape, rng):
    """Generate up to three convolutions and poolings that fit a shape."""
    layers = []
    for _ in range(draw(st.integers(1, 3), label="layers")):
        channels, *sides = shape
        kernel = [draw(st.integers(1, min(3, side)), label="kernel") for side in sides]
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)), label="stride")
        padding = tuple(draw(st.integers(0, k), label="padding") for k in kernel)
        kind = draw(st.sampled_from(["conv", "depthwise", "sum", "average"]), label="kind")
        if kind in ("sum", "average"):
            node = pool(*kernel, stride=stride, padding=padding, average=kind == "average")
        else:
            groups = channels if kind == "depthwise" else 1
            outputs = groups * draw(st.integers(1, 2), label="outputs")
            dilation = tuple(
                draw(st.integers(1, 2)) if 2 * k - 1 <= side else 1
                for k, side in zip(kernel, sides, strict=True)
            )
            weight = rng.normal(size=(outputs, channels // groups, *kernel))
            bias = rng.normal(size=outputs) if draw(st.booleans(), label="bias") else 0.0
            node = conv(
                weight,
                sides=tuple(sides) if draw(st.booleans()) else None,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                bias=bias,
            )
            if node.input_shape is None:
                # What the package nir cannot write.
                node.input_shape = tuple(sides)
        layers.append(node)
        shape = output_shape(node, shape)
    return layers


@pytest.mark.slow
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_chains_of_convolutions_and_pooling_are_what_plain_loops_give(tmp_path, data, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.integers(low, 7)) for low in (1, 3, 3))
    layers = data.draw(linear_layers(shape, rng))
    projections = check(tmp_path / "n.nir", layers, shape, rng)
    assert len(projections) <= 1


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("pool_first", [False, True])
def test_convolution_and_pooling_become_one_kernel(tmp_path, average, pool_first):
    rng = np.random.default_rng(0)
    pooling = pool(2, 2, average=average)
    if pool_first:
        layers = [pooling, conv(rng.normal(size=(4, 3, 3, 3)), padding=(1, 1), sides=(4, 4))]
    else:
        layers = [conv(rng.normal(size=(4, 3, 3, 3)), padding=(1, 1), sides=(8, 8)), pooling]
    (projection,) = check(tmp_path / "n.nir", layers, (3, 8, 8), rng)
    assert isinstance(projection, Convolution)
    assert projection.kernel.shape == ((4, 3, 6, 6) if pool_first else (4, 3, 4, 4))
    assert projection.stride == (2, 2)


def test_rows_that_pooling_drops_are_cropped(tmp_path):
    rng = np.random.default_rng(0)
    (projection,) = check(tmp_path / "n.nir", [pool(2, 2)], (2, 7, 5), rng)
    assert isinstance(projection, Convolution)
    assert projection.target_shape == (2, 3, 2)


def test_padding_next_to_dropped_rows_is_a_matrix(tmp_path):
    # The zero behind the last pooled row would be a sum over the row that pooling drops.
    rng = np.random.default_rng(0)
    layers = [pool(2, 2), conv(rng.normal(size=(1, 1, 3, 3)), padding=(1, 1), sides=(3, 3))]
    (projection,) = check(tmp_path / "n.nir", layers, (1, 7, 7), rng)
    assert isinstance(projection, Projection)


def test_flattening_is_row_major_after_channels_first(tmp_path):
    rng = np.random.default_rng(0)
    dense = nir.Affine(rng.normal(size=(5, 2 * 3 * 2)), rng.normal(size=5))
    layers = [conv(rng.normal(size=(2, 1, 2, 2)), sides=(4, 3)), nir.Flatten(None, 0, -1), dense]
    layers[1].input_type = {"input": np.array([2, 3, 2])}
    (projection,) = check(tmp_path / "n.nir", layers, (1, 4, 3), rng)
    assert isinstance(projection, Projection)


@pytest.mark.parametrize("groups", [1, 2])
def test_one_dimension_is_one_row(tmp_path, groups):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 2 // groups, 3))
    layer = nir.Conv1d(9, weight, 2, 1, 2, groups, rng.normal(size=4))
    (projection,) = check(tmp_path / "n.nir", [layer], (2, 9), rng)
    assert projection.kernel.shape == (4, 2 // groups, 1, 3)
    assert projection.target_shape == (4, 1, 4)


def test_gains_of_channels_scale_the_kernel_and_others_the_neurons(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 1, 3, 3))
    image = rng.random((30, 1, 6, 6)) < 0.5
    for r in (np.repeat([5.0, 20.0], 16), rng.uniform(5, 20, 32)):
        shape = (2, 4, 4)
        neurons = nir.LIF(
            *(np.full(shape, 0.01), r.reshape(shape)),
            *(np.zeros(shape), np.full(shape, 1.0), np.full(shape, -0.5)),
        )
        layers = [conv(weight, sides=(6, 6)), neurons]
        path = chain(tmp_path / "n.nir", *layers, pixels=(1, 6, 6), classes=32)
        network = import_nir(path, **{**ASKED, "arrival": "same-step"}).network
        assert isinstance(network.projections[0], Convolution)
        expected = Simulation(nir.read(path, type_check=False), 1e-3).run(image.astype(float))["n1"]
        assert 20 < expected.sum() < 900
        found = simulate(network, image.reshape(30, -1))["n1"]
        np.testing.assert_array_equal(found, expected.reshape(30, -1))


def test_identities_of_many_neurons_need_no_matrix(tmp_path):
    shape = (3, 30, 30)
    path = chain(tmp_path / "n.nir", relaxed(shape), relaxed(shape), pixels=shape, classes=2700)
    network = import_nir(path, **ASKED).network
    assert all(projection.grid.size == 1 for projection in network.projections)
    np.testing.assert_array_equal(network.projections[1].fan_out(), np.ones(2700))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (conv(np.ones((1, 1, 5, 5)), sides=(4, 4)), (1, 4, 4), "kernel: got 5 x 5"),
        (conv(np.ones((1, 2, 2, 2)), sides=(4, 4)), (1, 4, 4), r"input: got shape \(1, 4, 4\)"),
        (conv(np.ones((1, 1, 2, 2)), sides=(5, 5)), (1, 4, 4), r"expected shape \(1, 5, 5\)"),
        (conv(np.ones((3, 1, 2, 2)), sides=(4, 4), groups=2), (2, 4, 4), "groups: got 2"),
        (pool(5, 1), (1, 4, 4), "kernel: got 5 x 1"),
        (pool(2, 2), (16,), "expected shape"),
        (nir.Conv1d(4, np.ones((1, 1, 5)), 1, 0, 1, 1, np.zeros(1)), (1, 4), "kernel: got 1 x 5"),
        (nir.Conv1d(4, np.ones((1, 3, 2)), 1, 0, 1, 1, np.zeros(1)), (1, 4), "input: got shape"),
    ],
)
def test_shapes_that_do_not_fit_are_named(tmp_path, layer, shape, message):
    path = chain(tmp_path / "n.nir", layer, relaxed(), pixels=shape)
    with pytest.raises(FileError, match=message) as caught:
        import_nir(path, **ASKED)
    assert "'n0'" in str(caught.value)


def test_dense_connections_have_a_limit(tmp_path):
    # A convolution without structure: each pixel is scaled on its own before the kernel.
    scale = nir.Scale(np.arange(1.0, 1 + 3 * 100 * 100).reshape(3, 100, 100))
    layer = conv(np.ones((8, 3, 3, 3)), sides=(100, 100))
    path = chain(tmp_path / "n.nir", scale, layer, relaxed(), pixels=(3, 100, 100))
    with pytest.raises(FileError, match="expected at most 134,217,728 pairs"):
        import_nir(path, **ASKED)


def test_graphs_without_edges_lack_an_input_or_edges(tmp_path):
    nir.write(tmp_path / "n.nir", nir.NIRGraph({}, [], type_check=False))
    with pytest.raises(FileError, match="Input nodes: got none"):
        import_nir(tmp_path / "n.nir", **ASKED)


def test_shapes_of_any_size_need_no_memory(tmp_path):
    nodes = {"i": nir.Input(np.array([100_000, 100_000])), "n": relaxed(), "o": nir.Output(None)}
    graph = nir.NIRGraph(nodes, [("i", "n"), ("n", "o")], type_check=False)
    graph.nodes["o"] = nir.Output({"output": np.array([1])})
    nir.write(tmp_path / "n.nir", graph)
    with pytest.raises(FileError, match="input node 'i' output: got shape"):
        import_nir(tmp_path / "n.nir", **ASKED)


def large_file(path):
    """Write 3x32x32 - 64C3 - 128C3 - P2 - 256C3 - P2 - 10."""

    def layer(outputs, inputs, side):
        weight = rng.normal(size=(outputs, inputs, 3, 3)).astype(np.float32)
        return conv(weight, padding=(1, 1), sides=(side, side))

    rng = np.random.default_rng(0)
    flat = nir.Flatten({"input": np.array([256, 8, 8])}, 0, -1)
    last = nir.Linear(rng.normal(size=(10, 256 * 64)).astype(np.float32))
    return chain(
        path,
        *(layer(64, 3, 32), relaxed((64, 32, 32))),
        *(layer(128, 64, 32), relaxed((128, 32, 32)), pool(2, 2, average=True)),
        *(layer(256, 128, 16), relaxed((256, 16, 16)), pool(2, 2, average=True)),
        *(flat, last, relaxed((10,))),
        pixels=(3, 32, 32),
        classes=10,
    )


def test_memory_is_proportional_to_kernels(tmp_path):
    path = large_file(tmp_path / "large.nir")
    script = (
        "import sys\n"
        "from neuroattack.ir.nir.importing import import_nir\n"
        f"network = import_nir(sys.argv[1], **{ASKED!r}).network\n"
        "print(sum(projection.connections for projection in network.projections))\n"
        # Not resource.getrusage: its peak includes that of the parent, before exec.
        "status = open('/proc/self/status').read()\n"
        "print(status.split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    connections, kibibytes = map(int, done.stdout.split())
    assert connections > 2**27
    assert kibibytes < 500 * 1024


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 3), (2, 1)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": (1, 2)},
        {"dilation": (2, 1)},
        {"padding": ((1, 1), (0, 0))},
        {"padding": ((0, 1), (2, 0))},
        {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 2)},
    ],
)
def test_exported_convolutions_are_read_by_nir_and_keep_their_weights(
    tmp_path, groups, kernel, settings
):
    rng = np.random.default_rng(3)
    shape = (4, 5, 6)
    convolution = Convolution.from_weights(
        "input",
        "out",
        rng.integers(-9, 9, (8, 4 // groups, *kernel)) / 8,
        shape,
        groups=groups,
        **settings,
    )
    size = convolution.shape[1]
    network = Network(
        dt_s=1e-3,
        input=Input(shape, PoissonEncoder(100.0)),
        populations=(Population("out", size, tau_m_s=0.02, threshold_v=1.0),),
        projections=(convolution,),
        readout="out",
    )
    export_nir(tmp_path / "n.nir", network)
    nir.read(tmp_path / "n.nir")
    (found,) = import_nir(tmp_path / "n.nir").network.projections
    np.testing.assert_array_equal(weights(found), weights(convolution))
