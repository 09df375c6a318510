"""Planted faults are recognized: their class, and where possible their rule."""

import numpy as np
import pytest
from support.faulty_engine import FAULTS, Engine, plant, random_network, simulate_batch
from support.faulty_fixed_engine import (
    FIXED_FAULTS,
    FixedEngine,
    plant_fixed,
    random_fixed_network,
    simulate_fixed_batch,
)

from neuroattack.experiments.divergence.difference import find_differences
from neuroattack.experiments.divergence.explanation import explain
from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.variation import REFERENCE, WeightLimit
from neuroattack.ir.network import INPUT


def inputs_of(network, rng):
    return rng.random((4, 80, network.input.size)) < 0.15


def recognized(fault, seed, *, fixed=False):
    """Whether the fault is the only cause of the first difference; None without differences."""
    rng = np.random.default_rng(seed)
    network, inputs, engine = (plant_fixed if fixed else plant)(fault, rng, inputs_of)
    run = simulate_fixed_batch if fixed else simulate_batch
    sound, faulty = (run(network, each, inputs) for each in (type(engine)(), engine))
    first = find_differences(network, sound, faulty).first
    if first is None:
        return None
    replays = [Replay(network, p.name, faulty) for p in network.populations]
    explanations = explain([each for each in replays if each.mismatches(REFERENCE)])
    return any(each.causes == (fault,) for each in explanations if first[0] in each.populations)


def success(fault, networks, **options):
    found = []
    seed = 0
    while len(found) < networks:
        seed += 1
        result = recognized(fault, seed, **options)
        if result is not None:
            found.append(result)
    return sum(found)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_recognized(fault):
    assert success(fault, 3) == 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", FIXED_FAULTS)
def test_planted_faults_in_fixed_point_are_recognized(fault):
    assert success(fault, 10, fixed=True) == 10


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_recognized_in_95_of_100_networks(fault):
    assert success(fault, 100) >= 95


@pytest.mark.slow
@pytest.mark.parametrize("fault", FIXED_FAULTS)
def test_planted_faults_in_fixed_point_are_recognized_in_95_of_100_networks(fault):
    assert success(fault, 100, fixed=True) >= 95


def explained(engine, seed=1, **options):
    rng = np.random.default_rng(seed)
    network = random_network(rng, **options)
    faulty = simulate_batch(network, engine, inputs_of(network, rng))
    replays = [Replay(network, p.name, faulty) for p in network.populations]
    return explain([each for each in replays if each.mismatches(REFERENCE)])


def test_the_rule_of_a_fault_is_found():
    (found,) = explained(Engine(refractory=1))
    assert found.variation.changes() == {"refractory_steps": 1}
    assert found.unexplained == 0 < found.mismatches
    (found,) = explained(Engine(lowest=-0.3))
    assert found.variation.lowest == pytest.approx(-0.3, abs=0.02)
    (found,) = explained(Engine(weights=lambda w: np.clip(w, -0.3, 0.3)))
    assert isinstance(found.variation.weights, WeightLimit)
    assert found.variation.weights.limit_v == pytest.approx(0.3, abs=0.01)


def test_limits_in_fixed_point_are_integers():
    rng = np.random.default_rng(1)
    network = random_fixed_network(rng)
    faulty = simulate_fixed_batch(network, FixedEngine(lowest=-30), inputs_of(network, rng))
    replays = [Replay(network, p.name, faulty) for p in network.populations]
    (found,) = explain([each for each in replays if each.mismatches(REFERENCE)])
    assert found.variation.changes() == {"lowest": -30.0}


@pytest.mark.slow
def test_two_faults_are_both_found():
    (found,) = explained(Engine(refractory=1, decay="euler"), seed=4)
    assert set(found.causes) == {"refractory_period", "integration"}
    assert found.unexplained == 0


def test_without_faults_there_is_nothing_to_explain():
    assert explained(Engine()) == []


@pytest.mark.slow
def test_spikes_at_random_have_no_known_cause():
    rng = np.random.default_rng(5)
    network = random_network(rng)
    faulty = simulate_batch(network, Engine(), inputs_of(network, rng))
    for name in faulty:
        if name != INPUT:
            faulty[name] = faulty[name] ^ (rng.random(faulty[name].shape) < 0.05)
    replays = [Replay(network, p.name, faulty) for p in network.populations]
    assert {each.causes for each in explain(replays)} == {("unknown",)}
