"""Deployments: specification as text, and opening."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DNN, DeploymentSpec, profile_checksum
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.filters import background_filter, mask_filter, rate_limit
from neuroattack.encoding.readout import decide
from neuroattack.encoding.registry import ENCODERS
from neuroattack.errors import BudgetExceededError, NeuroattackError, ValidationError
from neuroattack.ir.network import Input, Network, Population, Projection
from neuroattack.ir.storage import load_network


@given(
    precision=st.sampled_from([None, "floating", "fixed"]),
    steps=st.integers(1, 5_000),
    seed=st.integers(0, 2**31),
    encoder=st.sampled_from([None, *ENCODERS]),
    response=st.sampled_from(["counts", "labels"]),
    randomness=st.sampled_from(["independent", "shared"]),
)
def test_text_and_back(precision, steps, seed, encoder, response, randomness):
    spec = DeploymentSpec("native", precision, None, steps, seed, encoder, response, randomness)
    assert DeploymentSpec.from_text(str(spec)) == spec


@pytest.mark.parametrize(
    "defense",
    [
        "repeats:3",
        "random-rate:0.25",
        "rounded-counts:5",
        "capped-counts:20",
        "background-filter:2.5",
        "mask-filter:20",
        "rate-limit:3",
    ],
)
def test_text_of_a_defense_and_back(defense):
    spec = DeploymentSpec.from_text(f"native,defense={defense}")
    assert spec.defense == defense
    assert DeploymentSpec.from_text(str(spec)) == spec


def test_texts():
    assert DeploymentSpec.from_text("native") == DeploymentSpec()
    assert DeploymentSpec.from_text("steps=100") == DeploymentSpec(steps=100)
    assert DeploymentSpec.from_text("native, profile=loihi1, steps=100") == DeploymentSpec(
        profile="loihi1", steps=100
    )
    assert str(DeploymentSpec(profile="loihi1", seed=3)) == "native,profile=loihi1,seed=3"
    assert DeploymentSpec.from_text("dnn").kind == "dnn"
    served = DeploymentSpec.from_text("https://host:8000/v2/models/a=b,response=labels")
    assert (served.kind, served.backend) == ("served", "https://host:8000/v2/models/a=b")
    assert DeploymentSpec.from_text(str(served)) == served
    assert str(DeploymentSpec.from_text("dnn,response=labels")) == "dnn,response=labels"
    assert str(DeploymentSpec.from_text("dnn")) == DNN
    assert DeploymentSpec().kind == "network"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "deployment ''"),
        ("nativ", "nativ"),
        ("native,native", "'native'"),
        ("native,steps", "'steps'"),
        ("native,steps=", "'steps='"),
        ("native,steps=many", "steps of a deployment: got 'many'"),
        ("native,steps=0", "steps"),
        ("native,seed=-1", "seed"),
        ("native,seed=1,seed=2", "seed twice"),
        ("native,color=red", "color"),
        ("native,precision=double", "double"),
        ("native,precision=fixed,profile=loihi1", "got fixed"),
        ("native,encoder=morse", "morse"),
        ("native,response=lies", "lies"),
        ("native,search_randomness=few", "few"),
        ("native,defense=repeat:2", "did you mean 'repeats'"),
        ("native,defense=repeats", "expected an integer after the name"),
        ("native,defense=repeats:0", "defense 'repeats': got 0"),
        ("native,defense=repeats:1.5", "got '1.5'"),
        ("native,defense=random-rate:1.5", "defense 'random-rate': got 1.5"),
        ("dnn,defense=random-rate:0.5", "a simulated network"),
        ("dnn,defense=mask-filter:5", "a simulated network"),
        ("https://host/v2/models/a,defense=rate-limit:5", "a simulated network"),
        ("native,defense=background-filter:0", "defense 'background-filter': got 0"),
        ("native,defense=background-filter:x", "expected a number after the name"),
        ("native,defense=mask-filter:2.5", "expected an integer after the name"),
        ("native,defense=rate-limit:0", "defense 'rate-limit': got 0"),
        ("dnn,steps=100", "steps of deployment 'dnn'"),
        ("dnn,response=lies", "lies"),
        ("https://host/v2/models/a,steps=100", "server"),
        ("native,token_file=x", "served network"),
        ("native,allow_lossy=true", "allow_lossy of deployment 'native': got True"),
        ("native,profile=loihi1,allow_lossy=maybe", "true or false"),
    ],
)
def test_invalid_deployments_are_refused(text, message):
    with pytest.raises(NeuroattackError) as refused:
        DeploymentSpec.from_text(text)
    assert message in str(refused.value)


def test_a_target_returns_the_counts_of_its_deployment(network_file):
    network = load_network(network_file)
    images = np.random.default_rng(0).uniform(0, 1, (5, *network.input.shape))
    with open_target(DeploymentSpec(steps=80, seed=4), network_file) as boxes:
        seen = boxes(7).query(images)
    with deploy(network, backend="native", steps=80, seed=4) as deployment:
        np.testing.assert_array_equal(seen, deployment.black_box(7).query(images))
    assert seen.sum() > 0


def test_a_target_may_return_the_class_only(network_file):
    images = np.random.default_rng(0).uniform(0, 1, (20, 28, 28))
    with open_target(DeploymentSpec(response="labels"), network_file) as boxes:
        target = boxes(7, 20)
        labels = target.query(images)
    assert target.response == "labels"
    assert target.remaining == 0
    with open_target(DeploymentSpec(), network_file) as boxes:
        decided = decide(boxes(7).query(images))
    expected = np.zeros((20, 10), np.int32)
    for row, class_ in enumerate(decided):
        if class_ >= 0:
            expected[row, class_] = 1
    np.testing.assert_array_equal(labels, expected)
    assert expected.any()


def test_repeats_are_sums_of_trials_and_one_query_of_the_budget(network_file):
    images = np.random.default_rng(0).uniform(0, 1, (4, 28, 28))
    spec = DeploymentSpec(steps=80, defense="repeats:3")
    with open_target(spec, network_file) as boxes:
        target = boxes(7, 5)
        summed = target.query(images)
        assert (target.queries, target.remaining) == (4, 1)
        with pytest.raises(BudgetExceededError):
            target.query(images[:2])
    with open_target(DeploymentSpec(steps=80), network_file) as boxes:
        trials = boxes(7).query(np.repeat(images, 3, axis=0))
    np.testing.assert_array_equal(summed, trials.reshape(4, 3, -1).sum(axis=1))


def test_counts_are_rounded_before_the_class_is_decided(network_file):
    images = np.random.default_rng(0).uniform(0, 1, (20, 28, 28))
    with open_target(DeploymentSpec(defense="rounded-counts:9"), network_file) as boxes:
        counts = boxes(7).query(images)
    assert (counts % 9 == 0).all()
    spec = DeploymentSpec(defense="rounded-counts:9", response="labels")
    with open_target(spec, network_file) as boxes:
        labels = boxes(7).query(images)
    decided = decide(counts)
    np.testing.assert_array_equal(decide(labels), decided)
    assert len(set(decided)) > 1


def test_random_rates_vary_the_input_and_keep_its_mean(network_file):
    images = np.full((300, 28, 28), 0.5)
    spikes = {}
    for defense in (None, "random-rate:0.5"):
        with DeploymentSpec(steps=50, defense=defense).deploy(
            load_network(network_file)
        ) as deployment:
            spikes[defense] = deployment.record(images, indices=np.arange(300)).counts["input"]
    plain, random = (each.sum(axis=1) / spikes[None].sum() * 300 for each in spikes.values())
    # A uniform factor within 0.5 has the standard deviation 0.29.
    assert random.mean() == pytest.approx(1, abs=5 * 0.29 / np.sqrt(300))
    assert random.std() > 5 * plain.std()


def test_random_rates_need_poisson_spikes(network_file):
    spec = DeploymentSpec(encoder="direct", defense="random-rate:0.5")
    with pytest.raises(NeuroattackError, match="direct encoder, expected Poisson spikes"):
        spec.deploy(load_network(network_file))


def event_network():
    """Return a network that reads events of two polarities and 3 x 3 pixels."""
    rng = np.random.default_rng(0)
    return Network(
        1e-3,
        Input((2, 3, 3), EventEncoder()),
        (Population("out", 2, tau_m_s=0.02, threshold_v=1.0),),
        (Projection.from_weights("input", "out", rng.normal(0.3, 0.3, (18, 2))),),
        "out",
    )


def test_sensor_noise_is_part_of_a_deployment():
    noise = "drop:0.5+background_hz:20"
    spec = DeploymentSpec.from_text(f"native,steps=30,sensor_noise={noise}")
    assert DeploymentSpec.from_text(str(spec)) == spec
    sample = (np.random.default_rng(1).random((30, 2, 3, 3)) < 0.3).astype(float)
    network = event_network()
    with spec.deploy(network) as noisy, DeploymentSpec(steps=30).deploy(network) as clean:
        assert noisy.network.input.encoder == EventEncoder(drop=0.5, background_hz=20.0)
        assert noisy.is_random
        assert not clean.is_random
        assert noisy.image_shape == clean.image_shape == (30, 2, 3, 3)
        box = clean.black_box(0)
        assert box.image_shape == (30, 2, 3, 3)
        counts = clean.record(sample[None], indices=[0]).counts
        assert np.array_equal(box.query(sample[None])[0], counts["out"][0])
        assert np.array_equal(counts["input"][0], sample.sum(axis=0).ravel())


def test_the_number_of_steps_is_that_of_event_samples():
    network = event_network()
    samples = np.zeros((4, 30, 2, 3, 3), bool)
    spec = DeploymentSpec.from_text("native,seed=1").for_samples(network, samples)
    assert str(spec) == "native,steps=30,seed=1"
    assert spec.for_samples(network, samples) == spec
    assert DeploymentSpec().for_samples(None, samples) == DeploymentSpec()
    with pytest.raises(ValidationError, match="steps: got 350, expected 30"):
        DeploymentSpec(steps=350).for_samples(network, samples)
    with pytest.raises(ValidationError, match=r"\(4, 28, 28\), expected .*\(steps, 2, 3, 3\)"):
        DeploymentSpec().for_samples(network, np.zeros((4, 28, 28)))
    with pytest.raises(ValidationError, match=r"steps: got none, expected .*\(steps, 2, 3, 3\)"):
        DeploymentSpec().deploy(network)


def test_images_have_350_steps_by_default(network_file):
    network = load_network(network_file)
    spec = DeploymentSpec().for_samples(network, np.zeros((1, 28, 28)))
    assert spec == DeploymentSpec()
    with spec.deploy(network) as deployment:
        assert deployment.steps == 350


def test_samples_of_another_number_of_steps_are_refused():
    with DeploymentSpec(steps=20).deploy(event_network()) as deployment:
        with pytest.raises(ValidationError, match="20, 2, 3, 3"):
            deployment.record(np.zeros((1, 30, 2, 3, 3)), indices=[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sensor_noise": "dropp:0.1"}, "dropp"),
        ({"sensor_noise": "drop:much"}, "'much'"),
        ({"sensor_noise": "drop:2"}, "drop"),
    ],
)
def test_invalid_sensor_noise_is_refused(settings, message):
    with pytest.raises(NeuroattackError, match=message):
        DeploymentSpec(**settings)


def test_events_and_images_are_not_exchanged(network_file):
    images = load_network(network_file)
    with pytest.raises(ValidationError, match="'events'"):
        DeploymentSpec(encoder="events").deploy(images)
    with pytest.raises(ValidationError, match="poisson"):
        DeploymentSpec(encoder="poisson").deploy(event_network())
    with pytest.raises(ValidationError, match="sensor noise"):
        DeploymentSpec(sensor_noise="drop:0.1").deploy(images)


@pytest.mark.parametrize("noise", [None, "drop:0.1+background_hz:20+jitter_s:0.002"])
@pytest.mark.parametrize(
    ("defense", "function"),
    [
        ("background-filter:2.5", lambda sample: background_filter(sample, 2)),
        ("mask-filter:4", lambda sample: mask_filter(sample, 4)),
        ("rate-limit:3", lambda sample: rate_limit(sample, 3)),
    ],
)
def test_a_filter_changes_the_input_of_every_trial(defense, function, noise):
    network = event_network()
    samples = np.random.default_rng(0).random((5, 20, 2, 3, 3)) < 0.1
    spec = DeploymentSpec(steps=20, seed=2, sensor_noise=noise, defense=defense)
    encoding = {"indices": np.arange(5), "steps": 20, "dt_s": network.dt_s, "seed": 2, "stream": 7}
    with DeploymentSpec(steps=20, seed=2, sensor_noise=noise).deploy(network) as plain:
        encoder = plain.network.input.encoder
        spikes = encoder.encode(samples.reshape(5, -1).astype(float), **encoding).to_dense()
    filtered = np.stack([function(each) for each in spikes.reshape(samples.shape)])
    assert 0 < filtered.sum() < spikes.sum()
    with DeploymentSpec(steps=20, seed=2).deploy(network) as plain:
        expected = plain.record(filtered.astype(float), indices=range(5)).counts["input"]
    with open_target(spec, network) as boxes:
        deployment = boxes.deployment
        found = deployment.record(samples.astype(float), indices=range(5), stream=7)
        np.testing.assert_array_equal(found.counts["input"], expected)
        assert deployment.network.checksum != network.checksum
        assert deployment.is_random == (noise is not None)


def test_filters_need_events(network_file):
    with pytest.raises(ValidationError, match=r"defense 'mask-filter': got .*expected events"):
        DeploymentSpec(defense="mask-filter:5").deploy(load_network(network_file))


def test_another_encoder_gives_other_counts(network_file):
    images = np.full((20, 28, 28), 0.5)
    own = load_network(network_file).input.encoder.kind
    (other,) = {"poisson", "regular"} - {own}
    found = {}
    for kind in (None, own, other):
        with open_target(DeploymentSpec(steps=100, encoder=kind), network_file) as boxes:
            found[kind] = boxes(0).query(images)
    np.testing.assert_array_equal(found[None], found[own])
    assert not np.array_equal(found[own], found[other])


@pytest.mark.parametrize("dt_s", [1e-3, 2**-10, 0.0007])
def test_spikes_instead_of_direct_coding_have_the_same_mean_input(network_file, dt_s):
    network = load_network(network_file)
    direct = replace(network, dt_s=dt_s, input=Input(network.input.shape, DirectEncoder()))
    with DeploymentSpec(encoder="poisson", steps=50).deploy(direct) as deployment:
        encoder = deployment.network.input.encoder
        assert encoder.max_rate_hz * dt_s == pytest.approx(1)
        counts = deployment.record(np.ones((1, 28, 28)), indices=[0]).counts["input"]
    assert (counts == 50).all()


def test_a_conventional_network_needs_its_model(tmp_path):
    with (
        pytest.raises(NeuroattackError, match="deployment: got dnn"),
        open_target(DeploymentSpec.from_text("dnn"), tmp_path / "net.h5"),
    ):
        raise AssertionError("opened")


def test_profiles_are_identified_by_their_checksums():
    assert profile_checksum(DeploymentSpec()) == ""
    one, other = (
        profile_checksum(DeploymentSpec(profile=name)) for name in ("loihi1", "truenorth")
    )
    assert one
    assert one != other
