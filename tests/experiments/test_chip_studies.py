"""Studies under hardware profiles: figures compared with counts."""

import dataclasses

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.chips.energy import study_energy
from neuroattack.experiments.chips.latency import measure_latency
from neuroattack.experiments.chips.metering import ActivityMeter
from neuroattack.experiments.chips.precision import measure_precision
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.energy.conventional import compare_conventional
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile, read_profile
from neuroattack.hardware.quantization.quantization import Rounding, quantize

IMAGES = np.random.default_rng(3).random((24, 28, 28), dtype=np.float32)
STEPS = 60


@pytest.fixture(scope="module")
def labels():
    """Return the predicted classes of most images, and other classes for the rest."""
    recording = deploy(small_network(), steps=STEPS).record(IMAGES, indices=range(len(IMAGES)))
    said = decide(recording.counts["output"])
    assert len(set(said.tolist())) > 1
    return np.where(np.arange(len(said)) % 5 == 0, (said + 1) % 10, np.maximum(said, 0))


def test_curves_agree_with_separate_runs(labels, tmp_path):
    network, loihi = small_network(), load_profile("loihi1").number_format()
    curves = measure_precision(
        network, IMAGES, labels, loihi, bits=[3, 8], time_steps=[15, 30, STEPS], folder=tmp_path
    )

    def accuracy(held, steps=STEPS):
        return evaluate(deploy(held, steps=steps), IMAGES, labels).accuracy

    found = [point["accuracy"] for point in curves["floating"]]
    assert found == [accuracy(network, steps) for steps in (15, 30, STEPS)]
    assert len(set(found)) > 1
    held = quantize(network, loihi).network
    found = [point["accuracy"] for point in curves["quantized"]]
    assert found == [accuracy(held, steps) for steps in (15, 30, STEPS)]
    points = {(p["bits"], p["signs"], p["clipping"]): p for p in curves["bits"]}
    # The three most significant of eight bits: weights are multiples of 2 * 2**5.
    narrow = dataclasses.replace(loihi, weight_bits=3, weight_exponents=(5, 5))
    for key, number_format, rounding in (
        ((8, "mixed", "none"), loihi, Rounding()),
        ((3, "mixed", "none"), narrow, Rounding()),
        ((3, "split", "least_error"), narrow, Rounding(signs="split", clipping="least_error")),
    ):
        held = quantize(network, number_format, rounding).network
        assert points[key]["accuracy"] == accuracy(held)
        connections = [
            sum(int((p.mantissas != 0).sum()) for p in each.projections) for each in (network, held)
        ]
        assert points[key]["lost_fraction"] == pytest.approx(1 - connections[1] / connections[0])


def test_the_conventional_network_is_compared_with_counted_operations(labels, tmp_path):
    network = small_network()
    study = study_energy(
        network, IMAGES, labels, [load_profile("loihi1")], steps=STEPS, folder=tmp_path
    )
    operations = study["reference"]["synaptic_operations_per_image"]
    assert study["conventional"] == compare_conventional(network, operations, STEPS)
    chip = study["profiles"]["loihi1"]
    assert 0 < chip["accuracy"] < 1
    assert chip["subtotal_pj_per_correct_image"]["lower"] == pytest.approx(
        chip["subtotal_pj"]["lower"] / chip["accuracy"]
    )


def test_direct_coding_is_measured_and_refused_by_chips(labels, tmp_path):
    network = small_network()
    direct = dataclasses.replace(network.input, encoder=DirectEncoder(8))
    network = dataclasses.replace(network, input=direct)
    study = study_energy(
        network, IMAGES, labels, [load_profile("loihi1")], steps=20, folder=tmp_path
    )
    operations = study["neurobench"]["synaptic_operations_per_image"]
    # Spikes and intensities take a step to arrive.
    connections = np.count_nonzero(network.projections[0].mantissas, axis=1)
    nonzero = np.rint(IMAGES.reshape(len(IMAGES), -1) * 256) > 0
    delay_steps = network.projections[0].delay_steps
    expected = (nonzero @ connections).mean() * (20 - delay_steps)
    assert operations["effective_macs"] == pytest.approx(expected)
    assert study["conventional"]["multiplications"] == operations["effective_macs"]
    assert study["reference"]["synaptic_operations_per_image"] == pytest.approx(
        operations["effective_macs"] + operations["effective_acs"] + operations["late"]
    )
    assert "direct coding" in study["profiles"]["loihi1"]["refused"]


