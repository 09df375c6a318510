"""Complete trainings of SDBNs."""

import dataclasses

import numpy as np
import pytest
from support.trainings import SHORT, SMALL, digits, few

from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule


def test_fine_tuning_learns_the_digits():
    (images, labels), test = digits()
    recipe = dataclasses.replace(
        SHORT,
        layers=RBMStage(Schedule(1, 60, 50, 0.05), RBMParameters()),
        top=RBMStage(Schedule(1, 60, 50, 0.4), RBMParameters()),
        fine_tuning=FineTuningStage(Schedule(1, 500, 100, 0.01, 0.0), FineTuningParameters()),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.93
    assert model.rate_accuracy == np.mean(model.predict(test[0]) == test[1])


def test_contrastive_divergence_alone_learns_the_digits():
    (images, labels), test = digits()
    recipe = dataclasses.replace(
        RECIPES["paper"],
        layers=RBMStage(Schedule(1, 600, 50, 1.0), RBMParameters(momentum=0.9)),
        top=RBMStage(Schedule(1, 1500, 50, 0.4), RBMParameters(momentum=0.9)),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.85
    assert model.noise_factor == 1 / model.siegert.t_ref_s


def test_progress_reports_every_stage_and_ends_at_one():
    reports = []
    train(*few(), recipe=SHORT, test=few(), progress=reports.append, **SMALL)
    assert [r.stage for r in reports] == ["layer 1", "joint top layer", "fine-tuning"]
    fractions = [r.fraction for r in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert reports[0].accuracy is None
    assert all(0 <= r.accuracy <= 1 for r in reports[1:])
    assert all(r.epoch == r.epochs == 3 for r in reports)


def test_a_single_hidden_layer_and_two_classes_train():
    images, labels = few()
    chosen = labels < 2
    model = train(images[chosen], labels[chosen], recipe=SHORT, hidden=(9,), classes=2)
    assert [w.shape for w in model.weights] == [(64, 9), (9, 2)]


def test_fewer_images_than_a_batch_train():
    images, labels = few()
    model = train(images[:7], labels[:7], recipe=SHORT, **SMALL)
    assert np.isfinite(model.rates(images[:7])).all()


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_small_data_set_gets_more_epochs_than_a_large_one(name):
    for stage in (RECIPES[name].layers, RECIPES[name].top):
        schedule = stage.schedule
        assert schedule.epochs_for(60_000) == schedule.epochs
        steps = schedule.epochs_for(1_440) * schedule.steps_per_epoch(1_440)
        assert steps >= schedule.minimum_steps


def test_an_unknown_recipe_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        train(*few(), recipe="papr")


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"final_fraction": 2.0}]
)
def test_schedules_out_of_range_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        dataclasses.replace(Schedule(1, 1, 1, 1.0), **change)
