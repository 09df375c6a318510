"""Deployments: randomness, batches, streams and black boxes; evaluation by recount."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.backend import Availability, Workload, list_backends
from neuroattack.deployment.deployment import Deployment, deploy, search_stream, verification_stream
from neuroattack.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    UnknownNameError,
    ValidationError,
)
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.dynamics import simulate


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((300, 28, 28)).astype(np.float32)


def test_an_image_has_the_same_spikes_alone_and_in_any_batch(images):
    deployment = deploy(small_network(), steps=30, seed=5)
    batch = deployment.record(images, indices=np.arange(300)).counts
    for index in (0, 255, 256, 299):
        alone = deployment.record(images[index : index + 1], indices=[index]).counts
        for name in batch:
            np.testing.assert_array_equal(batch[name][index], alone[name][0])


@pytest.mark.parametrize("indices", [[0, 1], [0, 1, 2, 3], [[0, 1, 2]]])
def test_indices_of_another_number_of_images_are_refused(images, indices):
    deployment = deploy(small_network(), steps=5)
    for function in (deployment.record, deployment.respond):
        with pytest.raises(ValidationError, match=r"^indices: "):
            function(images[:3], indices=indices, stream=1)
    assert deployment.respond(images[:3], indices=[0, 1, 2], stream=1).shape == (3, 10)


def test_a_recording_has_the_spikes_of_the_reference_dynamics(images):
    network = small_network()
    deployment = deploy(network, steps=40, seed=5)
    recording = deployment.record(images[:3], indices=[4, 5, 6], record_spikes=True)
    for image in range(3):
        raster = {n: s[image : image + 1].to_dense()[0] for n, s in recording.spikes.items()}
        expected = simulate(network, raster["input"])
        for name, spikes in expected.items():
            np.testing.assert_array_equal(raster[name], spikes)


def test_every_query_of_a_black_box_is_a_fresh_trial_that_the_seed_repeats(images):
    def answers(seed, batches):
        box = deploy(small_network(), steps=60, seed=seed).black_box(stream=1)
        return np.concatenate(
            [box.query(np.repeat(images[:1], n, axis=0)) for n in batches]
        ).tolist()

    first = answers(0, [6])
    assert len({tuple(counts) for counts in first}) > 1
    assert answers(0, [1, 2, 3]) == first
    assert answers(1, [6]) != first


def test_independent_randomness_is_the_default_and_differs_between_images(images):
    deployment = deploy(small_network(), steps=60, seed=3)

    def answers(*randomness):
        box = deployment.black_box(1, None, *randomness)
        return np.concatenate([box.query(images[:3]), box.query(images[:1])])

    def recorded(indices):
        shown = images[[0, 1, 2, 0]]
        return deployment.record(shown, indices=indices, stream=1).counts["output"]

    np.testing.assert_array_equal(answers(), recorded([0, 1, 2, 3]))
    np.testing.assert_array_equal(answers("independent"), recorded([0, 1, 2, 3]))
    np.testing.assert_array_equal(answers("shared"), recorded([0, 0, 0, 1]))


def test_every_image_with_shared_randomness_counts_against_the_budget(images):
    box = deploy(small_network(), steps=10).black_box(1, budget=5, randomness="shared")
    box.query(images[:3])
    assert (box.queries, box.remaining) == (3, 2)
    with pytest.raises(BudgetExceededError):
        box.query(images[:3])


def test_other_kinds_of_randomness_are_refused():
    with pytest.raises(ValidationError, match="'same', expected independent or shared"):
        deploy(small_network(), steps=5).black_box(1, randomness="same")


def test_streams_of_attacks_are_all_different():
    streams = [
        0,
        *(
            stream(index, target)
            for index in range(50)
            for target in (None, *range(10))
            for stream in (search_stream, verification_stream)
        ),
    ]
    assert len(set(streams)) == len(streams)


def test_the_black_boxs_budget_is_hard(images):
    box = deploy(small_network(), steps=10).black_box(1, budget=3)
    with pytest.raises(BudgetExceededError):
        box.query(images[:4])
    assert box.query(images[:3]).shape == (3, 10)
    assert box.remaining == 0


def test_evaluation_equals_a_recount(images):
    network = small_network()
    deployment = deploy(network, steps=25, seed=2)
    labels = np.random.default_rng(1).integers(0, 10, 300).astype(np.uint8)
    done = []
    found = evaluate(deployment, images, labels, lambda n, correct: done.append((n, correct)))
    counts = deployment.record(images, indices=np.arange(300)).counts
    correct = sum(
        row[label] > max(np.delete(row, label))
        for row, label in zip(counts["output"], labels, strict=True)
    )
    assert found.accuracy == correct / 300
    assert done[-1] == (300, correct)
    assert found.silent_fraction == np.mean(counts["output"].sum(axis=1) == 0)
    assert found.spikes_per_image["hidden"] == pytest.approx(counts["hidden"].sum() / 300)
    operations = sum(
        counts[p.source].sum(axis=0) @ (p.mantissas != 0).sum(axis=1) for p in network.projections
    )
    assert found.synaptic_operations_per_image == pytest.approx(operations / 300)


def test_an_evaluation_may_sum_several_trials(images):
    deployment = deploy(small_network(), steps=25, seed=2)
    labels = np.random.default_rng(1).integers(0, 10, 300).astype(np.uint8)
    found = evaluate(deployment, images, labels, trials=3)
    counts = deployment.record(np.repeat(images, 3, axis=0), indices=np.arange(900)).counts
    summed = counts["output"].reshape(300, 3, 10).sum(axis=1)
    correct = [
        row[label] > max(np.delete(row, label)) for row, label in zip(summed, labels, strict=True)
    ]
    assert found.accuracy == np.mean(correct)
    assert found.spikes_per_image["hidden"] == pytest.approx(counts["hidden"].sum() / 300)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros(2, np.uint8), "got 2 .*expected 3"), (np.full(3, 10, np.uint8), "class 10")],
)
def test_labels_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(ValidationError, match=message):
        evaluate(deploy(small_network(), steps=5), images[:3], labels)


def test_impossible_deployments_are_refused(images):
    with pytest.raises(UnknownNameError, match="unknown backend 'x'"):
        deploy(small_network(), backend="x")
    with pytest.raises(ValidationError, match="steps: got 0"):
        deploy(small_network(), steps=0)
    with pytest.raises(ValidationError, match="indices: got shape"):
        deploy(small_network(), steps=5).record(images[:3], indices=[1])
    with pytest.raises(ValidationError, match="seed: got -1"):
        Deployment(small_network(), None, "none", "", steps=5, seed=-1)


class Missing:
    name = "missing"

    def __init__(self):
        raise ImportError("No module named 'chip'")


def register(monkeypatch, backend):
    """Make a backend the only registered one."""
    point = SimpleNamespace(name=backend.name, load=lambda: backend)
    monkeypatch.setattr("neuroattack.deployment.backend.entry_points", lambda group: [point])
    return backend


def test_a_backend_that_cannot_be_loaded_is_listed_with_its_reason(monkeypatch):
    register(monkeypatch, Missing)
    (line,) = list_backends()
    assert not line.available
    assert "ImportError: No module named 'chip'" in line.reason
    with pytest.raises(BackendUnavailableError, match="No module named 'chip'"):
        deploy(small_network(), backend="missing")


def test_long_runs_are_simulated_in_batches_that_fit_memory(images):
    batches = []

    class Counting:
        def run(self, inputs, *, record_spikes=False):
            batches.append(len(inputs))
            return deploy(small_network(), steps=1).simulator.run(inputs)

    deployment = Deployment(small_network(), Counting(), "counting", "", steps=20_000, seed=0)
    deployment.record(np.zeros((40, 28, 28)), indices=np.arange(40))
    assert sum(batches) == 40
    assert max(batches) * 20_000 * 784 <= 2**28
    assert sorted(batches)[-2] > 1


class Attentive:
    """Backend that records the arguments of deploy."""

    name = "attentive"
    received = None
    closed = 0

    def availability(self):
        return Availability(True, version="1.2")

    def deploy(self, network, workload):
        Attentive.received = (network, workload)
        return self

    def close(self):
        Attentive.closed += 1


@pytest.fixture
def attentive(monkeypatch):
    return register(monkeypatch, Attentive)


def test_backends_get_the_expected_workload_and_are_closed(attentive):
    with deploy(small_network(), backend="attentive", steps=70, expected_images=12) as deployment:
        assert deployment.backend_version == "1.2"
        assert attentive.received[1] == Workload(images=12, steps=70)
        assert attentive.closed == 0
    assert attentive.closed == 1


def test_fixed_point_rounds_a_floating_network_once(attentive):
    network = small_network()
    deployment = deploy(network, backend="attentive", precision="fixed")
    assert attentive.received[0] == quantize(network, fixed_format()).network == deployment.network
    assert deployment.network.precision == "fixed"
    again = deploy(deployment.network, backend="attentive", precision="fixed")
    assert again.network == deployment.network


def test_a_fixed_point_network_cannot_be_deployed_in_floating_point(attentive):
    fixed = quantize(small_network(), fixed_format()).network
    with pytest.raises(ValidationError, match="precision: got 'floating', expected 'fixed'"):
        deploy(fixed, backend="attentive", precision="floating")
    with pytest.raises(ValidationError, match="precision: got 'double'"):
        deploy(fixed, backend="attentive", precision="double")
