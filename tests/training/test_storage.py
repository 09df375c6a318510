"""Storage of both kinds of models, and validation of files."""

import dataclasses

import numpy as np
import pytest
from support.networks import edit_hdf5
from support.trainings import SHAPES, TRAININGS, same

from neuroattack.errors import FileError, OutputError, ValidationError


@pytest.fixture(params=TRAININGS)
def kind(request):
    return TRAININGS[request.param]


@pytest.fixture
def path(kind, tmp_path):
    kind.save(tmp_path / "model.h5", kind.model())
    return tmp_path / "model.h5"


@pytest.mark.parametrize(("name", "spread"), [("sdbn", 1e-4), ("dnn", 0.05)])
def test_an_image_is_evaluated_to_the_same_bits_whatever_stands_beside_it(name, spread):
    rng = np.random.default_rng(4)
    fields = {"weights": [rng.normal(0, spread, shape) for shape in ((784, 300), (300, 10))]}
    if name == "dnn":
        fields["biases"] = [rng.normal(0, spread, units) for units in (300, 10)]
    model = TRAININGS[name].model(image_shape=(28, 28), **fields)
    images = rng.random((500, 784))
    whole = model.outputs(images)
    assert np.ptp(whole) > 0
    for start, count in ((0, 1), (1, 1), (499, 1), (30, 2), (57, 9), (100, 64), (3, 130), (1, 499)):
        part = model.outputs(images[start : start + count])
        np.testing.assert_array_equal(part, whole[start : start + count])
    np.testing.assert_array_equal(model.outputs(images[::-1]), whole[::-1])


def test_arrays_are_read_only_copies(kind):
    weights = tuple(w.copy() for w in kind.model().weights)
    model = kind.model(weights=weights)
    weights[0][0, 0] = 1
    assert model.weights[0][0, 0] != 1
    for array in (model.weights[0], getattr(model, "biases", model.weights)[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("name", "field"), [("sdbn", "rate_accuracy"), ("dnn", "accuracy")], ids=list(TRAININGS)
)
@pytest.mark.parametrize("accuracy", [None, 0.9873])
def test_a_model_comes_back_from_its_file(tmp_path, name, field, accuracy):
    kind = TRAININGS[name]
    model = kind.model(**{field: accuracy})
    kind.save(tmp_path / "model.h5", model)
    back = kind.load(tmp_path / "model.h5")
    assert same(model, back)
    for one in dataclasses.fields(model):
        if one.name not in ("weights", "biases"):
            assert getattr(model, one.name) == getattr(back, one.name)


GOOD = TRAININGS["dnn"].model()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        *((name, {"image_shape": (5, 5)}, "image_shape") for name in TRAININGS),
        *((name, {"seed": -1}, "seed") for name in TRAININGS),
        ("sdbn", {"weights": ()}, "weights"),
        ("sdbn", {"weights": (np.zeros((12, 7)), np.zeros((6, 3)))}, "layer 2"),
        ("sdbn", {"weights": (np.full((12, 7), np.inf),)}, "layer 1"),
        ("sdbn", {"input_scale": 0.0}, "input_scale"),
        ("sdbn", {"noise_factor": -1.0}, "noise_factor"),
        ("sdbn", {"rate_accuracy": 1.5}, "rate_accuracy"),
        ("dnn", {"weights": (), "biases": ()}, "weights"),
        ("dnn", {"biases": GOOD.biases[:2]}, "biases: got 2 layers"),
        ("dnn", {"biases": (*GOOD.biases[:2], np.zeros(4))}, "biases of layer 3"),
        ("dnn", {"biases": (np.full(7, np.nan), *GOOD.biases[1:])}, "biases of layer 1"),
        ("dnn", {"weights": (np.zeros((12, 7)), np.zeros((6, 5)), np.zeros((5, 3)))}, "layer 2"),
        ("dnn", {"weights": (np.full((12, 7), np.inf), *GOOD.weights[1:])}, "layer 1"),
        ("dnn", {"weights": (np.zeros(12), *GOOD.weights[1:])}, "layer 1"),
        ("dnn", {"accuracy": 1.1}, "accuracy"),
    ],
)
def test_a_model_out_of_range_is_refused(name, change, message):
    with pytest.raises(ValidationError, match=message):
        TRAININGS[name].model(**change)


def replaced(name, shape, dtype="f4"):
    """Return a damage: an array of another shape or type, not allocated on disk."""
    return lambda f: (f.__delitem__(name), f.create_dataset(name, shape, dtype))


EITHER = [
    (lambda f: f.attrs.__setitem__("seed", "seven"), "seed"),
    (lambda f: f.attrs.__setitem__("schema", 2), "schema"),
    (lambda f: f.attrs.__setitem__("kind", "network"), "contains a network"),
    (lambda f: f.attrs.__setitem__("image_height", 28), "image_shape"),
    (lambda f: f.attrs.__delitem__("recipe"), "recipe"),
    (lambda f: f.attrs.__delitem__("dataset"), "dataset"),
    (lambda f: f.attrs.__setitem__("recipe", "x" * 12_000), "recipe"),
    (lambda f: f.__delitem__("weights/1"), "weights/1"),
    (lambda f: f["weights/0"].__setitem__((0, 0), np.nan), "weights"),
    (replaced("weights/0", SHAPES[0], "f8"), "weights/0"),
    (replaced("weights/0", (84,)), "weights/0"),
    (replaced("weights/0", (90_000, 90_000)), "weights/0"),
]
OF_ONE = {
    "sdbn": [
        (lambda f: f.__delitem__("siegert"), "siegert"),
        (lambda f: [f["weights"].create_group(f"more{i}") for i in range(99)], "weights"),
        (lambda f: f.attrs.__setitem__("input_scale", np.nan), "input_scale"),
        (lambda f: f["weights"].attrs.__setitem__("unit", "mV"), "volt per spike"),
        (lambda f: f["siegert"].attrs.__setitem__("t_ref_s", -1.0), "t_ref_s"),
    ],
    "dnn": [
        (lambda f: f.attrs.__setitem__("accuracy", 1.5), "accuracy"),
        (lambda f: f.__delitem__("biases"), "biases"),
        (lambda f: f.__delitem__("biases/2"), "biases"),
        (lambda f: f["biases/0"].__setitem__(3, np.inf), "biases"),
        (replaced("biases/0", (6,)), "biases"),
        (replaced("biases/0", (7,), "f8"), "biases"),
        (replaced("biases/0", (7, 1)), "biases"),
        (replaced("weights/1", (6, 5)), "weights"),
        (lambda f: f.create_dataset("biases/3", (4,), "f4"), "biases"),
    ],
}


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [(name, *damage) for name in TRAININGS for damage in EITHER + OF_ONE[name]],
)
def test_a_damaged_model_file_is_refused_by_field(tmp_path, name, damage, message):
    kind, path = TRAININGS[name], tmp_path / "model.h5"
    kind.save(path, kind.model())
    edit_hdf5(path, damage)
    with pytest.raises(FileError, match=rf"model\.h5.*{message}"):
        kind.load(path)


def test_files_that_are_no_models_are_refused(kind, path):
    whole = path.read_bytes()
    for content in (b"", b"not HDF5", whole[:100], whole[: len(whole) // 2], whole[:-50]):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"model\.h5"):
            kind.load(path)
    path.unlink()
    with pytest.raises(FileError, match=r"model\.h5: no such file"):
        kind.load(path)


def test_a_model_is_not_written_over_a_folder(kind, tmp_path):
    with pytest.raises(OutputError, match="folder"):
        kind.save(tmp_path, kind.model())
