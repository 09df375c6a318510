"""Search and verification of attacks."""

import numpy as np
import pytest
from support.campaign_files import campaign_file
from support.networks import small_network

from neuroattack.attacks.bounds import L2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.result import verify
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.experiments.attack import attack_and_verify, attack_images
from neuroattack.experiments.attack_cells import Subject, attack_image
from neuroattack.experiments.seeds import attack_seed, random_target_class
from neuroattack.ir.storage import load_network
from neuroattack.statistics import wilson_interval


@pytest.fixture(scope="module")
def opened():
    with open_target(DeploymentSpec(steps=60, seed=4), small_network()) as found:
        yield found


@pytest.fixture(scope="module")
def attacked(opened):
    image = np.random.default_rng(2).random((28, 28)) * (np.indices((28, 28)).sum(0) % 3 > 0)
    window = Window.centered((28, 28), 9)
    attack = GreedyWindow(queries=None, window=window, moved_pixels=20, delta=0.3, max_distance=60)
    label = int(opened(99).query(np.repeat(image[None], 20, 0)).sum(0).argmax())
    return image, attack, Goal(label)


def test_success_is_measured_on_fresh_trials_of_the_adversarial_image(opened, attacked):
    image, attack, goal = attacked
    found = attack_and_verify(opened, attack, image, goal, index=7, trials=200)
    fresh = opened(verification_stream(7, None))
    again = verify(fresh, found.search.adversarial, goal, 200)
    clean = verify(fresh, found.search.original, goal, 200)
    assert (found.success, found.clean) == (again, clean)
    # With this many trials, neither the search's trials nor the other image give the same count.
    assert found.success.successes != found.clean.successes
    assert verify(opened(search_stream(7, None)), found.search.adversarial, goal, 200) != again
    np.testing.assert_array_equal(found.search.original, image)
    assert found.verification_queries == 400
    shown = opened(verification_stream(7, None))
    shown.query(np.repeat(found.search.adversarial[None], 200, 0))
    counts = shown.query(np.repeat(image[None], 200, 0)).sum(axis=0)
    assert found.clean.predicted == counts.argmax()


def test_index_and_target_class_select_the_trials(opened, attacked):
    image, attack, goal = attacked

    def spike_fractions(index, goal):
        found = attack_and_verify(opened, attack, image, goal, index=index, trials=1).search
        return [step.spike_fractions for step in found.trace]

    other_class = (goal.label + 1) % 10
    assert spike_fractions(1, goal) == spike_fractions(1, goal)
    assert spike_fractions(1, goal)[0] != spike_fractions(2, goal)[0]
    assert spike_fractions(1, goal)[0] != spike_fractions(1, Goal(goal.label, other_class))[0]


def test_shared_randomness_applies_to_the_search_only(opened, attacked):
    image, attack, goal = attacked
    found = attack_and_verify(
        opened, attack, image, goal, index=3, trials=200, search_randomness="shared"
    )
    box = opened(search_stream(3, None), None, "shared")
    assert attack.run(box, image, goal).trace == found.search.trace
    independent = attack_and_verify(opened, attack, image, goal, index=3, trials=200)
    assert found.search.trace != independent.search.trace
    fresh = opened(verification_stream(3, None))
    assert verify(fresh, found.search.adversarial, goal, 200) == found.success
    assert found.clean == independent.clean


class Stopped:
    """An attack that raises an error."""

    name = "stopped"

    def __init__(self, error):
        self.error = error

    def run(self, target, image, goal):
        raise self.error


def test_invalid_trials_are_refused_before_any_query(opened, attacked):
    image, _, goal = attacked
    with pytest.raises(ValidationError, match="verification trials: got 0"):
        attack_and_verify(opened, Stopped(AssertionError()), image, goal, index=0, trials=0)


def test_a_budget_below_the_first_step_returns_the_clean_image(opened, attacked):
    image, _, goal = attacked
    attack = Stopped(BudgetExceededError(9, 5))
    found = attack_and_verify(opened, attack, image, goal, index=0, trials=5, budget=5)
    np.testing.assert_array_equal(found.search.adversarial, image)
    assert found.distances == {"l0": 0.0, "l2": 0.0, "linf": 0.0, "local_sd": 0.0}


