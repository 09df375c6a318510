"""Files of recorded spikes: round trip, and refusals by name."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faulty_engine import random_network

from neuroattack.deployment.spike_files import RecordedSpikes, load_spikes, save_spikes
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import FileError, ValidationError
from neuroattack.ir.network import INPUT

NETWORK = random_network(np.random.default_rng(0))
SIZES = NETWORK.sizes


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_round_trip(tmp_path_factory, seed, images, steps):
    rng = np.random.default_rng(seed)
    dense = {name: rng.random((images, steps, size)) < 0.2 for name, size in SIZES.items()}
    potentials = {NETWORK.readout: rng.normal(size=(images, steps, SIZES[NETWORK.readout]))}
    spikes = {name: SpikeTrains.from_dense(each) for name, each in dense.items()}
    path = tmp_path_factory.mktemp("spikes") / "spikes.npz"
    save_spikes(path, RecordedSpikes(images, steps, spikes, potentials))
    found = load_spikes(path, NETWORK)
    assert (found.images, found.steps) == (images, steps)
    for name, each in dense.items():
        assert np.array_equal(found.spikes[name].to_dense(), each)
    assert np.array_equal(found.potentials[NETWORK.readout], potentials[NETWORK.readout])


def content(**changes):
    """Return the arrays of a file as another simulator may write it, for one image."""
    readout = NETWORK.readout
    arrays = {
        "steps": 10,
        f"{readout}.steps": [0, 3],
        f"{readout}.neurons": [1, 2],
        "input.steps": [5],
        "input.neurons": [0],
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def written(path, **changes):
    np.savez(path, **content(**changes))
    return path


def test_files_of_one_image_need_no_image_numbers(tmp_path):
    found = load_spikes(written(tmp_path / "a.npz"), NETWORK)
    assert set(found.spikes) == {INPUT, NETWORK.readout}
    assert np.argwhere(found.spikes[NETWORK.readout].to_dense()).tolist() == [[0, 0, 1], [0, 3, 2]]


def test_a_population_without_spikes_is_an_empty_list(tmp_path):
    empty = {f"{OUT}.{part}": [] for part in ("images", "steps", "neurons")}
    found = load_spikes(written(tmp_path / "a.npz", **empty), NETWORK)
    assert not found.spikes[OUT].to_dense().any()


OUT = NETWORK.readout


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": None}, "'steps'"),
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"steps": [3, 4]}, "steps"),
        ({"images": -1}, "images"),
        ({"other.steps": [1], "other.neurons": [1]}, "'other'"),
        ({f"{OUT}.steps": None}, f"{OUT}.steps"),
        ({f"{OUT}.neurons": None, f"{OUT}.steps": None}, OUT),
        ({f"{OUT}.steps": [0, 10]}, f"{OUT}.steps"),
        ({f"{OUT}.steps": [0, -1]}, f"{OUT}.steps"),
        ({f"{OUT}.steps": [0, 1, 2]}, f"{OUT}.steps"),
        ({f"{OUT}.steps": [0.0, 1.5]}, f"{OUT}.steps"),
        ({f"{OUT}.neurons": [1, 10**6]}, f"{OUT}.neurons"),
        ({f"{OUT}.images": [0, 1]}, f"{OUT}.images"),
        ({f"{OUT}.potentials": np.zeros((2, 2))}, f"{OUT}.potentials"),
        ({f"{OUT}.potentials": np.full((1, 10, SIZES[OUT]), np.nan)}, "finite"),
        ({f"{INPUT}.potentials": np.zeros((1, 10, SIZES[INPUT]))}, "'input.potentials'"),
        ({f"{OUT}.potential": np.zeros((1, 10, SIZES[OUT]))}, f"'{OUT}.potential'"),
        ({"note": "from another simulator"}, "'note'"),
        ({f"{OUT}.neurons": None, "input.neurons": None}, "input.neurons"),
        ({f"{OUT}.steps": [3, 3], f"{OUT}.neurons": [1, 1]}, "2 spikes of neuron 1 in step 3"),
        ({"images": 2}, "images'"),
        ({"steps": 10**6, "images": 10**6}, "at most"),
    ],
)
def test_invalid_files_are_refused_by_name(tmp_path, changes, named):
    path = written(tmp_path / "a.npz", **changes)
    with pytest.raises((FileError, ValidationError), match=str(path)) as caught:
        load_spikes(path, NETWORK)
    assert named in str(caught.value)


def test_other_files_are_refused(tmp_path):
    missing = tmp_path / "missing.npz"
    text = tmp_path / "text.npz"
    text.write_text("spikes")
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, steps=np.array({"a": 1}, dtype=object))
    other = tmp_path / "other.npz"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("steps", "12")
    for path in (missing, text, pickled, other):
        with pytest.raises(FileError, match=str(path)):
            load_spikes(path, NETWORK)
