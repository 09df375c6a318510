"""Documented figures on MNIST; every recipe is trained, which takes minutes."""

import numpy as np
import pytest

from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import load_backend
from neuroattack.deployment.deployment import deploy
from neuroattack.errors import BackendUnavailableError
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import simulate
from neuroattack.training.conversion import convert
from neuroattack.training.recipes import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_mnist")]


def trained(recipe):
    mnist = load_dataset("mnist")
    return train(
        mnist.train.images,
        mnist.train.labels,
        recipe=recipe,
        test=(mnist.test.images, mnist.test.labels),
    )


@pytest.fixture(scope="module")
def fine_tuned():
    return trained("fine-tuned")


def test_the_paper_recipe_reaches_the_papers_accuracy():
    assert trained("paper").rate_accuracy >= 0.962


def test_the_fine_tuned_network_keeps_its_accuracy_as_a_spiking_network(fine_tuned):
    test = load_dataset("mnist").test
    found = evaluate(deploy(convert(fine_tuned).network, steps=350), test.images, test.labels)
    assert found.images == 10_000
    assert found.accuracy >= 0.983
    assert found.silent_fraction <= 0.001
    assert abs(found.accuracy - fine_tuned.rate_accuracy) <= 0.003


def test_the_spikes_of_the_trained_network_equal_the_reference_dynamics(fine_tuned):
    network = convert(fine_tuned).network
    images = load_dataset("mnist").test.images[:20]
    recording = deploy(network, steps=350).record(images, indices=np.arange(20), record_spikes=True)
    for image in range(20):
        found = {n: s[image : image + 1].to_dense()[0] for n, s in recording.spikes.items()}
        for name, expected in simulate(network, found["input"]).items():
            np.testing.assert_array_equal(found[name], expected, err_msg=f"{image} {name}")


def test_loihi_1_costs_the_fine_tuned_network_at_most_half_a_point(fine_tuned):
    test = load_dataset("mnist").test
    network = convert(fine_tuned).network
    floating = evaluate(deploy(network, steps=350), test.images, test.labels)
    on_chip = deploy(network, profile=load_profile("loihi1"), steps=350)
    found = evaluate(on_chip, test.images, test.labels)
    assert found.images == 10_000
    assert abs(found.accuracy - floating.accuracy) <= 0.005
    assert on_chip.fitted.placement.cores_used <= 1.1 * on_chip.fitted.placement.lower_bound_cores


def test_native_and_lava_have_the_same_spikes_on_loihi_1(fine_tuned):
    if not load_backend_or_none("lava"):
        pytest.skip("needs Lava: Python 3.10 and the extra lava")
    network = convert(fine_tuned).network
    images = load_dataset("mnist").test.images[:100]
    recordings = []
    for backend in ("native", "lava"):
        with deploy(
            network, backend=backend, profile=load_profile("loihi1"), steps=350
        ) as deployment:
            recordings.append(deployment.record(images, indices=np.arange(100), record_spikes=True))
    for name, spikes in recordings[0].spikes.items():
        other = recordings[1].spikes[name]
        assert np.array_equal(spikes.counts(), other.counts()), name
        assert all(
            np.array_equal(one, two)
            for one, two in zip(spikes.events(), other.events(), strict=True)
        ), name


def load_backend_or_none(name):
    try:
        return load_backend(name)
    except BackendUnavailableError:
        return None