def test_several_images_are_each_attacked_with_their_own_seed(opened):
    test = load_dataset("digits").test
    images, labels = test.images[:3].astype(float), test.labels[:3].tolist()
    attack, goals = RandomNoise(L2(3.0), queries=30), [Goal(label) for label in labels]
    progress = []
    result = attack_images(
        opened,
        attack,
        images,
        goals,
        indices=[4, 5, 6],
        seed=9,
        trials=8,
        costs=opened,
        on_progress=lambda fraction, words: progress.append(fraction),
    )
    for each, image, goal, index in zip(result.images, images, goals, [4, 5, 6], strict=True):
        alone = RandomNoise(L2(3.0), 30, attack_seed(9, index))
        single = attack_and_verify(opened, alone, image, goal, index=index, trials=8, budget=30)
        np.testing.assert_array_equal(each.search.adversarial, single.search.adversarial)
        assert (each.success, each.clean) == (single.success, single.clean)
        assert each.cost.queries == 30
        assert each.readout_spikes.counts().shape == (2, 10)
    rates = [each.success.rate for each in result.images]
    assert result.success_rate == pytest.approx(np.mean(rates))
    assert result.ci95 == wilson_interval(sum(rates), 3)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_random_targets_are_wrong_classes_and_depend_on_seed_and_index_only():
    found = {random_target_class(1, index, 4, 10) for index in range(300)}
    assert found == set(range(10)) - {4}
    assert random_target_class(1, 7, 4, 10) == random_target_class(1, 7, 4, 10)
    seeds = {attack_seed(seed, index) for seed in range(5) for index in range(50)}
    assert len(seeds) == 250


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Return a function that attacks the first image in a cell."""
    folder = tmp_path_factory.mktemp("cell")
    campaign_file(folder)
    data = load_dataset("digits")
    subject = Subject.kept(folder, data, [DeploymentSpec()], folder / "net.h5")

    def do(deployment, attack="count-regression", **changed):
        asked = {"settings": {}, "bound": "l2=2", "budget": 200, "target_class": None, "seed": 1}
        return attack_image(
            deployment=deployment,
            profile="",
            attack=attack,
            index=0,
            trials=6,
            folder=folder,
            **{**subject.as_json(), **asked, **changed},
        )

    return do


def test_a_cell_gives_the_result_of_attack_and_verify(cell, tmp_path):
    network = load_network(campaign_file(tmp_path).parent / "net.h5")
    image, label = load_dataset("digits").test.pick(0)
    with open_target(DeploymentSpec(steps=60), network) as opened:
        direct = attack_and_verify(
            opened, RandomNoise(L2(2.0), 200, 1), image, Goal(label), index=0, trials=6, budget=200
        )
    found = cell("native,steps=60", "random-noise")
    np.testing.assert_array_equal(found["adversarial"], direct.search.adversarial)
    assert found["success"]["successes"] == direct.success.successes
    assert found["distance"] == direct.distances


def test_score_based_attacks_are_refused_with_labels(cell):
    with pytest.raises(Exception, match="'sparse-rs'"):
        cell("native,steps=60,response=labels", "sparse-rs")
    assert cell("native,steps=60,response=labels")["queries"] <= 200


def test_verification_is_the_same_with_counts_and_labels(cell):
    found = [cell(f"native,steps=60{more}", "random-noise") for more in ("", ",response=labels")]
    assert found[0]["clean_success"] == found[1]["clean_success"]


def test_a_changed_data_set_or_profile_is_an_error(cell):
    with pytest.raises(ValidationError, match="data set"):
        cell("native,steps=60", checksum="other")
    with pytest.raises(Exception, match="profile differs"):
        cell("native,profile=loihi1")


def test_a_reference_distance_of_zero_returns_the_clean_image(cell):
    found = cell(
        "native,steps=60",
        bound="local_sd@greedy-window",
        before={"distance": {"local_sd": 0.0}},
    )
    assert found["distance"]["l2"] == 0.0
    assert (found["queries"], found["max_distance"]) == (0, 0.0)
