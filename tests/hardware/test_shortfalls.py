"""Unsupported features of chips: refused, or dropped and listed."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import networks
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import BiasFormat, NumberFormat, StateFormat
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

LOSSY = Rounding(allow_lossy=True)
WHOLE = StateFormat(-(2**15), 2**15 - 1)


def network_with(a=(), projections=None, **b):
    fields = {"tau_m_s": math.inf, "threshold_v": 1.0}
    return Network(
        dt_s=1e-3,
        input=Input((2,), PoissonEncoder(100.0)),
        populations=(Population("a", 2, **fields | dict(a)), Population("b", 2, **fields | b)),
        projections=projections or (joined(INPUT, "a"), joined("a", "b")),
        readout="b",
    )


def joined(source, target, delay_steps=1):
    return Projection.from_weights(source, target, np.full((2, 2), 0.5), delay_steps)


def chip(*lacks, **fields):
    return NumberFormat("Chip", weight_bits=4, lacks=dict.fromkeys(lacks, "its manual"), **fields)


CASES = {
    "bias": (
        chip("bias"),
        network_with(bias_v=[0.25, -0.5]),
        "bias of b, up to 0.5 V: not supported by Chip (its manual)",
        lambda b: not b.bias_v.any(),
    ),
    "leak": (
        chip("leak"),
        network_with(tau_m_s=5.0),
        "leak of b, time constant 5 s: not supported by Chip (its manual)",
        lambda b: np.isinf(b.tau_m_s).all(),
    ),
    "leak in integers": (
        chip("leak", state=WHOLE),
        network_with(tau_m_s=0.01),
        "leak of b, time constant 0.01 s: not supported by Chip (its manual)",
        lambda b: b.leak == 0,
    ),
    "refractory period": (
        chip("refractory_period"),
        network_with(refractory_steps=1),
        "refractory period of b, 1 time steps: not supported by Chip (its manual)",
        lambda b: (b.refractory_steps == 0).all(),
    ),
    "long refractory period": (
        chip(refractory_steps=(0, 5)),
        network_with(refractory_steps=9),
        "refractory period of b, 9 time steps: Chip supports 0 to 5",
        lambda b: (b.refractory_steps == 5).all(),
    ),
    "short refractory period": (
        chip(refractory_steps=(2, 5)),
        network_with({"refractory_steps": 3}, refractory_steps=1),
        "refractory period of b, 1 time steps: Chip supports 2 to 5",
        lambda b: (b.refractory_steps == 2).all(),
    ),
    "reset": (
        chip(state=WHOLE),
        network_with(reset_v=-0.25),
        "reset of b to -0.25 V: neurons of Chip reset to 0 V",
        lambda b: b.threshold.tolist() == [14, 14],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_population_s_shortfall_is_refused_or_dropped(case):
    number_format, network, shortfall, expected = CASES[case]
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network, number_format)
    assert str(error.value) == shortfall
    found = quantize(network, number_format, LOSSY)
    assert found.dropped == (shortfall,)
    assert expected(found.network.population("b"))


@pytest.mark.parametrize(
    ("number_format", "steps", "shortfall", "nearest"),
    [
        (
            chip("delay"),
            3,
            "delay of a->b, 3 time steps: not supported by Chip (its manual)",
            1,
        ),
        (
            chip(delay_steps=(1, 16)),
            17,
            "delay of a->b, 17 time steps: Chip supports 1 to 16",
            16,
        ),
    ],
)
def test_a_delay_is_refused_or_shortened(number_format, steps, shortfall, nearest):
    network = network_with(projections=(joined(INPUT, "a"), joined("a", "b", steps)))
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network, number_format)
    assert str(error.value) == shortfall
    found = quantize(network, number_format, LOSSY)
    assert found.dropped == (shortfall,)
    assert [each.delay_steps for each in found.network.projections] == [1, nearest]


def test_projections_that_skip_a_population_or_share_one_are_refused_or_dropped():
    parts = (joined(INPUT, "a"), joined(INPUT, "b"), joined("a", "b"), joined("a", "b", 4))
    network = network_with(projections=parts)
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network, chip("skip_projection"))
    lacking = "not supported by Chip (its manual)"
    assert str(error.value) == f"skip projection input->b: {lacking}"
    found = quantize(network, chip("skip_projection"), LOSSY)
    assert [(p.source, p.target, p.delay_steps) for p in found.network.projections] == [
        (INPUT, "a", 1),
        ("a", "b", 1),
    ]
    assert found.dropped == (
        f"skip projection input->b: {lacking}",
        f"second projection a->b: {lacking}",
    )
    split = Rounding(signs="split")
    weights = [[0.5, -0.5], [0.5, 0.25]]
    signs = network_with(
        projections=(joined(INPUT, "a"), Projection.from_weights("a", "b", weights))
    )
    modes = frozenset({"excitatory", "inhibitory"})
    # The two parts of a split projection do not count as a second one.
    assert len(quantize(signs, chip("skip_projection", sign_modes=modes), split).projections) == 3


def test_another_reset_is_simulated_as_ours_and_said():
    number_format = chip("reset_to_rest")
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network_with(), number_format)
    said = [
        f"reset of {name} to a fixed potential: not supported by Chip (its manual)" for name in "ab"
    ]
    assert str(error.value) == said[0]
    found = quantize(network_with(), number_format, LOSSY)
    assert found.dropped == tuple(said)


@pytest.mark.parametrize("options", [Rounding(), LOSSY])
def test_weights_that_are_not_free_cannot_be_had_at_any_loss(options):
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network_with(), chip("free_weights"), options)
    assert str(error.value) == "free weights: not supported by Chip (its manual)"


def test_a_threshold_at_rest_cannot_be_had_at_any_loss():
    network = network_with(reset_v=-1.0, threshold_v=[0.5, -0.5])
    with pytest.raises(UnsupportedFeatureError, match=r"threshold of b, -0\.5 V: neurons"):
        quantize(network, chip(state=WHOLE), LOSSY)


def test_signs_that_a_chip_lacks_are_refused():
    number_format = chip(sign_modes=frozenset({"inhibitory"}))
    for options in (Rounding(), LOSSY):
        with pytest.raises(UnsupportedFeatureError) as error:
            quantize(network_with(), number_format, options)
        assert str(error.value) == "projection input->a: Chip supports inhibitory weights only"
    weights = [[0.5, -0.5], [0.5, 0.25]]
    network = network_with(
        projections=(joined(INPUT, "a"), Projection.from_weights("a", "b", weights))
    )
    one_bit = dataclasses.replace(
        chip(), weight_bits=1, sign_modes=frozenset({"mixed", "excitatory"})
    )
    with pytest.raises(UnsupportedFeatureError, match="weights of 1 bit on Chip"):
        quantize(network, one_bit)


@pytest.mark.parametrize(
    ("number_format", "network", "unchecked"),
    [
        (NumberFormat("Chip"), network_with(), "weight_bits state threshold_bits delay_steps"),
        (
            NumberFormat("Chip"),
            network_with(tau_m_s=5.0, bias_v=0.1, refractory_steps=1),
            "weight_bits state threshold_bits bias refractory_steps delay_steps",
        ),
        (
            chip(state=WHOLE),
            network_with(tau_m_s=5.0, bias_v=0.1),
            "leak_bits threshold_bits bias delay_steps",
        ),
        (chip("leak", "delay", state=WHOLE, threshold_bits=8), network_with(), ""),
        (
            NumberFormat(
                "Chip",
                weight_bits=4,
                state=dataclasses.replace(WHOLE, leak_bits=12),
                threshold_bits=8,
                bias=BiasFormat(8),
                refractory_steps=(0, 1),
                delay_steps=(1, 1),
            ),
            network_with(tau_m_s=5.0, bias_v=0.1, refractory_steps=1),
            "",
        ),
    ],
)
def test_what_is_not_known_of_a_chip_is_unchecked(number_format, network, unchecked):
    assert quantize(network, number_format).unchecked == tuple(unchecked.split())


FEATURES = ("leak", "reset_to_rest", "bias", "refractory_period", "delay", "skip_projection")


@settings(max_examples=60, deadline=None)
@given(networks(max_size=8), st.sets(st.sampled_from(FEATURES)))
def test_nothing_is_left_of_what_a_chip_lacks(network, lacks):
    number_format = NumberFormat("Chip", lacks=dict.fromkeys(lacks, "its manual"))
    found = quantize(network, number_format, LOSSY)
    again = quantize(found.network, number_format, LOSSY)
    assert again.network == found.network
    assert set(again.dropped) == {each for each in found.dropped if each.startswith("reset of")}
    try:
        refused = quantize(network, number_format).dropped != ()
    except UnsupportedFeatureError:
        refused = True
    assert refused == bool(found.dropped)
