"""Meters: readings against recordings of the same trials, and their noise."""

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.meters import Meter
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import (
    SimulationError,
    UnknownNameError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.targets.black_box import METERS

IMAGES = np.random.default_rng(2).random((4, 28, 28))


@pytest.mark.parametrize("quantity", [name for name in METERS if name != "latency"])
def test_readings_are_those_of_the_recorded_trials(quantity):
    with deploy(small_network(), profile="loihi1", steps=40, seed=3) as deployment:
        responses = deployment.black_box(5, meter=Meter(quantity)).query(IMAGES)
        recording = deployment.record(IMAGES, indices=range(4), stream=5, record_spikes=True)
        fitted = deployment.fitted
        counts = recording.counts
        energy = fitted.estimate(fitted.activity(counts, 40, recording.spikes))
        lower, upper = energy.subtotal_per_image_pj
        fan_out = dict.fromkeys(counts, 0)
        for projection in deployment.network.projections:
            fan_out[projection.source] = np.count_nonzero(projection.dense().mantissas, axis=1)
    expected = {
        "spikes": sum(each.sum(1) for name, each in counts.items() if name != "input"),
        "synaptic-operations": sum((counts[name] * fan_out[name]).sum(1) for name in counts),
        "energy": np.rint((lower + upper) / 2e3),
    }[quantity]
    np.testing.assert_array_equal(responses[:, :-1], counts["output"])
    np.testing.assert_array_equal(responses[:, -1], expected)


def test_latency_is_the_first_step_at_which_the_lead_suffices():
    network = small_network()
    with deploy(network, steps=60, seed=3, exit="margin:3") as deployment:
        readings = deployment.black_box(5, meter=Meter("latency")).query(IMAGES)[:, -1]
    with deploy(network, steps=60, seed=3) as whole:
        recording = whole.record(IMAGES, indices=range(4), stream=5, record_spikes=True)
        dense = recording.spikes["output"].to_dense().astype(int)
    for reading, spikes in zip(readings.tolist(), dense, strict=True):
        counts = np.cumsum(spikes, axis=0)
        lead = np.sort(counts, axis=1)[:, -1] - np.sort(counts, axis=1)[:, -2]
        decided = np.flatnonzero(lead >= 3)
        assert reading == (decided[0] + 1 if decided.size else 60)
    assert len(set(readings.tolist())) > 1
    with (
        deploy(network, steps=5) as deployment,
        pytest.raises(UnsupportedFeatureError),
    ):
        deployment.black_box(1, meter=Meter("latency"))


def test_noise_is_relative_and_the_same_for_the_same_query():
    exact = {"spikes": np.full(20_000, 1e5)}
    indices = np.arange(20_000)
    meter = Meter("spikes", 0.1)
    first = meter.read(exact, seed=1, stream=2, indices=indices)
    np.testing.assert_array_equal(first, meter.read(exact, seed=1, stream=2, indices=indices))
    last = meter.read({"spikes": np.array([1e5])}, seed=1, stream=2, indices=indices[-1:])
    assert last[0] == first[-1]
    assert np.any(first != meter.read(exact, seed=1, stream=3, indices=indices))
    assert first.mean() == pytest.approx(1e5, rel=0.003)
    assert first.std() == pytest.approx(1e4, rel=0.03)


def test_invalid_meters_are_refused():
    for text, error in (
        ("power", UnknownNameError),
        ("energy:x", ValidationError),
        ("energy:-1", ValidationError),
        ("energy:nan", ValidationError),
    ):
        with pytest.raises(error):
            Meter.from_text(text)
        with pytest.raises(error):
            DeploymentSpec(meter=text)
    with pytest.raises(ValidationError):
        DeploymentSpec(meter="spikes", response="labels")
    with pytest.raises(ValidationError):
        DeploymentSpec(meter="spikes", defense="rounded-counts:5")
    with pytest.raises(ValidationError):
        DeploymentSpec(backend="dnn", meter="spikes")
    with (
        deploy(small_network(), steps=5) as deployment,
        pytest.raises(UnsupportedFeatureError),
    ):
        deployment.black_box(1, meter=Meter("energy"))
    with pytest.raises(SimulationError):
        Meter("spikes").read({"spikes": np.array([1e10])}, seed=0, stream=0, indices=np.arange(1))


def test_specifications_round_trip_and_give_a_meter_for_a_goal():
    spec = DeploymentSpec.from_text("native,steps=50,meter=energy:0.05")
    assert DeploymentSpec.from_text(str(spec)) == spec
    assert spec.reading == Meter("energy", 0.05)
    assert spec.metered("energy") == spec
    assert spec.metered("spikes").reading == Meter("spikes")
    assert spec.metered(None).reading is None
