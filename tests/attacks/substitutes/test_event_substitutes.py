"""Networks of the attacker as substitutes on event samples; needs PyTorch, else skipped."""

from dataclasses import replace

import numpy as np
import pytest
from support.ordered_events import STEPS, ordered_events, ordered_network

pytest.importorskip("torch", reason="needs the extra torch")

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.reference.twin import smoothed_twin
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import verify
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.storage import save_network
from neuroattack.training.through_time import train_through_time


def trained(seed):
    return train_through_time(
        ordered_network(seed=seed), ordered_events(), epochs=8, learning_rate=0.1, seed=seed
    )


@pytest.fixture(scope="module")
def target():
    network = trained(1)
    noisy = replace(network.input, encoder=EventEncoder(drop=0.03))
    return replace(network, input=noisy)


@pytest.fixture(scope="module")
def attacker(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "attacker.h5"
    save_network(path, trained(2))
    return str(path)


@pytest.mark.parametrize("name", ["transfer", "count-regression"])
@pytest.mark.parametrize("bound", ["jitter=10", "events=0.3"])
def test_samples_that_deceive_the_attackers_network_deceive_the_target(
    name, bound, attacker, target
):
    within = Bound.from_text(bound)
    attack = make_attack(name, within, 60, 0, {"substitutes": [attacker]})
    assert attack.threat_model == "data and architecture"
    test = ordered_events().test
    clean, success = [], []
    with deploy(target, steps=STEPS) as deployment:
        for index in range(5):
            sample, label = test.pick(index)
            found = attack.run(deployment.black_box(2 * index + 1, 60), sample, Goal(label))
            assert within.holds(sample.astype(float), found.adversarial)
            box = deployment.black_box(2 * index + 2)
            success.append(verify(box, found.adversarial, Goal(label), 30).rate)
            clean.append(verify(box, found.original, Goal(label), 30).rate)
    assert np.mean(clean) < 0.2
    assert np.mean(success) > 0.6


def test_networks_for_other_samples_are_refused(attacker, target):
    other = replace(target, input=replace(target.input, shape=(2, 3)))
    attack = make_attack("transfer", Bound("events", 0.4), 10, 0, {"substitutes": [attacker]})
    with deploy(other, steps=STEPS) as deployment, pytest.raises(ValidationError):
        attack.run(deployment.black_box(1), np.zeros((STEPS, 2, 3)), Goal(0))


def test_trials_differ_with_and_without_sensor_noise(target):
    sample = ordered_events().test.pick(0)[0][None].astype(float)
    for network in (target, trained(2)):
        inputs = smoothed_twin(network, STEPS)._encode(sample)
        assert len(inputs) == 8
        assert len({trial.tobytes() for trial in inputs}) > 4
