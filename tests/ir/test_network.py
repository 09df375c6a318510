"""Networks: validation, the weight grid, and lossless storage."""

import dataclasses

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.networks import edit_hdf5, small_network

from neuroattack.conformance.networks import fixed_networks, networks
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.errors import (
    FileError,
    NeuroattackError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.ir.storage import load_network, save_network


@st.composite
def featured(draw):
    features = frozenset(draw(st.sets(st.sampled_from(sorted(FEATURES)))))
    return draw(st.one_of(networks(features=features), fixed_networks(features=features)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(featured())
def test_storage_round_trip_is_the_identity(tmp_path, network):
    path = tmp_path / "network.h5"
    save_network(path, network)
    loaded = load_network(path)
    assert loaded == network
    assert loaded.checksum() == network.checksum()


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    )
)
def test_weights_are_rounded_to_the_nearest_point_of_a_24_bit_grid(weights):
    projection = Projection.from_weights("a", "b", weights)
    assert np.abs(projection.mantissas).max() < 2**23
    error = np.abs(projection.weights_v - weights).max()
    assert error <= 2.0 ** (projection.exponent - 1)
    largest = np.abs(weights).max()
    if largest > 2.0**-270:
        assert 2.0**projection.exponent <= largest / 2**21


def test_grid_weights_are_kept_exactly():
    weights = np.array([[1.0, -0.5], [0.25, 0.0]])
    np.testing.assert_array_equal(Projection.from_weights("a", "b", weights).weights_v, weights)


def test_numbers_of_any_kind_give_the_checksum_that_a_file_gives_back(tmp_path):
    network = dataclasses.replace(
        small_network(),
        input=Input((28, 28), PoissonEncoder(np.int64(100))),
        dt_s=np.float32(2**-10),
    )
    save_network(tmp_path / "n.h5", network)
    assert load_network(tmp_path / "n.h5").checksum() == network.checksum()
    with pytest.raises(ValidationError, match="network origin"):
        dataclasses.replace(network, origin={"x": 1})


def test_direct_coding_is_stored_with_its_grid(tmp_path):
    network = dataclasses.replace(small_network(), input=Input((28, 28), DirectEncoder(12)))
    save_network(tmp_path / "n.h5", network)
    loaded = load_network(tmp_path / "n.h5")
    assert loaded == network
    assert loaded.checksum() == network.checksum()
    other = dataclasses.replace(network, input=Input((28, 28), DirectEncoder(13)))
    assert other.checksum() != network.checksum()


def test_any_change_changes_equality_and_checksum():
    network = small_network()
    for changed in (
        dataclasses.replace(network, dt_s=2e-3),
        dataclasses.replace(network, input=Input((28, 28), PoissonEncoder(90.0))),
        small_network(seed=1),
        dataclasses.replace(
            network,
            populations=(
                dataclasses.replace(network.populations[0], refractory_steps=3),
                network.populations[1],
            ),
        ),
    ):
        assert changed != network
        assert changed.checksum() != network.checksum()
    assert small_network() == network


def test_arrays_of_a_network_cannot_be_written():
    network = small_network()
    for array in (network.populations[0].threshold_v, network.projections[0].mantissas):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


GOOD = {"name": "p", "size": 3, "tau_m_s": 0.1, "threshold_v": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "population 'p' size: got 0, expected .* from 1"),
        ({"size": 2.5}, "population 'p' size: got 2.5"),
        ({"name": "input"}, "population name: got 'input'"),
        ({"name": "a b"}, "population name: got 'a b'"),
        ({"tau_m_s": 0.0}, "tau_m_s: got 0,"),
        ({"tau_m_s": float("nan")}, "tau_m_s: got NaN"),
        ({"threshold_v": [1.0, 2.0]}, r"threshold_v: got shape \(2,\)"),
        ({"threshold_v": float("nan")}, "threshold_v: got NaN"),
        ({"threshold_v": 0.0}, "threshold_v: got 0 V, expected above reset_v"),
        ({"bias_v": float("inf")}, "bias_v: got an infinite value"),
        ({"reset_v": float("nan")}, "reset_v: got NaN"),
        ({"refractory_steps": -1}, "refractory_steps: got -1"),
        ({"refractory_steps": [0, 1]}, r"refractory_steps: got shape \(2,\)"),
        ({"refractory_steps": [0, 1, 0.5]}, "refractory_steps: got type float64"),
        ({"threshold_v": float("-inf")}, "threshold_v: got -inf"),
        ({"reset": "never"}, "unknown population 'p' reset 'never'"),
        ({"comparison": "above"}, "unknown population 'p' comparison 'above'"),
        ({"reset": "subtract", "reset_v": -1.0}, "reset_v: got -1 V"),
        ({"reset": "subtract_next", "refractory_steps": 1}, "refractory_steps: got 1"),
        ({"tau_syn_s": -1.0}, "tau_syn_s: got -1 s"),
        ({"tau_syn_s": float("inf")}, "tau_syn_s: got an infinite value"),
        ({"input_after_update": 1}, "input_after_update: got 1"),
    ],
)
def test_impossible_populations_are_refused(changes, message):
    with pytest.raises(NeuroattackError, match=message):
        Population(**(GOOD | changes))