EVENT_CHIP = """
schema = 1
id = "eventchip"
update_policy = "on_event"
energy_scope = "per_term"
[source]
paper = { ref = "Doe 2026", access = "primary" }
[energy_pJ]
default = { src = "paper", at = "p. 3", basis = "measured", cond = "0.6 V" }
synaptic_operation = { v = 2 }
update_active = { v = 3 }
"""


def test_updates_on_events_are_counted_from_the_spikes(tmp_path, labels):
    path = tmp_path / "eventchip.toml"
    path.write_text(EVENT_CHIP)
    network, chip = small_network(), read_profile(path)
    study = study_energy(network, IMAGES[:6], labels[:6], [chip], steps=20, folder=tmp_path)
    held = fit(network, chip).network
    recording = deploy(held, steps=20).record(IMAGES[:6], indices=range(6), record_spikes=True)
    expected = 0
    for projection in held.projections:
        raster = recording.spikes[projection.source].to_dense()
        for image in range(6):
            for step in range(20 - projection.delay_steps):
                weights = projection.mantissas[raster[image, step]]
                expected += int((weights != 0).any(axis=0).sum())
    term = study["profiles"]["eventchip"]["terms"]["update_active"]
    assert term["count_per_image"]["lower"] == pytest.approx(expected / 6)
    assert term["energy_pj_per_image"]["lower"] == pytest.approx(3 * expected / 6)


def test_stored_results_are_not_computed_again(labels, tmp_path):
    network, chips = small_network(), [load_profile("loihi1"), load_profile("odin")]

    def studies(on_progress=None):
        common = {"folder": tmp_path, "workers": 1, "on_progress": on_progress}
        return (
            study_energy(network, IMAGES[:6], labels[:6], chips, steps=20, **common),
            measure_precision(
                network, IMAGES[:6], labels[:6], chips[0].number_format(), bits=[4],
                time_steps=[20], **common,
            ),
        )  # fmt: skip

    first, done = studies(), []
    # The throughput is that of the first run.
    assert studies(lambda fraction, _: done.append(fraction)) == first
    assert set(done) == {1.0}


@pytest.mark.parametrize("profile", [None, "loihi1", "spinnaker1"])
def test_latencies_agree_with_separate_evaluations(labels, tmp_path, monkeypatch, profile):
    network, spec = small_network(), DeploymentSpec(steps=STEPS, seed=5, profile=profile)
    monkeypatch.setattr("neuroattack.experiments.chips.latency._CELL_IMAGES", 10)
    found = measure_latency(network, IMAGES, labels, spec, margins=[3, 1, 3], folder=tmp_path)
    assert [point["margin"] for point in found["margins"]] == [1, 3]
    for point in found["margins"]:
        with dataclasses.replace(spec, exit=point["exit"]).deploy(network) as deployment:
            meter = ActivityMeter(deployment.fitted, STEPS) if profile else None
            expected = evaluate(deployment, IMAGES, labels, observe=meter)
        assert point["accuracy"] == expected.accuracy
        assert point["undecided_fraction"] == expected.undecided_fraction
        assert point["decision_steps"] == dataclasses.asdict(expected.decision_steps)
        if meter is None:
            assert point["time_s"] is point["subtotal_pj"] is None
            continue
        on_chip = meter.as_json()
        for name in ("subtotal_pj", "energy_pj_per_image"):
            assert point[name] == pytest.approx(on_chip[name]), name
        milliseconds = {end: 1e3 * each for end, each in point["time_s"].items()}
        assert milliseconds == pytest.approx(on_chip["latency_ms"])
    assert found["fixed"][-1]["steps"] == STEPS
    for point in found["fixed"][::4]:
        with dataclasses.replace(spec, steps=point["steps"]).deploy(network) as deployment:
            assert point["accuracy"] == evaluate(deployment, IMAGES, labels).accuracy


def test_latencies_of_other_outputs_and_settings_are_refused(labels, tmp_path):
    def refused(error, message, network=None, margins=(1,), spec="native"):
        with pytest.raises(error, match=message):
            measure_latency(
                network or small_network(), IMAGES, labels, DeploymentSpec.from_text(spec),
                margins=margins, folder=tmp_path,
            )  # fmt: skip

    refused(ValidationError, "latency: got no image or margin", margins=())
    refused(ValidationError, "margin of an early exit: got 0", margins=(0,))
    refused(ValidationError, "exit of deployment .*: got margin:2", spec="native,exit=margin:2")
    hidden, output = small_network().populations
    graded = dataclasses.replace(
        small_network(),
        populations=(hidden, dataclasses.replace(output, threshold_v=np.inf)),
        readout_quantity="final_potential",
    )
    refused(UnsupportedFeatureError, "latency: got population 'output' with a potential", graded)
