"""The figures promised on MNIST, each recipe trained from nothing: minutes."""

import numpy as np
import pytest

from neuroattack.conversion import convert
from neuroattack.datasets import load_dataset
from neuroattack.deployment import deploy
from neuroattack.ir.dynamics import simulate
from neuroattack.studies.evaluation import evaluate
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


def test_the_fine_tuned_network_loses_nothing_in_spikes(fine_tuned):
    test = load_dataset("mnist").test
    found = evaluate(deploy(convert(fine_tuned).network, steps=350), test.images, test.labels)
    assert found.images == 10_000
    assert found.accuracy >= 0.983
    assert found.silent_fraction <= 0.001
    assert abs(found.accuracy - fine_tuned.rate_accuracy) <= 0.003


def test_every_spike_of_the_trained_network_is_that_of_the_plain_dynamics(fine_tuned):
    network = convert(fine_tuned).network
    images = load_dataset("mnist").test.images[:20]
    recording = deploy(network, steps=350).record(images, indices=np.arange(20), record_spikes=True)
    for image in range(20):
        found = {n: s[image : image + 1].to_dense()[0] for n, s in recording.spikes.items()}
        for name, expected in simulate(network, found["input"]).items():
            np.testing.assert_array_equal(found[name], expected, err_msg=f"{image} {name}")
