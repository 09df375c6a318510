"""Features of networks, and their refusal by backends that do not support them."""

from importlib.metadata import entry_points

import pytest

from neuroattack.conformance import scenario_networks
from neuroattack.deployment.backend import ENTRY_POINT_GROUP, load_backend
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.features import BASIC, FEATURES, check_supported, features_of
from neuroattack.errors import UnsupportedFeatureError

EXPECTED = {
    "one_neuron": set(),
    "all_features": set(),
    "synaptic_currents": {"per_neuron_parameters", "synaptic_current", "late_input"},
    "resets": {
        "per_neuron_parameters",
        "subtractive_reset",
        "delayed_subtraction",
        "inclusive_threshold",
    },
    "loops": {"recurrence", "feedback"},
    "short_memory": {"recurrence", "recurrent_bias", "fast_decay"},
    "same_step": {"same_step_arrival", "recurrence"},
    "convolutional": {"convolution"},
    "direct": {"direct_input", "potential_readout", "per_neuron_parameters", "convolution"},
    "fixed_edges": {"fixed_point"},
    "fixed_currents": {"fixed_point", "synaptic_current", "recurrence"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_features_of_networks(name):
    assert set(features_of(getattr(scenario_networks, name)())) == EXPECTED[name]


def test_every_feature_occurs_in_a_scenario():
    assert set().union(*EXPECTED.values()) == set(FEATURES)


def test_an_unsupported_feature_is_refused_with_the_part_that_uses_it():
    network = scenario_networks.loops()
    check_supported("any", frozenset({"recurrence", "feedback"}), network)
    with pytest.raises(UnsupportedFeatureError, match=r"'any'.* \(projection second->first\)"):
        check_supported("any", frozenset({"recurrence"}), network)


def test_backends_declare_known_features_only():
    # The classes are importable where their simulators are not installed.
    declared = {p.name: p.load().supported for p in entry_points(group=ENTRY_POINT_GROUP)}
    assert {"native", "brian2", "brian2-standalone", "lava", "nest"} <= set(declared)
    assert all(supported <= set(FEATURES) for supported in declared.values())
    assert declared["native"] == set(FEATURES)


def test_a_backend_without_a_declaration_gets_basic_networks_only(monkeypatch):
    monkeypatch.delattr(type(load_backend("native")), "supported")
    with pytest.raises(UnsupportedFeatureError, match="'native' does not support"):
        deploy(scenario_networks.loops())
    assert {"fixed_point", "recurrent_bias", "fast_decay"} == BASIC
