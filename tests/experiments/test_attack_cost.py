"""Cost of an attack, compared with recordings of the same trials."""

import contextlib
import dataclasses

import numpy as np
import pytest
from scipy import stats
from support.networks import small_network

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.deployment.backend import synaptic_operations
from neuroattack.deployment.deployment import deploy, search_stream, verification_stream
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.experiments.attack import attack_images
from neuroattack.experiments.attack_cost import Change
from neuroattack.ir.network import INPUT

ATTACK = GreedyWindow(
    queries=None, window=Window.centered((28, 28), 5), moved_pixels=6, delta=0.4, max_distance=20
)
IMAGE = np.random.default_rng(2).random((28, 28)) * (np.indices((28, 28)).sum(0) % 3 > 0)


@pytest.fixture(scope="module")
def attacked():
    with attacked_on(DeploymentSpec(profile="loihi1", steps=50, seed=4), 30) as found:
        yield found


@contextlib.contextmanager
def attacked_on(spec, trials):
    with open_target(spec, small_network()) as opened:
        result = attack_images(
            opened, ATTACK, [IMAGE], [Goal(3)], indices=[7], trials=trials, costs=opened
        )
        yield opened.deployment, result.images[0]


def recorded(deployment, image, first, trials):
    return deployment.record(
        np.repeat(image[None], trials, 0),
        indices=range(first, first + trials),
        stream=verification_stream(7, None),
    )


def test_clean_and_adversarial_image_are_compared_on_the_same_trials(attacked):
    deployment, outcome = attacked
    # The verification uses the first 60 trials, the raster of the report the next two.
    before = recorded(deployment, outcome.search.original, 62, 30)
    after = recorded(deployment, outcome.search.adversarial, 62, 30)
    operations = [synaptic_operations(deployment.network, each) for each in (before, after)]
    found = outcome.cost.changes["synaptic_operations"]
    assert found.original == operations[0].mean()
    assert found.adversarial == operations[1].mean()
    difference = operations[1] - operations[0]
    expected = stats.t.interval(0.95, 29, difference.mean(), stats.sem(difference))
    assert found.difference_ci95 == pytest.approx(expected)
    assert found.difference == pytest.approx(difference.mean())
    spikes = [
        sum(c.sum(axis=1) for name, c in each.counts.items() if name != INPUT)
        for each in (before, after)
    ]
    assert outcome.cost.changes["spikes"].adversarial == spikes[1].mean()
    assert outcome.cost.changes["spikes"].original == spikes[0].mean()
    assert outcome.cost.changes["input_spikes"].original == before.counts[INPUT].sum(1).mean()


def test_energy_is_that_of_the_chip_for_the_same_spikes(attacked):
    deployment, outcome = attacked
    after = recorded(deployment, outcome.search.adversarial, 62, 30)
    estimate = deployment.fitted.estimate(deployment.fitted.activity(after.counts, 50))
    lower, upper = estimate.subtotal_per_image_pj
    assert outcome.cost.changes["energy_pj_lower"].adversarial == lower.mean()
    assert outcome.cost.changes["energy_pj_upper"].adversarial == upper.mean()
    assert outcome.cost.without_coefficient == estimate.without_coefficient != ()


def test_the_mean_includes_every_query_of_the_search(attacked):
    deployment, outcome = attacked
    seen = []
    box = deployment.black_box(search_stream(7, None), observe=seen.append)
    ATTACK.run(box, IMAGE, Goal(3))
    operations = np.concatenate([synaptic_operations(deployment.network, each) for each in seen])
    assert len(operations) == outcome.cost.queries == outcome.search.queries
    assert outcome.cost.query_synaptic_operations == pytest.approx(operations.mean())
    energies = np.concatenate(
        [
            deployment.fitted.estimate(
                deployment.fitted.activity(each.counts, 50)
            ).subtotal_per_image_pj[0]
            for each in seen
        ]
    )
    assert outcome.cost.query_energy_pj[0] == pytest.approx(energies.mean())


def test_without_a_chip_there_is_no_energy():
    with attacked_on(DeploymentSpec(steps=50, seed=4), 5) as (_, outcome):
        cost = outcome.cost
    assert set(cost.changes) == {
        *("spikes", "input_spikes", "output_spikes", "synaptic_operations"),
    }
    assert cost.query_energy_pj is None
    assert cost.without_coefficient == ()
    assert cost.as_json()["energy_pj_per_query"] is None


def test_metering_does_not_change_the_counts():
    deployment = deploy(small_network(), steps=50, seed=4)
    images = np.repeat(IMAGE[None], 3, 0)
    plain = deployment.black_box(5).query(images)
    np.testing.assert_array_equal(
        deployment.black_box(5, observe=lambda _: None).query(images), plain
    )


def test_undefined_intervals_and_ratios_are_none():
    one = Change.of(np.array([0.0]), np.array([3.0]))
    assert one == Change(0.0, 3.0, 3.0, None, None)
    assert dataclasses.asdict(one)["difference_ci95"] is None
