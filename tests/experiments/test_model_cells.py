"""Training cells: the same models as direct training, and files named by content."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.digit_models import template_model

from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Area, Noise
from neuroattack.errors import FileError, ValidationError
from neuroattack.experiments.model_cells import (
    dataset_of_cell,
    keep_model,
    model_of_cell,
    train_dnn,
    train_sdbn,
    training_cell,
)
from neuroattack.training.conversion import READOUT_GAIN, readout_gain_of
from neuroattack.training.dnn.storage import load_mlp
from neuroattack.training.dnn.training import train_mlp
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.storage import load_model, save_model


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_keys_differ_if_models_differ(digits):
    def key(kind="sdbn", seed=0, recipe="paper", noise=None, data=digits, decay=None):
        return training_cell(
            kind, data, seed=seed, recipe=recipe, noise=noise, fast_decay=decay
        ).key

    keys = [
        key(),
        key(seed=1),
        key(recipe="fine-tuned"),
        key(decay=0.05),
        key(decay=0.95),
        key(data=replace(digits, checksum="0" * 64)),
        key("dnn"),
        key("dnn", seed=1),
        *(
            key(kind, noise=noise)
            for kind in ("sdbn", "dnn")
            for noise in (
                Noise("normal", 0.1),
                Noise("uniform", 0.1),
                Noise("normal", 0.2),
                Noise("normal", 0.1, "zero"),
                Noise("normal", 0.1, "range", Area(0, 0, 5, 4)),
            )
        ),
    ]
    assert len(set(keys)) == len(keys)
    # A DNN has no recipe.
    assert key("dnn", recipe="paper") == key("dnn", recipe="fine-tuned")


def test_the_default_fast_decay_is_that_of_the_recipe(digits):
    plain = training_cell("sdbn", digits, seed=0, recipe="paper").arguments
    other = training_cell("sdbn", digits, seed=0, recipe="paper", fast_decay=0.25).arguments
    # The key without fast_decay is unchanged.
    assert set(plain) == {"dataset", "checksum", "seed", "noise", "recipe", "recipe_digest"}
    changed = {name for name in other if other[name] != plain.get(name)}
    assert changed == {"fast_decay", "recipe_digest"}
    with pytest.raises(ValidationError, match="fast_decay"):
        training_cell("sdbn", digits, seed=0, recipe="paper", fast_decay=1.5)


def test_fast_decay_applies_to_the_layers_below_the_top(tmp_path, digits, monkeypatch):
    long = RECIPES["paper"]
    few = {
        stage: replace(one, schedule=replace(one.schedule, epochs=1, minimum_steps=40))
        for stage, one in (("layers", long.layers), ("top", long.top))
    }
    monkeypatch.setitem(RECIPES, "paper", replace(long, **few))
    noise = Noise("uniform", 0.05)
    cell = training_cell("sdbn", digits, seed=4, recipe="paper", noise=noise, fast_decay=0.9)
    found = train_sdbn(**json.loads(json.dumps(cell.arguments)), folder=tmp_path)
    recipe = RECIPES["paper"]
    parameters = replace(recipe.layers.parameters, fast_decay=0.9)
    recipe = replace(recipe, layers=replace(recipe.layers, parameters=parameters))
    alone = train(digits.train.images, digits.train.labels, recipe=recipe, seed=4, noise=noise)
    model = load_model(tmp_path / found["model"])
    for one, other in zip(model.weights, alone.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    # The readout gain is that of the varied recipe.
    assert readout_gain_of(model) == READOUT_GAIN["paper"]


@pytest.mark.parametrize("noise", [None, Noise("normal", 0.1)])
def test_a_cell_trains_the_same_model_as_direct_training(tmp_path, digits, noise):
    cell = training_cell("dnn", digits, seed=4, noise=noise)
    arguments = {**json.loads(json.dumps(cell.arguments)), "iterations": 2}
    found = train_dnn(**arguments, folder=tmp_path)
    alone = train_mlp(digits.train.images, digits.train.labels, seed=4, iterations=2, noise=noise)
    model = load_mlp(tmp_path / found["model"])
    for one, other in zip(model.weights + model.biases, alone.weights + alone.biases, strict=True):
        np.testing.assert_array_equal(one, other)
    decided = model.predict(digits.test.images)
    assert found["accuracy"] == (decided == digits.test.labels).mean()
    # The checkpoint is deleted after the training.
    assert [path.name for path in (tmp_path / "models").iterdir()] == [
        found["model"].removeprefix("models/")
    ]


def test_a_damaged_checkpoint_is_discarded(tmp_path, digits):
    cell = training_cell("dnn", digits, seed=4)
    arguments = {**json.loads(json.dumps(cell.arguments)), "iterations": 2}
    found = train_dnn(**arguments, folder=tmp_path)
    model = tmp_path / found["model"]
    whole = model.read_bytes()
    model.unlink()
    model.with_suffix(".checkpoint.h5").write_bytes(whole[: len(whole) // 2])
    assert train_dnn(**arguments, folder=tmp_path) == found
    assert load_mlp(model).seed == 4
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_a_given_model_is_kept_once_under_the_name_of_its_content(tmp_path):
    one, same, other = (tmp_path / name for name in ("one.h5", "same.h5", "other.h5"))
    save_model(one, template_model())
    same.write_bytes(one.read_bytes())
    save_model(other, replace(template_model(), seed=1))
    folder = tmp_path / "cells"
    file = keep_model(one, "sdbn", folder)
    assert file == keep_model(same, "sdbn", folder) != keep_model(other, "sdbn", folder)
    assert (folder / file).read_bytes() == one.read_bytes()
    assert len(list((folder / "models").iterdir())) == 2
    np.testing.assert_array_equal(
        model_of_cell(folder / file, "sdbn").weights[0], template_model().weights[0]
    )


def test_other_files_are_not_stored(tmp_path):
    model = tmp_path / "model.h5"
    save_model(model, template_model())
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(model.read_bytes()[:-7])
    for path, kind in ((model, "dnn"), (damaged, "sdbn"), (tmp_path / "missing.h5", "sdbn")):
        with pytest.raises(FileError, match=path.name):
            keep_model(path, kind, tmp_path / "cells")
    assert not (tmp_path / "cells").exists()


def test_a_changed_data_set_is_refused(digits):
    assert dataset_of_cell("digits", digits.checksum).checksum == digits.checksum
    with pytest.raises(ValidationError, match=f"got {digits.checksum[:12]}, expected 0{{12}}$"):
        dataset_of_cell("digits", "0" * 64)