def kernel(*shape):
    return np.ones((1, 1, *shape))


def convolution(**changes):
    fields = {"kernel": np.ones((1, 1, 2, 2), int), "exponent": 0, "source_shape": (1, 3, 3)}
    return Convolution("a", "b", **(fields | changes))


def network_with(**changes):
    fields = {
        "dt_s": 1e-3,
        "input": Input((4,), PoissonEncoder(100.0)),
        "populations": (Population(**GOOD), Population(**(GOOD | {"name": "q"}))),
        "projections": (
            Projection.from_weights(INPUT, "p", np.ones((4, 3))),
            Projection.from_weights("p", "q", np.ones((3, 3))),
        ),
        "readout": "q",
    }
    return Network(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dt_s": 0.0}, "network dt_s: got 0.0"),
        ({"dt_s": 0.02}, "100 Hz with steps of 0.02 s"),
        ({"readout": "x"}, "network readout: got 'x'"),
        ({"readout": INPUT}, "network readout"),
        ({"populations": (Population(**GOOD), Population(**GOOD))}, "'p' twice"),
        (
            {"projections": (Projection.from_weights("q", "p", np.ones((3, 3)), 0),)},
            "q->p delay_steps: got 0",
        ),
        (
            {"projections": (Projection.from_weights("p", "p", np.ones((3, 3)), 0),)},
            "p->p delay_steps: got 0",
        ),
        (
            {"projections": (Projection.from_weights("p", INPUT, np.ones((3, 4))),)},
            "p->input: got the input",
        ),
        ({"readout_quantity": "rate"}, "unknown readout quantity 'rate'"),
        ({"readout_quantity": "max_potential"}, "population 'q': got neurons that can spike"),
        (
            {"projections": (Convolution.from_weights(INPUT, "p", kernel(2, 2), (1, 2, 2)),)},
            r"shape \(4, 1\), expected \(4, 3\)",
        ),
        (
            # 24 bits of weights, 30 of intensities and 2 of four pixels.
            {"input": Input((4,), DirectEncoder(30))},
            "weights into population 'p': got a range of 5",
        ),
        (
            {"projections": (Projection.from_weights("x", "p", np.ones((3, 3))),)},
            "unknown population 'x'",
        ),
        (
            {"projections": (Projection.from_weights(INPUT, "p", np.ones((3, 3))),)},
            r"shape \(3, 3\), expected \(4, 3\)",
        ),
        (
            {
                "projections": (
                    Projection.from_weights(INPUT, "p", np.ones((4, 3))),
                    Projection.from_weights(INPUT, "p", np.full((4, 3), 1e-12)),
                )
            },
            r"weights into population 'p': got .* bits, expected .*53 bits",
        ),
    ],
)
def test_impossible_networks_are_refused(changes, message):
    with pytest.raises(NeuroattackError, match=message):
        network_with(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Projection("a", "b", np.zeros((2, 2)), 0), "mantissas: got type float64"),
        (lambda: Projection("a", "b", np.zeros((2, 0), int), 0), r"shape \(2, 0\)"),
        (lambda: Projection("a", "b", np.full((1, 1), 2**23), 0), "below 2..23"),
        (lambda: Projection("a", "b", np.ones((1, 1), int), 0, -1), "delay_steps: got -1"),
        (lambda: Projection("a", "b", np.ones((1, 1), int), 400), "exponent: got 400"),
        (lambda: Projection.from_weights("a", "b", [[np.nan]]), "NaN or infinite"),
        (lambda: convolution(kernel=np.ones((1, 1, 4, 2), int)), "kernel: got 4 x 2"),
        (lambda: convolution(kernel=np.ones((2, 2), int)), r"kernel: got shape \(2, 2\)"),
        (lambda: convolution(kernel=np.ones((1, 2, 1, 1), int)), "1 source channels"),
        (lambda: convolution(kernel=np.ones((3, 1, 1, 1), int), groups=2), "in 2 groups"),
        (lambda: convolution(groups=0), "groups: got 0"),
        (lambda: convolution(stride=(0, 1)), "stride: got 0"),
        (lambda: convolution(dilation=(1,)), "dilation: got"),
        (lambda: convolution(padding=((0, 0), (-2, -2))), "kernel: got 2 x 2"),
        (lambda: convolution(source_shape=(3, 3)), "source_shape: got"),
        (lambda: Input((0, 4), PoissonEncoder(1.0)), "input shape: got 0"),
        (lambda: Input((), PoissonEncoder(1.0)), "input shape"),
    ],
)
def test_impossible_parts_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


