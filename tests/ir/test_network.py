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
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.errors import FileError, ValidationError
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(networks(), fixed_networks()))
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
        ({"tau_m_s": 0.0}, "tau_m_s: got 0.0"),
        ({"tau_m_s": float("nan")}, "tau_m_s: got nan"),
        ({"threshold_v": [1.0, 2.0]}, r"threshold_v: got shape \(2,\)"),
        ({"threshold_v": float("nan")}, "threshold_v: got NaN"),
        ({"threshold_v": 0.0}, "threshold_v: got 0 V, expected above reset_v"),
        ({"bias_v": float("inf")}, "bias_v: got NaN or infinite"),
        ({"reset_v": float("nan")}, "reset_v: got nan"),
        ({"refractory_steps": -1}, "refractory_steps: got -1"),
    ],
)
def test_impossible_populations_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Population(**(GOOD | changes))


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
            {"projections": (Projection.from_weights("q", "p", np.ones((3, 3))),)},
            "against the order",
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
    with pytest.raises(ValidationError, match=message):
        network_with(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Projection("a", "b", np.zeros((2, 2)), 0), "mantissas: got type float64"),
        (lambda: Projection("a", "b", np.zeros((2, 0), int), 0), r"shape \(2, 0\)"),
        (lambda: Projection("a", "b", np.full((1, 1), 2**23), 0), "below 2..23"),
        (lambda: Projection("a", "b", np.ones((1, 1), int), 0, 0), "delay_steps: got 0"),
        (lambda: Projection("a", "b", np.ones((1, 1), int), 400), "exponent: got 400"),
        (lambda: Projection.from_weights("a", "b", [[np.nan]]), "NaN or infinite"),
        (lambda: Input((0, 4), PoissonEncoder(1.0)), "input shape: got 0"),
        (lambda: Input((), PoissonEncoder(1.0)), "input shape"),
    ],
)
def test_impossible_parts_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


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
        (set_attribute("/", "schema", 99), "network schema 99, expected 1"),
        (set_attribute("/", "schema", "one"), "attribute schema of / is 'one'"),
        (set_attribute("/", "kind", "sdbn-model"), "contains a sdbn-model, expected a network"),
        (set_attribute("/", "encoder", "morse"), "unknown encoder 'morse'"),
        (set_attribute("/", "dt_s", np.nan), "network dt_s: got nan"),
        (set_attribute("/", "max_rate_hz", 5000.0), "max_rate_hz: got 5000 Hz"),
        (set_attribute("/", "input_shape", [28.0, 28.0]), "attribute input_shape"),
        (set_attribute("populations/0", "size", 0), "population 'hidden' size: got 0"),
        (set_attribute("populations/0", "tau_m_s", "long"), "tau_m_s of /populations/0 is 'long'"),
        (set_attribute("projections/0", "delay_steps", 0), "delay_steps: got 0"),
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
