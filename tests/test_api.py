"""The public API and its lazy import."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support.digit_models import template_model
from support.networks import small_network

import neuroattack as na
from neuroattack.attacks.goals import Goal
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.experiments.attack import attack_images
from neuroattack.experiments.seeds import random_target_class
from neuroattack.training.conversion import convert

ATTACK = na.attacks.CountRegression(na.L2(2.0), queries=60)
TRIALS = 10


@pytest.fixture(scope="module")
def network():
    return na.convert(template_model())


@pytest.fixture
def model(network):
    with na.deploy(network, steps=50, seed=3) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def digits():
    return na.load_dataset("digits")


def modules_after(statements):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; {statements}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_the_import_is_light():
    loaded = modules_after("import neuroattack as na; dir(na)")
    assert not loaded & {"numpy", "numba", "matplotlib", "h5py", "scipy", "sklearn", "pydantic"}
    loaded = modules_after(
        "import neuroattack as na; na.L2(2.0), na.errors, na.attacks.CountRegression"
    )
    assert not loaded & {"numba", "matplotlib", "h5py", "art"}


def test_the_public_names():
    for name in na.__all__:
        assert getattr(na, name) is not None
    assert set(na.__all__) <= set(dir(na))
    with pytest.raises(AttributeError, match="has no attribute 'atack'"):
        getattr(na, "atack")  # noqa: B009  # as IDEs do
    assert "native" in [each.name for each in na.backends.list_backends()]
    assert "loihi1" in na.profiles.list_profiles()
    assert issubclass(na.defenses.HardLabel, na.defenses.TargetWrapper)


def test_convert_and_files(tmp_path, network):
    model = template_model()
    assert network == convert(model).network
    for number, thing in enumerate((network, model)):
        na.save(tmp_path / f"{number}.h5", thing)
        assert type(na.load(tmp_path / f"{number}.h5")) is type(thing)
    assert na.load(tmp_path / "0.h5") == network
    with pytest.raises(na.NeuroattackError, match="got a str"):
        na.save(tmp_path / "2.h5", "network")
    with pytest.raises(na.NeuroattackError, match="expected an SDBN"):
        na.convert(network)
    (tmp_path / "3.h5").write_text("no network")
    for path in (tmp_path / "3.h5", tmp_path / "4.h5"):
        with pytest.raises(na.errors.FileError):
            na.load(path)


def test_evaluate_takes_a_split_or_images_and_labels(model, digits):
    few = digits.test[:30]
    first, second = na.evaluate(model, few), na.evaluate(model, few.images, few.labels)
    assert (first.accuracy, first.images) == (second.accuracy, 30)
    for images, labels in ((few, few.labels), (few.images, None), (few.images, few.labels[:3])):
        with pytest.raises(na.errors.ValidationError, match="labels"):
            na.evaluate(model, images, labels)


def test_slices_of_a_split_keep_the_indices_of_their_images(digits):
    part = digits.test[10:20]
    assert len(part) == 10
    assert part[2:4].indices.tolist() == [12, 13]
    assert part[[0, 5]].indices.tolist() == [10, 15]
    np.testing.assert_array_equal(part[[5]].images[0], digits.test.images[15])
    with pytest.raises(na.errors.ValidationError, match=r"use pick\(3\)"):
        digits.test[3]
    with pytest.raises(na.errors.ValidationError, match="integers below"):
        digits.test[[400]]


def test_an_attack_is_the_same_as_on_the_command_line(model, network, digits):
    part = digits.test[2:4]
    found = na.attack(model, part, ATTACK, trials=TRIALS, seed=3)
    again = na.attack(
        model, part.images, part.labels, ATTACK, trials=TRIALS, seed=3, indices=[2, 3]
    )
    with open_target(DeploymentSpec(steps=50, seed=3), network) as opened:
        elsewhere = attack_images(
            opened,
            ATTACK,
            list(part.images.astype(np.float64)),
            [Goal(int(label)) for label in part.labels],
            indices=[2, 3],
            seed=3,
            trials=TRIALS,
        )
    assert found.as_json() == again.as_json() == elsewhere.as_json()
    assert found.adversarial.shape == (2, 28, 28)
    assert found.as_json() != na.attack(model, part, ATTACK, trials=TRIALS, seed=4).as_json()


def test_targets_of_an_attack(model, digits):
    part = digits.test[:3]
    labels = part.labels.tolist()

    def image_goals(targets):
        found = na.attack(model, part, ATTACK, trials=1, target_classes=targets)
        return [row["target_class"] for row in found.rows]

    wanted = [(label + 1) % 10 for label in labels]
    assert image_goals(None) == [None] * 3
    assert image_goals(wanted) == wanted
    assert image_goals("random") == [
        random_target_class(0, i, label, 10) for i, label in enumerate(labels)
    ]
    for targets in ("any", [1], labels):
        with pytest.raises(na.errors.ValidationError, match="target"):
            image_goals(targets)


def test_an_attack_on_a_target_counts_search_and_verification(digits):
    weights = np.random.default_rng(0).normal(size=(784, 10))
    target = na.target(
        lambda images: images.reshape(len(images), -1) @ weights, image_shape=(28, 28), classes=10
    )
    part = digits.test[:2]
    progress = []
    found = na.attack(
        target,
        part.images,
        part.labels,
        ATTACK,
        trials=TRIALS,
        progress=lambda fraction, words: progress.append(fraction),
    )
    spent = sum(row["search_queries"] + row["verification_queries"] for row in found.rows)
    assert target.queries == spent <= 2 * (60 + 2 * TRIALS)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_invalid_attacks_are_refused_before_any_query(model, digits):
    part = digits.test[:2]
    labels = na.target(
        lambda images: np.zeros(len(images), int), image_shape=(28, 28), classes=10, budget=100
    )
    for target, attack, error, message in (
        (labels, na.attacks.SparseRS(na.L0(5)), na.errors.UnsupportedFeatureError, "sparse-rs"),
        (labels, ATTACK, na.errors.ValidationError, "query budget of the target: got 100"),
        (model, None, na.errors.ValidationError, "attack: got None"),
    ):
        with pytest.raises(error, match=message):
            na.attack(target, part, attack)
    with pytest.raises(na.errors.ValidationError, match="indices: got 1 indices"):
        na.attack(model, part, ATTACK, indices=[1])
    assert labels.queries == 0


def test_a_result_is_shown_and_saved(tmp_path, model, digits):
    found = na.attack(model, digits.test[:2], ATTACK, trials=TRIALS)
    assert len(found.plot().axes) == 6
    assert len(found.plot(images=1).axes) == 3
    found.save(tmp_path / "new")
    kept = json.loads((tmp_path / "new" / "result.json").read_text())
    assert kept["success_rate"] == found.success_rate
    assert kept["success_ci95"] == list(found.ci95)
    assert kept["clean_error_rate"] == found.clean_error_rate
    with np.load(tmp_path / "new" / "images.npz") as arrays:
        np.testing.assert_array_equal(arrays["adversarial"], found.adversarial)
        np.testing.assert_array_equal(arrays["original"], digits.test.images[:2])
    assert repr(found).startswith("AttackResult(count-regression, l2=2: ")
    assert found._repr_html_().count("<tr>") == 3
    try:
        import pandas as pd
    except ImportError:
        with pytest.raises(na.errors.UnsupportedFeatureError, match="pandas"):
            found.to_dataframe()
    else:
        assert isinstance(found.to_dataframe(), pd.DataFrame)


def test_compare_uses_the_available_backends(network, digits):
    found = na.compare(network, digits.test[:1], backends=["native"], steps=20)
    assert found.images == 1


def test_audit_takes_a_network_or_its_file(monkeypatch, tmp_path, network, digits):
    seen = []

    def run(file, dataset, spec, suite, folder, **settings):
        seen.append((na.load(file) == network, str(spec), suite.images, folder))

    monkeypatch.setattr("neuroattack.experiments.audit.audit.audit", run)
    na.save(tmp_path / "net.h5", network)
    for given in (network, tmp_path / "net.h5"):
        na.audit(given, digits, folder=tmp_path, deployment="native,steps=50", quick=True)
    assert seen == [(True, "native,steps=50", 20, tmp_path)] * 2


def test_repr_of_networks():
    network = small_network()
    text = repr(network)
    for population in network.populations:
        assert f"{population.name}: {population.size} LIF" in text
    for projection in network.projections:
        assert f"{projection.source} -> {projection.target}" in text
    assert len(text.splitlines()) == 2 + len(network.populations) + len(network.projections)
    assert network._repr_html_().count("<td>") == (
        3 * (1 + len(network.populations)) + 2 * len(network.projections)
    )
