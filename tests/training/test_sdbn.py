"""The trained model: its rates, what it refuses, and its file."""

import dataclasses

import numpy as np
import pytest
from support.networks import edit_hdf5

from neuroattack.errors import FileError, OutputError, ValidationError
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters, siegert_rates
from neuroattack.training.storage import load_model, save_model


def a_model(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "weights": tuple(
            rng.normal(0, 1e-4, shape).astype(np.float32) for shape in ((12, 7), (7, 5), (5, 3))
        ),
        "siegert": SiegertParameters(),
        "noise_factor": 1.0,
        "image_shape": (3, 4),
        "recipe": "fine-tuned",
        "dataset": "random",
        "dataset_checksum": "abc",
        "seed": 7,
        "rate_accuracy": 0.5,
    }
    return SDBN(**{**fields, **changes})


def test_rates_are_those_of_the_reference_in_si_units():
    model = a_model()
    images = np.random.default_rng(3).random((9, 3, 4))
    p = model.siegert
    hertz = images.reshape(9, 12) * model.input_scale / p.t_ref_s
    for weights in model.weights:
        w = weights.astype(np.float64)
        drive = p.tau_m_s * hertz @ w
        spread = np.sqrt(p.tau_m_s / 2 * hertz @ w**2)
        hertz = siegert_rates(drive, spread, p) / p.t_ref_s
    np.testing.assert_allclose(model.rates(images), hertz * p.t_ref_s, atol=1e-5)


def test_an_image_is_evaluated_to_the_same_bits_whatever_stands_beside_it():
    rng = np.random.default_rng(4)
    sizes = ((784, 300), (300, 10))
    weights = tuple(rng.normal(0, 1e-4, shape).astype(np.float32) for shape in sizes)
    model = a_model(weights=weights, image_shape=(28, 28))
    images = rng.random((500, 784))
    whole = model.outputs(images)
    assert np.ptp(whole) > 0
    for start, count in ((0, 1), (1, 1), (499, 1), (30, 2), (57, 9), (100, 64), (3, 130), (1, 499)):
        part = model.outputs(images[start : start + count])
        np.testing.assert_array_equal(part, whole[start : start + count])
    np.testing.assert_array_equal(model.outputs(images[::-1]), whole[::-1])


def test_weights_are_read_only_copies():
    weights = tuple(w.copy() for w in a_model().weights)
    model = a_model(weights=weights)
    weights[0][0, 0] = 1
    assert model.weights[0][0, 0] != 1
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0][0, 0] = 1


@pytest.mark.parametrize("accuracy", [None, 0.9873])
def test_a_model_comes_back_from_its_file(tmp_path, accuracy):
    model = a_model(rate_accuracy=accuracy)
    save_model(tmp_path / "model.h5", model)
    back = load_model(tmp_path / "model.h5")
    for one, other in zip(model.weights, back.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for field in dataclasses.fields(SDBN):
        if field.name != "weights":
            assert getattr(model, field.name) == getattr(back, field.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": ()}, "weights"),
        ({"weights": (np.zeros((12, 7)), np.zeros((6, 3)))}, "layer 2"),
        ({"weights": (np.full((12, 7), np.inf),)}, "layer 1"),
        ({"image_shape": (5, 5)}, "image_shape"),
        ({"input_scale": 0.0}, "input_scale"),
        ({"noise_factor": -1.0}, "noise_factor"),
        ({"rate_accuracy": 1.5}, "rate_accuracy"),
        ({"seed": -1}, "seed"),
    ],
)
def test_models_out_of_range_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        a_model(**change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.__delitem__("weights/1"), "weights/1"),
        (lambda f: f.__delitem__("siegert"), "siegert"),
        (lambda f: f.attrs.__delitem__("recipe"), "recipe"),
        (lambda f: f.attrs.__setitem__("seed", "seven"), "seed"),
        (lambda f: f.attrs.__setitem__("schema", 2), "schema"),
        (lambda f: [f["weights"].create_group(f"more{i}") for i in range(99)], "weights"),
        (lambda f: f.attrs.__setitem__("input_scale", np.nan), "input_scale"),
        (lambda f: f.attrs.__setitem__("image_height", 4), "image_shape"),
        (lambda f: f.attrs.__setitem__("recipe", "x" * 12_000), "recipe"),
        (lambda f: f["weights"].attrs.__setitem__("unit", "mV"), "volt per spike"),
        (lambda f: f["weights/0"].__setitem__((0, 0), np.nan), "weights/0"),
        (lambda f: f["siegert"].attrs.__setitem__("t_ref_s", -1.0), "t_ref_s"),
    ],
)
def test_a_damaged_model_file_is_refused_by_field(tmp_path, damage, message):
    path = tmp_path / "model.h5"
    save_model(path, a_model())
    edit_hdf5(path, damage)
    with pytest.raises(FileError, match=message) as caught:
        load_model(path)
    assert "model.h5" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind"), [((12, 7), "f8"), ((84,), "f4"), ((90_000, 90_000), "f4")]
)
def test_weights_of_another_type_or_size_are_refused_before_memory_is_taken(tmp_path, shape, kind):
    path = tmp_path / "model.h5"
    save_model(path, a_model())

    def damage(file):
        del file["weights/0"]
        file.create_dataset("weights/0", shape, kind)  # never written, so it takes no disk

    edit_hdf5(path, damage)
    with pytest.raises(FileError, match="weights/0"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", None])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    path = tmp_path / "model.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"model\.h5"):
        load_model(path)


def test_a_truncated_model_file_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    save_model(path, a_model())
    whole = path.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"model\.h5"):
            load_model(path)


def test_a_model_that_cannot_be_written_leaves_the_old_one(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputError):
        save_model(folder, a_model())
