"""Goals: gaps and success against plain definitions, and attacks that maximize a quantity."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import neuroattack as na
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import QUANTITIES, Goal
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.attacks.reference.spike_costs import spike_costs
from neuroattack.attacks.reference.white_box import WhiteBox
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.attacks.regression.effects import Effects
from neuroattack.attacks.regression.quantities import quantity_changes, quantity_slopes
from neuroattack.attacks.result import verify
from neuroattack.attacks.sparse_rs import SparseRS
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.meters import Meter
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.attack import attack_images
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.targets.black_box import METERS

COUNTS = arrays.arrays(np.int32, (3, 4), elements=st.integers(0, 50))
READINGS = arrays.arrays(np.int32, 3, elements=st.integers(0, 10**6))


def _network():
    """Return a network of 3 classes with 3 pixels each, and a hidden population that only pixels
    of the last class drive and those of the second suppress, with a large fan-out."""
    to_classes = np.full((9, 3), -0.05)
    for pixel in range(9):
        to_classes[pixel, pixel // 3] = 0.4
    to_hidden = np.zeros((9, 5))
    to_hidden[3:6], to_hidden[6:] = -0.5, 0.5
    return Network(
        1e-3,
        Input((3, 3), na.PoissonEncoder(100.0)),
        (
            Population("hidden", 5, 1.0, threshold_v=1.0),
            Population("busy", 40, 1.0, threshold_v=1.0),
            Population("output", 3, 1.0, threshold_v=1.0),
        ),
        (
            Projection.from_weights("input", "hidden", to_hidden),
            Projection.from_weights("hidden", "busy", np.full((5, 40), 1.5)),
            Projection.from_weights("input", "output", to_classes),
        ),
        "output",
    )


IMAGE = np.repeat([[0.8], [0.1], [0.1]], 3, axis=1)


@given(COUNTS, READINGS, st.sampled_from(QUANTITIES), st.booleans(), st.integers(0, 3))
def test_gap_and_success_follow_their_definition(counts, readings, quantity, keep, label):
    goal = Goal(label, maximize=quantity, keep_class=keep)
    rows = np.column_stack([counts, readings]) if quantity in METERS else counts
    gaps, reached = goal.gap(rows.astype(float)), goal.reached(rows)
    for row, reading, gap, success in zip(counts.tolist(), readings, gaps, reached, strict=True):
        others = max(row[:label] + row[label + 1 :])
        if quantity in METERS:
            value = float(reading)
        elif quantity == "output-spikes":
            value = float(sum(row))
        else:
            value = 1 - (row[label] - others) / max(sum(row), 1)
        kept = row[label] > others
        assert success == (kept or not keep)
        assert gap == pytest.approx(value if kept or not keep else -3 * value)


def test_a_quantity_excludes_a_target_class_and_unknown_names():
    with pytest.raises(ValidationError):
        Goal(0, 1, "energy")
    with pytest.raises(UnknownNameError):
        Goal(0, maximize="power")


@pytest.mark.parametrize("quantity", ["spikes", "synaptic-operations", "energy"])
@pytest.mark.parametrize(
    "attack",
    [
        CountRegression(Bound("l2", 1.0), queries=400),
        RandomNoise(Bound("l2", 1.0), queries=400),
        WhiteBox(Bound("l2", 1.0), steps=40),
    ],
    ids=lambda attack: attack.name,
)
def test_attacks_raise_what_the_meter_reads_and_keep_the_class(quantity, attack):
    spec = DeploymentSpec(profile="loihi1", steps=200, meter=f"{quantity}:0.02")
    with open_target(spec, _network()) as opened:
        result = attack_images(
            opened,
            attack,
            [IMAGE],
            [Goal(0, maximize=quantity)],
            indices=[3],
            trials=40,
            costs=opened,
        )
    (attacked,) = result.images
    assert attack.bound.holds(IMAGE, attacked.search.adversarial)
    assert attacked.clean_error_rate <= 0.05
    increase = attacked.increases[quantity.replace("-", "_")]
    assert increase > (0.03 if quantity == "energy" else 1)
    assert result.increases[quantity.replace("-", "_")]["median"] == increase
    if attack.name != "random-noise":
        assert attacked.success.rate >= 0.9
        # The pixels of the last class drive the population of large fan-out.
        change = attacked.search.adversarial - IMAGE
        assert change[2].mean() > max(change[1].mean(), 0.1)


@pytest.mark.parametrize("name", ["count-regression", "white-box"])
def test_attacks_delay_the_decision(name):
    settings = {"steps": 20} if name == "white-box" else {}
    attack = make_attack(name, Bound("l2", 0.6), 400, 0, settings)
    spec = DeploymentSpec(steps=300, exit="margin:6", meter="latency")
    with open_target(spec, _network()) as opened:
        result = attack_images(
            opened,
            attack,
            [IMAGE],
            [Goal(0, maximize="latency")],
            indices=[3],
            trials=40,
            costs=opened,
        )
    assert result.success_rate >= 0.8
    assert result.increases["latency"]["median"] > 0.5


def test_output_spikes_and_uncertainty_need_no_meter():
    changes = {}
    with deploy(_network(), steps=300) as deployment:
        for quantity in ("output-spikes", "uncertainty"):
            attack = CountRegression(Bound("l2", 0.6), queries=400)
            goal = Goal(0, maximize=quantity)
            found = attack.run(deployment.black_box(5), IMAGE, goal)
            assert verify(deployment.black_box(6), found.adversarial, goal, 40).rate >= 0.9
            changes[quantity] = found.adversarial - IMAGE
            clean, after = (
                goal.quantity(deployment.black_box(7).query(np.repeat(image[None], 60, 0))).mean()
                for image in (IMAGE, found.adversarial)
            )
            assert after > 1.05 * clean
    assert changes["output-spikes"].min() >= -1e-9
    assert changes["uncertainty"][0].sum() < 0 < changes["uncertainty"][1:].sum()


def test_attacks_without_such_goals_refuse_them():
    with deploy(_network(), steps=20) as deployment:
        with pytest.raises(UnsupportedFeatureError):
            SparseRS(Bound("l0", 3), queries=10).run(
                deployment.black_box(1), IMAGE, Goal(0, maximize="output-spikes")
            )
        with pytest.raises(ValidationError):
            RandomNoise(Bound("l2", 1), queries=10).run(
                deployment.black_box(1), IMAGE, Goal(0, maximize="spikes")
            )
        metered = deployment.black_box(1, meter=Meter("spikes"))
        assert metered.meter == "spikes"
        with pytest.raises(ValidationError):
            verify(metered, IMAGE, Goal(0), 5)


@given(st.integers(0, 10**6), st.sampled_from(["energy", "output-spikes"]))
def test_the_planned_change_is_optimal_if_the_class_is_safe(seed, quantity):
    rng = np.random.default_rng(seed)
    columns = 4 if quantity == "energy" else 3
    base = np.array([1e6, 0.0, 0.0, 100.0])[:columns]
    effects = Effects(base, rng.normal(size=(12, columns)))
    original = rng.uniform(0, 1, (3, 4))
    goal = Goal(0, maximize=quantity)
    slopes = effects.slopes[:, 3] if quantity == "energy" else effects.slopes.sum(axis=1)
    np.testing.assert_allclose(quantity_slopes(effects, goal), slopes)
    change = quantity_changes(effects, Bound("linf", 0.1), original, goal)[0]
    room = np.where(slopes > 0, 1 - original.ravel(), original.ravel())
    expected = np.sign(slopes) * np.minimum(room, 0.1)
    np.testing.assert_allclose(change, expected, atol=1e-12)


@pytest.mark.parametrize("quantity", ["spikes", "synaptic-operations"])
def test_costs_of_spikes_add_up_to_the_quantity(quantity):
    with deploy(_network(), profile="loihi1", steps=60) as deployment:
        recording = deployment.record(np.repeat(IMAGE[None], 5, 0), indices=range(5))
        quantities, _ = deployment.quantities(recording)
        costs = spike_costs(deployment, quantity, IMAGE)
        total = sum(recording.counts[name] @ cost for name, cost in costs.items())
    np.testing.assert_allclose(total, quantities[quantity.replace("-", "_")])


def test_fitted_costs_predict_the_energy():
    with deploy(_network(), profile="loihi1", steps=2000) as deployment:
        costs = spike_costs(deployment, "energy", IMAGE)
        recording = deployment.record(
            np.stack([IMAGE, 0.5 * IMAGE]), indices=[0, 0], record_spikes=True
        )
        quantities, _ = deployment.quantities(recording)
        energy = Meter("energy").read(quantities, seed=0, stream=0, indices=np.arange(2))
        predicted = sum(recording.counts[name] @ cost for name, cost in costs.items())
    assert predicted[0] - predicted[1] == pytest.approx(float(energy[0] - energy[1]), rel=0.15)


def test_gradient_of_the_expected_cost():
    network = _network()
    costs = {INPUT: np.full(9, 2.0), "hidden": np.arange(1.0, 6), "busy": np.ones(40)}
    model = SiegertModel(network, 100, spike_costs=costs)
    images = np.random.default_rng(0).uniform(0.2, 0.8, (2, 3, 3))
    scores, pullback = model.linearize(images)
    rates = model.rates(images)
    expected = 100 * sum(rates[name] @ cost for name, cost in costs.items())
    np.testing.assert_allclose(scores[:, -1], np.log(expected))
    weights = np.zeros_like(scores)
    weights[:, -1] = 1
    gradient = pullback(weights)
    for pixel in np.ndindex(3, 3):
        both = []
        for sign in (1, -1):
            moved = images.copy()
            moved[(slice(None), *pixel)] += sign * 1e-5
            both.append(model.log_scores(moved)[:, -1])
        np.testing.assert_allclose(
            gradient[(slice(None), *pixel)], (both[0] - both[1]) / 2e-5, rtol=1e-4, atol=1e-8
        )


@pytest.mark.parametrize("name", ["count-regression", "random-noise"])
def test_inserted_events_raise_the_spikes(name):
    network = _network()
    network = replace(network, input=replace(network.input, encoder=EventEncoder(drop=0.05)))
    sample = np.zeros((60, 3, 3))
    sample[::3, 0] = 1
    bound = Bound("events", 0.4)
    attack = make_attack(name, bound, 200, 0)
    goal = Goal(0, maximize="spikes")
    with deploy(network, steps=60) as deployment:
        found = attack.run(deployment.black_box(1, meter=Meter("spikes")), sample, goal)
        assert bound.holds(sample, found.adversarial)
        box = deployment.black_box(2, meter=Meter("spikes"))
        clean, after = (
            box.query(np.repeat(each[None], 20, 0))[:, -1].mean()
            for each in (sample, found.adversarial)
        )
        assert after > 1.5 * clean
        assert verify(box, found.adversarial, goal, 20).rate >= 0.8
