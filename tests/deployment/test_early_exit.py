"""Deployments with early exit against separate runs that end at the decision."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.backend import Recording, list_backends
from neuroattack.deployment.deployment import EVALUATION_STREAM, decision_steps, deploy
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.provenance import provenance_of
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.early_exit import EarlyExit
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.dynamics import simulate

IMAGES = np.random.default_rng(2).random((20, 28, 28)).astype(np.float32)
INDICES = np.arange(len(IMAGES))
STEPS = 60
BACKENDS = [each.name for each in list_backends() if each.available and each.name != "lava"]


def with_direct_coding():
    network = small_network(1)
    return replace(network, input=replace(network.input, encoder=DirectEncoder()))


@pytest.mark.parametrize(
    ("network", "profile", "images"),
    [
        (small_network(), None, IMAGES),
        (small_network(), "loihi1", IMAGES),
        (small_network(), "spinnaker1", IMAGES),
        (small_network(), "speck", IMAGES),  # updates neurons when spikes arrive
        (with_direct_coding(), None, IMAGES / 10),
    ],
)
def test_an_image_is_that_of_a_run_that_ends_at_the_decision(network, profile, images):
    chip = {"profile": profile, "rounding": Rounding(allow_lossy=True)} if profile else {}
    with deploy(network, steps=STEPS, seed=3, exit="margin:2", **chip) as deployment:
        recording = deployment.record(images, indices=INDICES, record_spikes=True)
        steps = decision_steps(deployment, recording)
        assert len(set(steps.tolist())) > 2
        for image in range(0, len(IMAGES), 6):
            with deploy(network, steps=int(steps[image]), seed=3, **chip) as short:
                alone = short.record(images[[image]], indices=[image], record_spikes=True)
            for name, counts in alone.counts.items():
                np.testing.assert_array_equal(recording.counts[name][image], counts[0])
            if deployment.fitted is None:
                continue
            fitted = deployment.fitted
            found = fitted.activity(recording.counts, STEPS, recording.spikes, steps)
            expected = fitted.activity(alone.counts, short.steps, alone.spikes)
            for name in ("steps", "updates", "synaptic_operations", "updates_on_event"):
                values = getattr(expected, name)
                assert values is None or getattr(found, name)[image] == values[0], name
            for name in ("time_s", "subtotal_per_image_pj"):
                both = [getattr(fitted.estimate(each), name) for each in (found, expected)]
                if both[1] is not None:
                    ends = [
                        [bound[i] for bound in each]
                        for each, i in zip(both, (image, 0), strict=True)
                    ]
                    assert ends[0] == pytest.approx(ends[1], rel=1e-12), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_decide_like_the_reference_dynamics(backend):
    network, images, indices = small_network(), IMAGES[:5], INDICES[:5]
    inputs = network.input.encoder.encode(
        images.reshape(5, -1).astype(np.float64),
        indices=indices, steps=STEPS, dt_s=network.dt_s, seed=3, stream=EVALUATION_STREAM,
    )  # fmt: skip
    expected = []
    for raster in inputs.to_dense():
        counts = simulate(network, raster)["output"].cumsum(axis=0)
        ranked = np.sort(counts, axis=1)
        reached = np.flatnonzero(ranked[:, -1] - ranked[:, -2] >= 2)
        steps = int(reached[0]) + 1 if len(reached) else STEPS
        expected.append((steps, counts[steps - 1].tolist()))
    with deploy(network, backend=backend, steps=STEPS, seed=3, exit=EarlyExit(2)) as deployment:
        recording = deployment.record(images, indices=indices)
        assert recording.spikes is None
        steps = decision_steps(deployment, recording)
    found = zip(steps.tolist(), recording.counts["output"].tolist(), strict=True)
    assert list(found) == expected


def test_a_black_box_returns_the_counts_at_the_decision():
    network = small_network()
    spec = DeploymentSpec.from_text(f"native,steps={STEPS},exit=margin:2")
    assert str(spec) == f"native,steps={STEPS},exit=margin:2"
    with open_target(spec, network) as opened:
        counts = opened(stream=1).query(IMAGES)
        recording = opened.deployment.record(IMAGES, indices=INDICES, stream=1)
        np.testing.assert_array_equal(counts, recording.counts["output"])
    with deploy(network, steps=STEPS) as complete:
        assert (counts.sum(axis=1) <= complete.black_box(1).query(IMAGES).sum(axis=1)).all()
        assert decision_steps(complete, recording).tolist() == [STEPS] * len(IMAGES)


def test_an_evaluation_reports_the_time_to_decision():
    with deploy(small_network(), steps=STEPS, exit="first-spike") as deployment:
        recording = deployment.record(IMAGES, indices=INDICES)
        labels = np.maximum(decide(recording.counts["output"]), 0)
        found = evaluate(deployment, IMAGES, labels)
        steps = recording.decision_steps.tolist()
        assert found.exit == "margin:1"
        assert found.decision_steps.mean == pytest.approx(sum(steps) / len(steps))
        assert found.decision_steps.median == (sorted(steps)[9] + sorted(steps)[10]) / 2
        assert found.decision_steps.percentile_95 == np.percentile(steps, 95)
        assert found.spikes_per_image["output"] == recording.counts["output"].sum() / len(IMAGES)
        assert provenance_of(deployment, "digits", "", "").exit == "margin:1"
    with deploy(small_network(), steps=STEPS) as complete:
        assert evaluate(complete, IMAGES, labels).decision_steps is None
        assert provenance_of(complete, "digits", "", "").exit == ""


def test_batches_are_as_small_as_those_with_spikes(monkeypatch):
    network = small_network()
    with deploy(network, steps=STEPS, exit="margin:2") as deployment:
        together = deployment.record(IMAGES, indices=INDICES)
        monkeypatch.setattr(
            "neuroattack.deployment.deployment._BATCH_NUMBERS", 3 * STEPS * (784 + 40)
        )
        apart = deployment.record(IMAGES, indices=INDICES)
    np.testing.assert_array_equal(together.decision_steps, apart.decision_steps)
    for name, counts in together.counts.items():
        np.testing.assert_array_equal(counts, apart.counts[name])


def test_what_cannot_decide_early_is_refused():
    spiking = small_network()
    hidden, output = spiking.populations
    output = replace(output, threshold_v=np.inf)
    graded = replace(spiking, populations=(hidden, output), readout_quantity="final_potential")
    message = "early exit 'margin:2': got population 'output' with a potential as the output"
    with pytest.raises(UnsupportedFeatureError, match=message):
        deploy(graded, exit="margin:2")
    with pytest.raises(ValidationError, match="exit of deployment 'dnn': got 'margin:2'"):
        DeploymentSpec.from_text("dnn,exit=margin:2")
    with pytest.raises(ValidationError, match="exit of deployment 'http"):
        DeploymentSpec("https://chip.example/v2/models/net", exit="margin:2")
    with pytest.raises(ValidationError, match="margin of an early exit: got 0"):
        DeploymentSpec.from_text("native,exit=margin:0")
    with pytest.raises(ValidationError, match="exit: got 5, expected a rule such as"):
        deploy(small_network(), exit=5)
    with deploy(small_network(), exit="margin:2") as deployment:
        with pytest.raises(ValidationError, match="recording: got spike counts only"):
            decision_steps(deployment, Recording({"input": np.zeros((1, 784), np.int32)}))
