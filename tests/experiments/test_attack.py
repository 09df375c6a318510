"""An attack from search to verdict, which is on fresh draws and beside the original's."""

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import Goal, verify
from neuroattack.deployment.deployment import deploy, search_stream, verification_stream
from neuroattack.errors import ValidationError
from neuroattack.experiments.attack import attack_image


@pytest.fixture(scope="module")
def attacked():
    deployment = deploy(small_network(), steps=60, seed=4)
    image = np.random.default_rng(2).random((28, 28)) * (np.indices((28, 28)).sum(0) % 3 > 0)
    attack = GreedyWindow(Window.centred((28, 28), 9), moved_pixels=20, delta=0.3, max_distance=60)
    label = int(deployment.black_box(99).query(np.repeat(image[None], 20, 0)).sum(0).argmax())
    return deployment, image, attack, Goal(label)


def test_the_verdict_is_that_of_fresh_draws_of_the_adversarial_image(attacked):
    deployment, image, attack, goal = attacked
    outcome = attack_image(deployment, attack, image, goal, index=7, draws=200)
    fresh = deployment.black_box(verification_stream(7, None))
    again = verify(fresh, outcome.search.adversarial, goal, 200)
    clean = verify(fresh, outcome.search.original, goal, 200)
    assert (outcome.success, outcome.clean_success) == (again, clean)
    # Enough draws that neither the search's own draws nor the other image could give the same.
    assert outcome.success.successes != outcome.clean_success.successes
    seen = verify(
        deployment.black_box(search_stream(7, None)), outcome.search.adversarial, goal, 200
    )
    assert seen != outcome.success
    np.testing.assert_array_equal(outcome.search.original, image)
    assert outcome.verification_queries == 400


def test_index_and_target_class_pick_the_draws(attacked):
    deployment, image, attack, goal = attacked

    def shares(index, goal):
        outcome = attack_image(deployment, attack, image, goal, index=index, draws=1)
        return [step.shares for step in outcome.search.trace]

    other_class = (goal.label + 1) % 10
    assert shares(1, goal) == shares(1, goal)
    assert shares(1, goal)[0] != shares(2, goal)[0]
    assert shares(1, goal)[0] != shares(1, Goal(goal.label, other_class))[0]


def test_common_draws_are_of_the_search_and_never_of_the_verdict(attacked):
    deployment, image, attack, goal = attacked
    outcome = attack_image(
        deployment, attack, image, goal, index=3, draws=200, search_draws="common"
    )
    box = deployment.black_box(search_stream(3, None), draws="common")
    assert attack.run(box, image, goal).trace == outcome.search.trace
    independent = attack_image(deployment, attack, image, goal, index=3, draws=200)
    assert outcome.search.trace != independent.search.trace
    assert outcome.settings["search_draws"] == "common"
    assert independent.settings["search_draws"] == "independent"
    fresh = deployment.black_box(verification_stream(3, None))
    assert verify(fresh, outcome.search.adversarial, goal, 200) == outcome.success
    assert outcome.clean_success == independent.clean_success


def test_no_query_is_spent_where_no_verdict_could_follow(attacked):
    deployment, image, _, goal = attacked

    class Untouched:
        def run(self, *_, **__):
            raise AssertionError("the search began")

    with pytest.raises(ValidationError, match="verification draws: got 0"):
        attack_image(deployment, Untouched(), image, goal, index=0, draws=0)
