"""Fixed-point populations: validation, storage and checksum."""

import dataclasses

import h5py
import numpy as np
import pytest
from support.networks import edit_hdf5

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import FileError, ValidationError
from neuroattack.ir.dynamics import simulate, update_fixed
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "input"}, "population name: got 'input'"),
        ({"size": 0}, "'p' size: got 0"),
        ({"leak": 4097}, "'p' leak: got 4097, expected .* from 0 to 4096"),
        ({"threshold": -1}, "'p' threshold: got -1 to -1, expected from 0"),
        ({"threshold": 2**23}, "'p' threshold: got"),
        ({"threshold": 0.5}, "'p' threshold: got type float64"),
        ({"bias": [1, 2, 3]}, r"'p' bias: got shape \(3,\)"),
        ({"refractory_steps": -1}, "'p' refractory_steps: got -1"),
        ({"lowest": 1}, "'p' lowest: got 1, expected .* from -8388607 to 0"),
        ({"lowest": -(2**23)}, "'p' lowest: got -8388608"),
        ({"highest": -1}, "'p' highest: got -1, expected .* from 0 to 8388607"),
        ({"highest": 2**23}, "'p' highest: got 8388608"),
        ({"highest": 255.0}, "'p' highest: got 255.0"),
    ],
)
def test_impossible_fixed_point_populations_are_refused(changes, message):
    fields = {"name": "p", "size": 2, "leak": 1, "threshold": 64} | changes
    with pytest.raises(ValidationError, match=message):
        FixedPopulation(**fields)


def fixed_layer(exponent=6, size=2):
    return {
        "dt_s": 1e-3,
        "input": Input((1,), PoissonEncoder(100.0)),
        "populations": (FixedPopulation("p", size, 1, 64),),
        "projections": (Projection(INPUT, "p", np.full((1, size), 2), exponent),),
        "readout": "p",
    }


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (fixed_layer(exponent=-1), "input->p exponent, in fixed point: got -1"),
        (
            fixed_layer()
            | {"populations": (FixedPopulation("p", 2, 1, 64), Population("q", 2, 1.0, 1.0))},
            "both floating and fixed point",
        ),
    ],
)
def test_impossible_fixed_point_networks_are_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        Network(**parts)


def test_checksum_sees_every_number_of_a_fixed_point_population():
    network = Network(**fixed_layer())
    (population,) = network.populations
    for changes in (
        {"leak": 2},
        {"threshold": 65},
        {"bias": 1},
        {"refractory_steps": 1},
        {"lowest": -100},
        {"highest": 100},
    ):
        other = dataclasses.replace(
            network, populations=(dataclasses.replace(population, **changes),)
        )
        assert other != network
        assert other.checksum() != network.checksum()


@pytest.mark.parametrize(
    ("v", "current", "limits", "expected"),
    [
        (200, 56, (0, 255), 255),
        (200, 55, (0, 255), 255),
        (200, 54, (0, 255), 254),
        (200, -201, (0, 255), 0),
        (-128, -1, (-128, 127), -128),
        (-128, 300, (-128, 127), 127),
        (5, 5, (0, 0), 0),
    ],
)
def test_potentials_are_clipped_to_the_population_s_own_limits(v, current, limits, expected):
    population = FixedPopulation("p", 1, 0, 0, lowest=limits[0], highest=limits[1])
    found = update_fixed(np.array([float(v)]), np.array([float(current)]), population)
    assert found.tolist() == [expected]


def narrow(threshold=200):
    population = FixedPopulation("p", 1, 1, threshold, lowest=-7, highest=200)
    return Network(**fixed_layer(size=1) | {"populations": (population,)})


def test_a_threshold_that_is_not_below_the_highest_potential_is_never_passed():
    raster = np.ones((50, 1), bool)
    assert not simulate(narrow(threshold=200), raster)["p"].any()
    assert simulate(narrow(threshold=199), raster)["p"].any()


def test_limits_are_kept_in_files(tmp_path):
    save_network(tmp_path / "narrow.h5", narrow())
    assert load_network(tmp_path / "narrow.h5") == narrow()


def test_a_file_from_before_there_were_limits_has_those_of_24_bits(tmp_path):
    path = tmp_path / "old.h5"
    save_network(path, narrow())

    def forget(file: h5py.File) -> None:
        for name in ("lowest", "highest"):
            del file["populations/0"].attrs[name]

    edit_hdf5(path, forget)
    (population,) = load_network(path).populations
    assert (population.lowest, population.highest) == (-POTENTIAL_LIMIT, POTENTIAL_LIMIT)


def test_impossible_limits_in_a_file_are_refused(tmp_path):
    path = tmp_path / "wrong.h5"
    save_network(path, narrow())

    def change(file: h5py.File) -> None:
        file["populations/0"].attrs["highest"] = -4

    edit_hdf5(path, change)
    with pytest.raises(FileError, match="'p' highest: got -4"):
        load_network(path)
