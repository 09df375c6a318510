"""Studies of networks that read events: attack, transfer and audit."""

import itertools

import numpy as np
import pytest

import neuroattack as na
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.registry import make_attack
from neuroattack.datasets import load_dataset
from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.datasets.events.counts import count_images
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.events import EventEncoder
from neuroattack.experiments.audit.audit import audit
from neuroattack.experiments.audit.suite import Suite
from neuroattack.ir.network import Input, Network, Population, Projection
from neuroattack.ir.storage import save_network

STEPS = 20
SHAPE = (2, 4, 4)
NOISE = "drop:0.1+background_hz:2"


@pytest.fixture(scope="module")
def events():
    """Two classes: more events in the upper or in the lower half."""
    rng = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count) % 2
        rates = np.full((count, 1, *SHAPE), 0.05)
        rates[labels == 0, :, :, :2] = 0.25
        rates[labels == 1, :, :, 2:] = 0.25
        return Split(rng.random((count, STEPS, *SHAPE)) < rates, labels.astype(np.uint8))

    return Dataset.of("halves", split(20), split(8), 2, dt_s=1e-3)


@pytest.fixture(scope="module")
def network(events):
    weights = np.zeros((*SHAPE, 2))
    weights[:, :2, :, 0] = weights[:, 2:, :, 1] = 0.4
    weights[:, :2, :, 1] = weights[:, 2:, :, 0] = -0.2
    return Network(
        1e-3,
        Input(SHAPE, EventEncoder()),
        (Population("out", 2, tau_m_s=0.02, threshold_v=1.0),),
        (Projection.from_weights("input", "out", weights.reshape(-1, 2)),),
        "out",
        {"dataset": "halves", "dataset_checksum": events.checksum},
    )


def test_counts_separate_the_classes(events):
    images = count_images(events).test
    upper = images.images[:, :, :2].mean(axis=(1, 2, 3))
    assert (upper[images.labels == 0] > upper[images.labels == 1].max()).all()


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        *itertools.product(("count-regression", "random-noise", "white-box"), ("events", "jitter")),
        ("sparse-rs", "events"),
    ],
)
def test_attacks_change_events_within_a_patch(network, events, name, norm):
    if name == "white-box":
        pytest.importorskip("torch")
    bound = Bound(norm, 0.3 if norm == "events" else 3, patch_px=2)
    attack = make_attack(name, bound, 60, 0)
    with na.deploy(network, steps=STEPS) as deployment:
        result = na.attack(deployment, events.test.images[:2], events.test.labels[:2], attack)
    for sample, adversarial in zip(events.test.images[:2], result.adversarial, strict=True):
        changed = np.argwhere(sample != adversarial)[:, -2:]
        assert len(changed)
        assert np.ptp(changed, axis=0).max() < 2
        assert bound.holds(sample.astype(float), adversarial)


def test_attack_reports_distances_of_events(network, events):
    spec = DeploymentSpec(steps=STEPS, sensor_noise=NOISE)
    with spec.deploy(network) as model:
        assert na.evaluate(model, events.test).accuracy == 1
        attack = na.attacks.CountRegression(Bound("events", 0.3), queries=200)
        result = na.attack(model, events.test[:2], attack, trials=20)
    for each in result.as_json()["images"]:
        assert each["distance"] == each["distances"]["events"] <= 0.3
        assert set(each["distances"]) == {
            "events", "insertions", "deletions", "jitter", "shift", "moved",
        }  # fmt: skip
        assert each["clean_error_rate"] <= each["success_rate"]


@pytest.mark.slow
def test_audits_have_a_bound_on_events_and_sensor_noise(tmp_path):
    digits = load_dataset("event-digits")
    weights = np.random.default_rng(0).normal(0.1, 0.2, (512, 10))
    network = Network(
        1e-3,
        Input((2, 16, 16), EventEncoder()),
        (Population("out", 10, tau_m_s=0.02, threshold_v=1.0),),
        (Projection.from_weights("input", "out", weights),),
        "out",
    )
    file = tmp_path / "network.h5"
    save_network(file, network)
    suite = Suite(
        images=2,
        budgets=(30,),
        trials=5,
        accuracy_images=8,
        attacks=("count-regression", "random-noise"),
        reference=None,
    )
    spec = DeploymentSpec(sensor_noise=NOISE)
    card = audit(file, digits, spec, suite, tmp_path / "audit", workers=1)
    assert card.suite["bound"] == "events=0.05"
    assert card.suite["deployments"] == ["other-seed", "fixed-point", "loihi1"]
    keys = {figure.key for section in card.sections.values() for figure in section.figures}
    assert {"noise/drop:0.1", "noise/background_hz:5.0", "noise/jitter_s:0.002"} <= keys
    assert {"attacks/count-regression/30", "attacks/random-noise/30"} <= keys
    assert {"transfer/loihi1", "energy/synaptic_operations"} <= keys
    assert not card.sections["transformations"].figures