@given(featured())
@settings(max_examples=40, deadline=None)
def test_the_sparse_matrix_of_a_projection_agrees_with_its_sums(network):
    for projection in network.projections:
        matrix = projection.sparse()
        assert matrix.shape == projection.shape
        np.testing.assert_array_equal(projection.fan_out(), np.diff(matrix.tocsr().indptr))
        assert projection.connections == matrix.count_nonzero()
        assert projection.largest_sum() == abs(matrix).sum(axis=0).max()
        np.testing.assert_array_equal(projection.dense().mantissas, matrix.toarray())
        assert projection.with_grid(projection.grid, projection.exponent) == projection


def test_a_large_convolution_takes_no_memory_for_its_connections():
    large = Convolution.from_weights(
        "a", "b", np.ones((256, 128, 3, 3)), (128, 64, 64), padding=((1, 1), (1, 1))
    )
    assert large.target_shape == (256, 64, 64)
    # Inner neurons connect to 3 x 3 positions, those at the border to fewer.
    assert large.connections == 256 * 128 * (3 * 64 - 2) ** 2
    assert large.largest_sum() == 128 * 9 * int(large.kernel.max())
    with pytest.raises(UnsupportedFeatureError, match="524,288 x 1,048,576"):
        large.dense()


def as_schema_1(file):
    """Rewrite a file as version 0.1 wrote it: the common numbers of all neurons as attributes."""
    file.attrs["schema"] = 1
    del file.attrs["readout_quantity"]
    for group in file["populations"].values():
        for name in ("reset", "comparison", "input_after_update"):
            del group.attrs[name]
        for name in ("tau_m_s", "reset_v", "refractory_steps"):
            group.attrs[name] = group[name][0]
        for name in ("tau_m_s", "reset_v", "refractory_steps", "tau_syn_s", "current_bias_v"):
            del group[name]


def test_a_network_of_schema_1_is_the_same_network(network_file):
    network = load_network(network_file)
    edit_hdf5(network_file, as_schema_1)
    loaded = load_network(network_file)
    assert loaded == network
    # As computed by version 0.1.
    assert loaded.checksum() == ("afc44860ca2fec5c4c654fac625df80384818d595fc7d3f263f2f517a85ba7d3")


def set_attribute(group, name, value):
    def change(file):
        file[group].attrs[name] = value

    return change


def replace_array(name, array):
    def change(file):
        del file[name]
        file[name] = array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_attribute("/", "schema", 99), "network schema 99, expected 1 to 2"),
        (set_attribute("/", "schema", "one"), "attribute schema of / is 'one'"),
        (set_attribute("/", "kind", "sdbn-model"), "contains a sdbn-model, expected a network"),
        (set_attribute("/", "encoder", "morse"), "unknown encoder 'morse'"),
        (set_attribute("/", "dt_s", np.nan), "network dt_s: got nan"),
        (set_attribute("/", "max_rate_hz", 5000.0), "max_rate_hz: got 5000 Hz"),
        (set_attribute("/", "input_shape", [28.0, 28.0]), "attribute input_shape"),
        (set_attribute("populations/0", "size", 0), "population 'hidden' size: got 0"),
        (set_attribute("populations/0", "tau_m_s", "long"), "tau_m_s of /populations/0 is 'long'"),
        (set_attribute("populations/0", "reset", "slow"), "'hidden' reset 'slow'"),
        (set_attribute("/", "readout_quantity", "rate"), "readout quantity 'rate'"),
        (set_attribute("projections/0", "delay_steps", -1), "delay_steps: got -1"),
        (lambda f: f["populations"].move("0", "7"), "has no group /populations/0"),
        (lambda f: f["projections/0"].pop("mantissas"), "has no array /projections/0/mantissas"),
        (replace_array("projections/0/mantissas", np.zeros((784, 30))), "is float64 of 2"),
        (replace_array("populations/0/threshold_v", np.full(30, np.nan)), "threshold_v: got NaN"),
        (replace_array("projections/0/mantissas", np.zeros((784, 31), np.int32)), "expected"),
    ],
)
def test_damaged_fields_are_refused_by_name(network_file, change, message):
    edit_hdf5(network_file, change)
    with pytest.raises(FileError, match=message) as caught:
        load_network(network_file)
    assert str(caught.value).startswith(str(network_file))


def test_an_array_that_declares_more_than_the_file_holds_is_not_allocated(network_file):
    def grow(file):
        del file["projections/0/mantissas"]
        file["projections/0"].create_dataset("mantissas", (60000, 60000), "i4", chunks=(100, 100))

    edit_hdf5(network_file, grow)
    with pytest.raises(FileError, match=r"/projections/0/mantissas declares .*\(60000, 60000\)"):
        load_network(network_file)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_bit_flips_and_truncation_are_refused(network_file, data):
    content = bytearray(network_file.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(1, len(content) - 1))]
    else:
        # The rest of the user block after the checksum is unused padding.
        place = data.draw(st.one_of(st.integers(0, 80), st.integers(512, len(content) - 1)))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    damaged = network_file.with_name("damaged.h5")
    damaged.write_bytes(content)
    with pytest.raises(FileError, match=r"damaged.h5: is "):
        load_network(damaged)


def test_hdf5_of_others_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(FileError, match="is HDF5 but not written by neuroattack"):
        load_network(path)
