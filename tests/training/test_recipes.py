"""Whole trainings, their checkpoints, and what they refuse."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits
from support.networks import edit_hdf5

from neuroattack.errors import FileError, UnknownNameError, ValidationError
from neuroattack.training.fine_tuning import (
    FineTuningParameters,
)
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule

SMALL = {"hidden": (20, 15), "dataset": "small", "dataset_checksum": "none"}
SHORT = dataclasses.replace(
    RECIPES["fine-tuned"],
    layers=RBMStage(Schedule(3, 1, 50, 0.05), RBMParameters()),
    top=RBMStage(Schedule(3, 1, 50, 0.4), RBMParameters(gibbs_steps=2)),
    fine_tuning=FineTuningStage(Schedule(3, 1, 100, 0.003, 0.0), FineTuningParameters()),
)


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's 8 x 8 digits: (training images, labels), (test images, labels)."""
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    labels = bunch.target.astype(np.uint8)
    held_out = np.arange(len(labels)) % 5 == 0
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


@pytest.fixture(scope="module")
def few(digits):
    """Enough images that every epoch has a report of its own would take too long: 300."""
    (images, labels), _ = digits
    return images[:300], labels[:300]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


# Whole trainings


def test_fine_tuning_learns_the_digits(digits):
    (images, labels), test = digits
    recipe = dataclasses.replace(
        SHORT,
        layers=RBMStage(Schedule(1, 60, 50, 0.05), RBMParameters()),
        top=RBMStage(Schedule(1, 60, 50, 0.4), RBMParameters()),
        fine_tuning=FineTuningStage(Schedule(1, 500, 100, 0.01, 0.0), FineTuningParameters()),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.93
    assert model.rate_accuracy == np.mean(model.predict(test[0]) == test[1])


def test_contrastive_divergence_alone_learns_the_digits(digits):
    (images, labels), test = digits
    recipe = dataclasses.replace(
        RECIPES["paper"],
        layers=RBMStage(Schedule(1, 600, 50, 1.0), RBMParameters(momentum=0.9)),
        top=RBMStage(Schedule(1, 1500, 50, 0.4), RBMParameters(momentum=0.9)),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.85
    assert model.noise_factor == 1 / model.siegert.t_ref_s


def test_the_same_seed_gives_the_same_model_and_another_seed_another(few):
    first, again, other = (train(*few, recipe=SHORT, seed=seed, **SMALL) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_watching_and_testing_change_nothing(few, tmp_path):
    plain = train(*few, recipe=SHORT, **SMALL)
    watched = train(
        *few,
        recipe=SHORT,
        test=few,
        progress=lambda report: None,
        checkpoint=tmp_path / "run.h5",
        **SMALL,
    )
    assert same(plain, watched)


def test_progress_reports_every_stage_and_ends_at_one(few):
    reports = []
    train(*few, recipe=SHORT, test=few, progress=reports.append, **SMALL)
    assert [r.stage for r in reports] == ["layer 1", "joint top layer", "fine-tuning"]
    fractions = [r.fraction for r in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert reports[0].accuracy is None
    assert all(0 <= r.accuracy <= 1 for r in reports[1:])
    assert all(r.epoch == r.epochs == 3 for r in reports)


@pytest.fixture
def reporting_each_epoch(monkeypatch):
    monkeypatch.setattr("neuroattack.training.recipes._STEPS_PER_REPORT", 1)


@pytest.mark.parametrize("stop_at", [1, 3, 5, 6, 8, 9])
def test_an_interrupted_training_resumes_to_the_same_model(
    few, tmp_path, reporting_each_epoch, stop_at
):
    path = tmp_path / "run.h5"
    uninterrupted = train(*few, recipe=SHORT, seed=3, **SMALL)
    calls = 0

    def interrupt(report):
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*few, recipe=SHORT, seed=3, checkpoint=path, progress=interrupt, **SMALL)
    resumed = train(*few, recipe=SHORT, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(resumed, uninterrupted)
    again = train(*few, recipe=SHORT, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(again, uninterrupted)


def test_a_single_hidden_layer_and_two_classes_train(few):
    images, labels = few
    chosen = labels < 2
    model = train(images[chosen], labels[chosen], recipe=SHORT, hidden=(9,), classes=2)
    assert [w.shape for w in model.weights] == [(64, 9), (9, 2)]


def test_fewer_images_than_a_batch_train(few):
    images, labels = few
    model = train(images[:7], labels[:7], recipe=SHORT, **SMALL)
    assert np.isfinite(model.rates(images[:7])).all()


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_small_data_set_gets_more_epochs_than_a_large_one(name):
    for stage in (RECIPES[name].layers, RECIPES[name].top):
        schedule = stage.schedule
        assert schedule.epochs_for(60_000) == schedule.epochs
        steps = schedule.epochs_for(1_440) * schedule.steps_per_epoch(1_440)
        assert steps >= schedule.minimum_steps


# Refusals


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 4}, "seed"),
        ({"hidden": (20, 16)}, "layer sizes"),
        ({"recipe": dataclasses.replace(SHORT, label_rate=0.3)}, "recipe constants"),
        ({"recipe": dataclasses.replace(SHORT, name="mine")}, "recipe"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_name(few, tmp_path, other, named):
    path = tmp_path / "run.h5"
    train(*few, recipe=SHORT, seed=3, checkpoint=path, **SMALL)
    with pytest.raises(FileError, match=f"another training: {named} is"):
        train(*few, **{**SMALL, "recipe": SHORT, "seed": 3, **other}, checkpoint=path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(few, tmp_path):
    images, labels = few
    path = tmp_path / "run.h5"
    train(images, labels, recipe=SHORT, checkpoint=path, **SMALL)
    for changed in ((1 - images, labels), (images, labels[::-1])):
        with pytest.raises(FileError, match="training data"):
            train(*changed, recipe=SHORT, checkpoint=path, resume=True, **SMALL)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.attrs.__setitem__("stage", 99),
        lambda f: f.attrs.__setitem__("epoch", -1),
        lambda f: f.attrs.__setitem__("random", "{}"),
        lambda f: f.attrs.__setitem__("inner", "object"),
        lambda f: f.attrs.__delitem__("adam_steps"),
        lambda f: f.attrs.__setitem__("schema", 2),
        lambda f: f.__delitem__("adam_first"),
        lambda f: f["adam_first/0"].__setitem__((0, 0), np.nan),
        lambda f: (f.__delitem__("adam_first/0"), f.create_dataset("adam_first/0", (2, 2), "f4")),
        lambda f: f.__delitem__("identity"),
    ],
)
def test_a_damaged_checkpoint_is_refused(few, tmp_path, damage):
    path = tmp_path / "run.h5"
    train(*few, recipe=SHORT, checkpoint=path, **SMALL)
    edit_hdf5(path, damage)
    with pytest.raises(FileError, match=r"run\.h5"):
        train(*few, recipe=SHORT, checkpoint=path, resume=True, **SMALL)


def test_resuming_needs_a_checkpoint(few, tmp_path):
    with pytest.raises(ValidationError, match="resume"):
        train(*few, recipe=SHORT, resume=True, **SMALL)
    with pytest.raises(FileError, match="no such file"):
        train(*few, recipe=SHORT, resume=True, checkpoint=tmp_path / "none.h5", **SMALL)


IMAGES = np.zeros((4, 5, 5), np.float32)
LABELS = np.array([0, 1, 2, 3], np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (IMAGES[:0], LABELS[:0], {}, "images"),
        (np.full_like(IMAGES, np.nan), LABELS, {}, "NaN"),
        (IMAGES + 2, LABELS, {}, "from 2 to 2"),
        (IMAGES.reshape(4, 25), LABELS, {}, "shape"),
        (np.zeros((4, 0, 5), np.float32), LABELS, {}, "images"),
        ([["a"]], LABELS, {}, "shape"),
        (IMAGES, LABELS[:3], {}, "labels"),
        (IMAGES, LABELS.astype(float), {}, "labels"),
        (IMAGES, LABELS + 7, {}, "labels"),
        (IMAGES, LABELS.astype(int) - 1, {}, "labels"),
        (IMAGES, LABELS, {"hidden": ()}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 0)}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 2.5)}, "hidden"),
        (IMAGES, LABELS % 1, {"classes": 1}, "classes"),
        (IMAGES, LABELS, {"seed": -1}, "seed"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :4], LABELS)}, "test images"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 7)}, "test labels"),
    ],
)
def test_bad_input_is_refused_by_name(images, labels, options, message):
    with pytest.raises(ValidationError, match=message):
        train(images, labels, recipe=SHORT, **options)


def test_an_unknown_recipe_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        train(IMAGES, LABELS, recipe="papr")


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"final_fraction": 2.0}]
)
def test_schedules_out_of_range_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        dataclasses.replace(Schedule(1, 1, 1, 1.0), **change)
