"""Direct coding and potentials through a deployment, with a simulator that returns known values."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.attacks.bounds import L0
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import attack_names, make_attack
from neuroattack.attacks.result import verify
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.deployment.deployment import Deployment
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.readout import logits_as_scores
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.preflight import measure_randomness
from neuroattack.ir.network import Input

SLOPES = np.random.default_rng(0).normal(0, 0.02, (784, 10))


class Linear:
    """Simulator whose readout potentials are linear in the image; its neurons do not spike."""

    def __init__(self):
        self.batches = []

    def run(self, inputs, *, record_spikes=False):
        assert isinstance(inputs, ConstantInput)
        self.batches.append(len(inputs))
        sizes = {"hidden": 30, "output": 10}
        counts = {name: np.zeros((len(inputs), size), np.int32) for name, size in sizes.items()}
        empty = {
            name: SpikeTrains.from_events([], [], [], (len(inputs), inputs.steps, size))
            for name, size in sizes.items()
        }
        return Recording(
            {"input": inputs.counts(), **counts},
            empty if record_spikes else None,
            inputs.intensities() @ SLOPES,
        )

    def close(self):
        pass


@pytest.fixture
def deployment():
    network = small_network()
    network = replace(network, input=Input(network.input.shape, DirectEncoder()))
    return Deployment(network, Linear(), "linear", "", steps=5, seed=0)


@pytest.fixture
def images():
    return np.random.default_rng(1).random((300, 28, 28)).round(3)


def expected_potentials(images):
    on_grid = np.rint(images.reshape(len(images), -1) * 2**20) / 2**20
    return on_grid @ SLOPES


def test_recordings_of_batches_are_joined(deployment, images):
    recording = deployment.record(images, indices=np.arange(300), record_spikes=True)
    assert len(deployment.simulator.batches) > 1
    np.testing.assert_allclose(recording.potentials, expected_potentials(images), rtol=1e-12)
    assert set(recording.spikes) == {"hidden", "output"}
    assert recording.outputs("output") is recording.potentials
    operations = synaptic_operations(deployment.network, recording)
    fan_out = deployment.network.outgoing("input")[0].fan_out()
    for image, found in zip(images, operations, strict=True):
        assert found == 5 * fan_out[image.ravel() > 0].sum()


def test_a_black_box_returns_scores_of_potentials(deployment, images):
    box = deployment.black_box(stream=1)
    scores = box.query(images[:3])
    np.testing.assert_array_equal(scores, logits_as_scores(expected_potentials(images[:3])))
    np.testing.assert_array_equal(box.query(images[:3]), scores)
    assert box.response == "counts"


def test_images_are_classified_by_their_potentials(deployment, images):
    best = expected_potentials(images).argmax(axis=1)
    found = evaluate(deployment, images, best.astype(np.uint8))
    assert found.accuracy == 1
    assert (found.silent_fraction, found.undecided_fraction) == (0, 0)


def test_a_deterministic_target_is_reported_as_such(deployment, images):
    label = int(expected_potentials(images[:1]).argmax())
    found = measure_randomness(deployment.black_box(1), images[0], label, trials=10)
    assert (found.deterministic, found.repeats, found.correct) == (True, 1, 1.0)
    assert found.gap_sd == 0
    verified = verify(deployment.black_box(2), images[0], Goal((label + 1) % 10), 20)
    assert verified.rate == 1
    low, high = verified.ci95
    assert 0 < low < high <= 1


@pytest.mark.parametrize("name", sorted({*attack_names()} - {"dvs-pattern", "white-box"}))
def test_every_attack_accepts_scores_of_potentials(deployment, images, name):
    if name not in ("count-regression", "greedy-window", "random-noise", "sparse-rs"):
        pytest.importorskip("art")
    box = deployment.black_box(1, 120)
    label = int(expected_potentials(images[:1]).argmax())
    required = {}
    if name == "transfer":
        layer = np.random.default_rng(0).normal(size=(images[0].size, box.n_classes))
        biases = np.zeros(box.n_classes, np.float32)
        required["substitutes"] = Perceptron(
            images[0].shape, (layer.astype(np.float32),), (biases,)
        )
    found = make_attack(name, L0(60), 120, 0, required).run(box, images[0], Goal(label))
    assert 0 < found.queries <= 120
    assert L0(60).holds(images[0], found.adversarial)


def test_batches_are_limited_by_the_spikes_to_record(deployment, images):
    long = replace(deployment, simulator=Linear(), steps=20_000)
    long.record(images, indices=np.arange(300))
    assert max(long.simulator.batches) == 256
    long = replace(deployment, simulator=Linear(), steps=20_000)
    long.record(images[:40], indices=np.arange(40), record_spikes=True)
    assert max(long.simulator.batches) * 20_000 * sum(long.network.sizes.values()) <= 2**28
    assert sum(long.simulator.batches) == 40
