"""Trainings are reproducible, can be interrupted, and resume only from their own checkpoints."""

import dataclasses

import numpy as np
import pytest
from support.networks import edit_hdf5
from support.trainings import SHORT, SMALL, TRAININGS, few, same

from neuroattack.errors import FileError, ValidationError


@pytest.fixture(params=TRAININGS)
def kind(request):
    return TRAININGS[request.param]


def test_the_same_seed_gives_the_same_model_and_another_seed_another(kind):
    first, again, other = (kind.train(*few(), seed=seed, **SMALL) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_watching_and_testing_change_nothing(kind, tmp_path):
    plain = kind.train(*few(), **SMALL)
    watching = {"test": few(), "progress": lambda report: None, "checkpoint": tmp_path / "run.h5"}
    assert same(plain, kind.train(*few(), **watching, **SMALL))


@pytest.mark.parametrize(
    ("name", "stop_at"),
    [*(("sdbn", count) for count in (1, 3, 5, 6, 8, 9)), *(("dnn", count) for count in (1, 5, 11))],
)
def test_an_interrupted_training_resumes_to_the_same_model(name, stop_at, tmp_path, monkeypatch):
    kind, path, calls = TRAININGS[name], tmp_path / "run.h5", []
    monkeypatch.setattr(kind.report_interval, 1)
    uninterrupted = kind.train(*few(), seed=3, **SMALL)

    def interrupt(report):
        calls.append(report)
        if len(calls) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kind.train(*few(), seed=3, checkpoint=path, progress=interrupt, **SMALL)
    for _ in range(2):
        resumed = kind.train(*few(), seed=3, checkpoint=path, resume=True, **SMALL)
        assert same(resumed, uninterrupted)


@pytest.mark.parametrize(
    ("name", "other", "named"),
    [
        *((name, {"seed": 4}, "seed") for name in TRAININGS),
        *((name, {"hidden": (20, 16)}, "layer sizes") for name in TRAININGS),
        ("sdbn", {"recipe": dataclasses.replace(SHORT, label_rate=0.3)}, "recipe constants"),
        ("sdbn", {"recipe": dataclasses.replace(SHORT, name="mine")}, "recipe"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_name(tmp_path, name, other, named):
    kind, path = TRAININGS[name], tmp_path / "run.h5"
    kind.train(*few(), seed=3, checkpoint=path, **SMALL)
    with pytest.raises(FileError, match=f"another training: {named} is"):
        kind.train(*few(), **{**SMALL, "seed": 3, **other}, checkpoint=path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(kind, tmp_path):
    images, labels = few()
    path = tmp_path / "run.h5"
    kind.train(images, labels, checkpoint=path, **SMALL)
    for changed in ((1 - images, labels), (images, labels[::-1])):
        with pytest.raises(FileError, match="training data"):
            kind.train(*changed, checkpoint=path, resume=True, **SMALL)


def resized(name, shape):
    return lambda f: (f.__delitem__(name), f.create_dataset(name, shape, "f4"))


DAMAGE = {
    "sdbn": [
        lambda f: f.attrs.__setitem__("stage", 99),
        lambda f: f.attrs.__setitem__("epoch", -1),
        lambda f: f.attrs.__setitem__("random", "{}"),
        lambda f: f.attrs.__setitem__("inner", "object"),
        lambda f: f.attrs.__delitem__("adam_steps"),
        lambda f: f.__delitem__("adam_first"),
        lambda f: f["adam_first/0"].__setitem__((0, 0), np.nan),
        resized("adam_first/0", (2, 2)),
    ],
    "dnn": [
        lambda f: f.attrs.__setitem__("iterations", -1),
        lambda f: f.attrs.__setitem__("iterations", 13),
        lambda f: f.attrs.__setitem__("scale", np.nan),
        lambda f: f.attrs.__delitem__("success"),
        lambda f: f.__delitem__("direction"),
        lambda f: f["residual"].__setitem__(0, np.nan),
        resized("weights", (2,)),
    ],
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_damaged_checkpoint_is_refused(tmp_path, name):
    kind, path = TRAININGS[name], tmp_path / "run.h5"
    kind.train(*few(), checkpoint=path, **SMALL)
    whole = path.read_bytes()
    for damage in (
        *DAMAGE[name],
        lambda f: f.attrs.__setitem__("schema", 2),
        lambda f: f.__delitem__("identity"),
    ):
        path.write_bytes(whole)
        edit_hdf5(path, damage)
        with pytest.raises(FileError, match=r"run\.h5"):
            kind.train(*few(), checkpoint=path, resume=True, **SMALL)


def test_resuming_needs_a_checkpoint(kind, tmp_path):
    with pytest.raises(ValidationError, match="resume"):
        kind.train(*few(), resume=True, **SMALL)
    with pytest.raises(FileError, match="no such file"):
        kind.train(*few(), resume=True, checkpoint=tmp_path / "none.h5", **SMALL)
