"""Networks with currents, loops, convolutions and other resets on chips."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.number_formats import number_formats

from neuroattack.conformance.networks import networks, rasters
from neuroattack.deployment.features import FEATURES, features_of
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.hardware.profiles.number_format import (
    BiasFormat,
    CurrentFormat,
    NumberFormat,
    StateFormat,
)
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.ir.structure import lags

LOSSY = Rounding(allow_lossy=True)
WHOLE = StateFormat(-(2**15), 2**15 - 1)
SHIFTED = StateFormat(
    -(2**23) + 1, 2**23 - 1, shift=6, leak_bits=12, current=CurrentFormat(12, least=1)
)
UNKNOWN = NumberFormat("Unknown")
ALL = frozenset(FEATURES) - {"fixed_point"}
SPIKING = ALL - {"direct_input", "potential_readout"}
DT_S = 1e-3
# Many networks have no convolution, or their numbers are too far apart for a format.
FILTERED = {"deadline": None, "suppress_health_check": [HealthCheck.filter_too_much]}


def one(weights=((0.5,),), delay_steps=1, loop=None, **changes):
    """Return a network of one population with an optional loop."""
    weights = np.atleast_2d(weights)
    size = weights.shape[1]
    fields = {"tau_m_s": math.inf, "threshold_v": 1.0} | changes
    projections = [Projection.from_weights(INPUT, "p", weights, delay_steps)]
    if loop is not None:
        projections.append(Projection.from_weights("p", "p", np.full((size, size), loop)))
    return Network(
        dt_s=DT_S,
        input=Input((len(weights),), PoissonEncoder(100.0)),
        populations=(Population("p", size, **fields),),
        projections=tuple(projections),
        readout="p",
    )


def chip(*lacks, **fields):
    return NumberFormat(
        "Chip", **{"weight_bits": 8} | fields, lacks=dict.fromkeys(lacks, "its manual")
    )


def refusal(network, number_format, **options):
    with pytest.raises(UnsupportedFeatureError) as error:
        quantize(network, number_format, Rounding(**options))
    return str(error.value)


def quantized_or_none(network, number_format, **options):
    """Return None if the network is refused even if losses are allowed."""
    try:
        return quantize(network, number_format, Rounding(allow_lossy=True, **options))
    except UnsupportedFeatureError:
        return None


def test_a_current_on_loihi_worked_out_by_hand():
    network = one(threshold_v=2.0, tau_m_s=0.02, tau_syn_s=0.005)
    found = quantize(network, load_profile("loihi1").number_format())
    (population,), (rounding,) = found.network.populations, found.populations
    # 4096 * (1 - exp(-1 / 20)) = 199.76 and 4096 * (1 - exp(-1 / 5)) = 742.5.
    assert (population.leak, population.current_leak) == (200, 742)
    # 255 / 0.5 V = 510 per volt.
    assert population.threshold.tolist() == [1020 * 64]
    assert found.network.projections[0].mantissas.tolist() == [[255]]
    assert rounding.tau_syn_s == 0.005
    assert rounding.effective_tau_syn_s == pytest.approx(-1e-3 / math.log(1 - 742 / 4096))
    assert found.dropped == ()
    (values,) = found.roundings_as_json()["populations"]
    assert values["tau_syn_s"] == 0.005
    assert "tau_syn_s" not in quantize(one(), chip()).roundings_as_json()["populations"][0]


@pytest.mark.parametrize("tau_syn_s", [1e-9, 1e-4, 3.0, 1e9])
def test_currents_lose_at_least_one_unit_per_step_on_loihi_and_at_most_all(tau_syn_s):
    found = quantize(one(tau_syn_s=tau_syn_s), chip(state=SHIFTED))
    wanted = 4096 * (1 - math.exp(-DT_S / tau_syn_s))
    assert found.network.populations[0].current_leak == max(1, round(wanted))


def test_late_input_is_input_one_step_later():
    network = one(tau_syn_s=0.005, input_after_update=True, delay_steps=0)
    found = quantize(network, chip(state=SHIFTED))
    assert found.dropped == ()
    assert [p.delay_steps for p in found.network.projections] == [1]
    late = quantize(one(input_after_update=True), chip(state=SHIFTED))
    assert [p.delay_steps for p in late.network.projections] == [2]
    assert not late.network.populations[0].has_current


CASES = {
    "subtraction in integers": (
        one(reset="subtract"),
        chip(state=WHOLE),
        "reset of p by subtraction: neurons of Chip are simulated with a reset to 0 V",
    ),
    "later subtraction in integers": (
        one(reset="subtract_next"),
        chip(state=WHOLE, resets=frozenset({"subtract"})),
        "reset of p by subtraction: neurons of Chip are simulated with a reset to 0 V",
    ),
    "subtraction on an unknown chip": (
        one(reset="subtract"),
        chip(),
        "reset of p by subtraction: not known to be supported by Chip",
    ),
    "later subtraction": (
        one(reset="subtract_next"),
        chip(resets=frozenset({"subtract"})),
        "reset of p in the next time step: Chip subtracts in the step of a spike",
    ),
    "another amount": (
        one(reset="subtract", reset_v=0.5),
        chip(resets=frozenset({"subtract"})),
        "reset of p by subtraction of 0.5 V: Chip subtracts the threshold",
    ),
    "time constants": (
        one([[0.5, 0.5]], tau_m_s=[0.01, 0.02]),
        chip(state=WHOLE),
        "time constants of p, 0.01 to 0.02 s: neurons of a population on Chip are simulated with "
        "the mean",
    ),
    "synaptic time constants": (
        one([[0.5, 0.5]], tau_syn_s=[0.0, 0.02]),
        chip(state=WHOLE),
        "synaptic time constants of p, 0 to 0.02 s: neurons of a population on Chip are simulated "
        "with the mean",
    ),
    "refractory periods": (
        one([[0.5, 0.5]], refractory_steps=[1, 4]),
        chip(state=WHOLE),
        "refractory periods of p, 1 to 4 time steps: neurons of a population on Chip are "
        "simulated with the mean",
    ),
    "resets": (
        one([[0.5, 0.5]], reset_v=[-1.0, 0.0]),
        chip(state=WHOLE),
        "reset of p to -1 to 0 V: neurons of Chip reset to 0 V",
    ),
    "current": (
        one(tau_syn_s=0.01),
        chip("synaptic_current"),
        "synaptic current of p, time constant 0.01 s: not supported by Chip (its manual)",
    ),
    "bias of the current": (
        one(tau_syn_s=0.01, current_bias_v=0.25),
        chip(state=WHOLE),
        "bias of the synaptic current of p, up to 0.25 V: biases of Chip are added to the "
        "potential",
    ),
    "bias of the current and no biases": (
        one(tau_syn_s=0.01, current_bias_v=0.25),
        chip("bias"),
        "bias of p, up to 0.25 V: not supported by Chip (its manual)",
    ),
    "loop": (
        one(loop=0.25),
        chip("recurrence"),
        "recurrent projection p->p: not supported by Chip (its manual)",
    ),
    "same step": (
        one(delay_steps=0),
        chip(),
        "same-step arrival over projection input->p: spikes take at least one time step on Chip, "
        "so the last time step is lost in p",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_shortfall_is_refused_or_converted(case):
    network, number_format, shortfall = CASES[case]
    assert refusal(network, number_format) == shortfall
    assert quantize(network, number_format, LOSSY).dropped == (shortfall,)


def test_means_of_decays_worked_out_by_hand():
    decays = np.exp(-1e-3 / np.array([0.01, 0.02]))
    network = one(
        [[0.5, 0.5]],
        tau_m_s=[0.01, 0.02],
        tau_syn_s=[0.02, 0.0],
        refractory_steps=[1, 4],
    )
    population = quantize(network, chip(state=SHIFTED), LOSSY).network.populations[0]
    assert population.leak == round(4096 * (1 - decays.mean()))
    assert population.current_leak == round(4096 * (1 - decays[1] / 2))
    assert population.refractory_steps == 2
    # Decays to 0 have no time constant.
    network = one([[0.5, 0.5]], tau_m_s=[1e-9, 2e-9])
    assert quantize(network, chip(state=SHIFTED), LOSSY).network.populations[0].leak == 4095


def test_a_current_without_memory_has_the_same_charge():
    decay = math.exp(-0.1)
    network = one(tau_syn_s=0.01, current_bias_v=0.25)
    converted = quantize(network, NumberFormat("Chip", lacks={"synaptic_current": "x"}), LOSSY)
    assert converted.network.projections[0].weights_v == pytest.approx(0.5 / (1 - decay))
    assert converted.network.populations[0].bias_v == pytest.approx(0.25 / (1 - decay))
    assert not converted.network.populations[0].has_current


def test_the_bias_of_a_current_without_memory_is_that_of_the_potential():
    found = quantize(one(current_bias_v=0.25, bias_v=0.125), chip(state=WHOLE))
    expected = quantize(one(bias_v=0.375), chip(state=WHOLE))
    assert found.dropped == ()
    assert found.network == expected.network


def test_the_bias_of_a_current_becomes_its_steady_state():
    network = one(tau_syn_s=0.01, current_bias_v=0.01)
    found = quantize(network, chip(state=SHIFTED), LOSSY)
    bias_v = found.network.populations[0].bias * found.populations[0].state_bit_v
    assert bias_v == pytest.approx(0.01 / (1 - math.exp(-0.1)), rel=1e-3)


def test_a_chip_that_subtracts_does_so():
    number_format = chip("reset_to_rest", resets=frozenset({"subtract"}))
    found = quantize(one([[0.5, 0.25]], reset="subtract", threshold_v=[1.0, 0.5]), number_format)
    (population,) = found.network.populations
    assert found.dropped == ()
    assert population.reset == "subtract"
    assert population.reset_v.tolist() == population.threshold_v.tolist()
    # Its neurons are still simulated with a reset to a value if the network has one.
    assert "fixed potential" in refusal(one(), number_format)


def test_a_threshold_below_0_cannot_be_reset_to_0():
    network = one(reset="subtract", reset_v=1.0, threshold_v=-0.5)
    for number_format in (chip(), chip(state=WHOLE), chip(resets=frozenset({"subtract"}))):
        with pytest.raises(UnsupportedFeatureError, match=r"threshold of p, -0\.5 V"):
            quantize(network, number_format, LOSSY)


@pytest.mark.parametrize("options", [Rounding(), LOSSY])
@pytest.mark.parametrize("number_format", [chip(), chip(state=WHOLE)])
def test_intensities_are_not_sent_to_chips(number_format, options):
    network = dataclasses.replace(one(), input=Input((1,), DirectEncoder()))
    with pytest.raises(UnsupportedFeatureError, match="direct coding: Chip receives spikes"):
        quantize(network, number_format, options)


@pytest.mark.parametrize("options", [Rounding(), LOSSY])
def test_potentials_are_no_output_of_integer_neurons(options):
    network = dataclasses.replace(one(threshold_v=math.inf), readout_quantity="max_potential")
    with pytest.raises(UnsupportedFeatureError, match="membrane potentials of p as output"):
        quantize(network, chip(state=WHOLE), options)
    silent = one([[0.5, 0.5]], threshold_v=[1.0, math.inf])
    with pytest.raises(UnsupportedFeatureError, match="infinite threshold of p"):
        quantize(silent, chip(state=WHOLE), options)
    found = quantize(network, chip(), options)
    assert "potential_readout" in found.unchecked
    assert found.network.readout_quantity == "max_potential"
    assert found.populations[0].largest_threshold_error_v == 0


def test_what_is_not_known_of_features_is_unchecked():
    network = one([[0.5, 0.5]], tau_syn_s=0.01, tau_m_s=[0.01, 0.02])
    assert {"synaptic_current", "per_neuron_parameters"} <= set(quantize(network, chip()).unchecked)
    found = quantize(network, chip(state=WHOLE), LOSSY)
    assert "synaptic_current" in found.unchecked
    assert "per_neuron_parameters" not in found.unchecked
    known = quantize(network, chip(state=SHIFTED), LOSSY)
    assert "synaptic_current" not in known.unchecked


def loops():
    """Return a network with a loop over two populations, with same-step arrival forwards."""
    network = one()
    second = Population("q", 1, tau_m_s=0.01, threshold_v=1.0)
    return dataclasses.replace(
        network,
        populations=(*network.populations, second),
        projections=(
            Projection.from_weights(INPUT, "p", [[0.5]], 0),
            Projection.from_weights("p", "q", [[0.5]], 0),
            Projection.from_weights("q", "p", [[0.5]], 1),
            Projection.from_weights(INPUT, "q", [[0.5]], 3),
        ),
    )


def test_loops_are_refused_or_dropped_by_name():
    lacking = "not supported by Chip (its manual)"
    feedback = f"feedback projection q->p: {lacking}"
    network = loops()
    # Without the loop, q runs two steps later.
    forward = dataclasses.replace(network, projections=network.projections[:2])
    assert [p.delay_steps for p in quantize(forward, chip(), LOSSY).network.projections] == [1, 1]
    assert refusal(network, chip("recurrence")) == feedback
    found = quantize(network, chip("recurrence"), LOSSY)
    assert found.dropped[0] == feedback
    assert [p.delay_steps for p in found.network.projections] == [1, 1, 5]
    skipping = quantize(network, chip("skip_projection"), LOSSY)
    assert skipping.dropped[:2] == (feedback, f"skip projection input->q: {lacking}")
    # With the loop, no shifts exist.
    longer = quantize(network, chip(delay_steps=(1, 9)), LOSSY)
    assert longer.dropped == (
        "delay of input->p, 0 time steps: Chip supports 1 to 9",
        "delay of p->q, 0 time steps: Chip supports 1 to 9",
    )


def strictly_above(network, found):
    """Simulate the integers of one population by loops, with the network's own comparison."""
    (before,), (after,) = network.populations, found.network.populations
    shift = SHIFTED.shift if after.lowest == SHIFTED.lowest else 0
    (rounding,) = found.populations
    wanted = before.threshold_v / rounding.state_bit_v / 2**shift
    return [int(np.rint(each)) << shift for each in wanted]


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([math.inf, 0.02]), st.booleans(), st.booleans())
def test_integers_at_an_inclusive_threshold_spike(data, tau_m_s, shifted, biased):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = rng.integers(-8, 16, (4, 3)) / 8
    network = one(
        weights,
        comparison="inclusive",
        tau_m_s=tau_m_s,
        threshold_v=rng.integers(1, 8, 3) / 8,
        bias_v=rng.integers(-2, 3, 3) / 8 if biased else 0.0,
    )
    number_format = chip(weight_bits=5, state=SHIFTED if shifted else WHOLE, bias=BiasFormat(13, 3))
    found = quantize(network, number_format)
    (after,) = found.network.populations
    inclusive = strictly_above(network, found)
    exact = not shifted or (after.leak == 0 and not (after.bias % 64).any())
    above = [t - (64 if shifted else 1) if exact else t for t in inclusive]
    assert after.threshold.tolist() == above
    if not exact:
        return
    raster = data.draw(rasters(4))[0]
    fired = simulate(found.network, raster)["p"]
    matrix = found.network.projections[0]
    for i in range(3):
        v = 0
        for k in range(len(raster)):
            arriving = 0
            if k:
                for j in range(4):
                    arriving += int(raster[k - 1, j]) * int(matrix.mantissas[j, i])
            leaked = abs(v) * (4096 - after.leak) // 4096
            v = (leaked if v >= 0 else -leaked) + arriving * 2**matrix.exponent
            v = max(after.lowest, min(after.highest, v + int(after.bias[i])))
            spike = v >= inclusive[i]
            assert fired[k, i] == spike
            v = 0 if spike else v


EXACT = frozenset(
    {
        "per_neuron_parameters",
        "inclusive_threshold",
        "synaptic_current",
        "late_input",
        "recurrence",
        "feedback",
        "convolution",
    }
)


@settings(max_examples=40, deadline=None)
@given(st.data(), networks(max_size=12, features=EXACT))
def test_a_network_that_is_not_rounded_has_the_same_spikes(data, network):
    found = quantize(network, UNKNOWN)
    assert found.dropped == ()
    raster = data.draw(rasters(network.input.size))[0]
    before, after = simulate(network, raster), simulate(found.network, raster)
    for name, spikes in before.items():
        np.testing.assert_array_equal(after[name], spikes)


@settings(max_examples=40, deadline=None)
@given(st.data(), networks(max_size=12, features=EXACT | {"same_step_arrival"}))
def test_same_step_arrival_is_the_same_later(data, network):
    assume(all((p.threshold_v > 0).all() for p in network.populations))
    # Biases act before the input would; late input with a bias of the current is as early.
    network = dataclasses.replace(
        network,
        populations=tuple(
            dataclasses.replace(p, bias_v=0.0, current_bias_v=0.0) for p in network.populations
        ),
    )
    plain = dataclasses.replace(
        network,
        projections=tuple(
            dataclasses.replace(
                p,
                delay_steps=p.delay_steps + network.population(p.target).input_after_update,
            )
            for p in network.projections
        ),
    )
    found = quantize(network, UNKNOWN, LOSSY)
    shifts = lags(plain)
    early = any(p.delay_steps == 0 for p in plain.projections)
    assert bool(found.dropped) == early
    raster = data.draw(rasters(network.input.size))[0]
    before, after = simulate(network, raster), simulate(found.network, raster)
    for name, spikes in before.items():
        late = shifts[name] if early else 0
        np.testing.assert_array_equal(after[name][late:], spikes[: max(len(spikes) - late, 0)])
        assert not after[name][:late].any()


def unrolled(network):
    return dataclasses.replace(
        network, projections=tuple(projection.dense() for projection in network.projections)
    )


def all_used(projection):
    """Return whether every element of a kernel meets a source neuron, so that it is a weight."""
    if not isinstance(projection, Convolution):
        return True
    met = [(projection.positions(axis) >= 0).any(axis=1).all() for axis in (0, 1)]
    return all(met)


SHARED = st.fixed_dictionaries(
    {
        "scale": st.sampled_from(["shared", "per_projection"]),
        "signs": st.sampled_from(["unchanged", "split"]),
    }
)


@settings(max_examples=30, **FILTERED)
@given(st.data(), networks(24, 2, SPIKING), number_formats(), SHARED)
def test_a_convolution_is_rounded_as_its_connections(data, network, number_format, options):
    assume(any(isinstance(p, Convolution) for p in network.projections))
    assume(all(map(all_used, network.projections)))
    found = quantized_or_none(network, number_format, **options)
    # Signs of channels may differ from those of neurons.
    assume(found is not None)
    assume(not any("whose sign differs" in each for each in found.dropped))
    dense = quantized_or_none(unrolled(network), number_format, **options)
    assert dense.dropped == found.dropped
    assert dense.network.populations == found.network.populations
    for kernel, matrix in zip(found.network.projections, dense.network.projections, strict=True):
        assert kernel.dense() == matrix
    structured = [isinstance(p, Convolution) for p in network.projections]
    if len(found.network.projections) == len(structured):
        assert [isinstance(p, Convolution) for p in found.network.projections] == structured
    raster = data.draw(rasters(network.input.size))[0]
    before, after = (simulate(each.network, raster) for each in (dense, found))
    for name, spikes in before.items():
        np.testing.assert_array_equal(after[name], spikes)


@settings(max_examples=40, **FILTERED)
@given(
    networks(max_size=30, features=SPIKING), number_formats(), st.sampled_from(["none", "least"])
)
def test_neurons_have_one_sign_where_they_must(network, number_format, clipping):
    number_format = dataclasses.replace(number_format, sign_modes=frozenset({"per_source"}))
    clipping = "least_error" if clipping == "least" else "none"
    found = quantized_or_none(network, number_format, clipping=clipping)
    assume(found is not None)
    for name, size in network.sizes.items():
        outgoing = [p.dense().mantissas for p in found.network.outgoing(name)]
        rows = np.concatenate([np.zeros((size, 1)), *outgoing], axis=1)
        assert not ((rows > 0).any(axis=1) & (rows < 0).any(axis=1)).any()


@settings(max_examples=40, **FILTERED)
@given(networks(max_size=12, features=SPIKING), number_formats())
def test_integers_have_only_the_features_of_integers(network, number_format):
    assume(number_format.state is not None)
    found = quantized_or_none(network, number_format)
    assume(found is not None)
    features = features_of(found.network)
    assert set(features) <= {
        *("fixed_point", "synaptic_current", "recurrence", "feedback", "convolution")
    }
    for population in found.network.populations:
        assert isinstance(population, FixedPopulation)
    assert all(projection.delay_steps >= 1 for projection in found.network.projections)
    kept = {"recurrence", "feedback", "convolution"} & set(features_of(network))
    assert kept == {"recurrence", "feedback", "convolution"} & set(features)


LACKS = (
    *("leak", "synaptic_current", "reset_to_rest", "bias", "refractory_period", "delay"),
    *("skip_projection", "recurrence"),
)


@settings(max_examples=40, deadline=None)
@given(
    networks(max_size=8, features=ALL - {"direct_input"}),
    st.sets(st.sampled_from(LACKS)),
    st.sampled_from([frozenset(), frozenset({"subtract"})]),
)
def test_nothing_is_left_of_what_a_chip_lacks(network, lacks, resets):
    number_format = NumberFormat("Chip", lacks=dict.fromkeys(lacks, "its manual"), resets=resets)
    found = quantized_or_none(network, number_format)
    assume(found is not None)
    again = quantize(found.network, number_format, LOSSY)
    assert again.network == found.network
    assert all("to a fixed potential" in each for each in again.dropped)
    features = features_of(found.network)
    assert "same_step_arrival" not in features
    assert "delayed_subtraction" not in features
    assert not {"recurrence", "feedback"} & set(features) or "recurrence" not in lacks
    assert (
        "synaptic_current" not in features
        or "synaptic_current" not in lacks
        or not any(p.tau_syn_s.any() for p in found.network.populations)
    )
    assert "subtractive_reset" not in features or resets
    try:
        refused = quantize(network, number_format).dropped != ()
    except UnsupportedFeatureError:
        refused = True
    assert refused == bool(found.dropped)


@settings(max_examples=30, **FILTERED)
@given(networks(max_size=15, features=SPIKING), number_formats())
def test_currents_lose_what_is_nearest(network, number_format):
    found = quantized_or_none(network, number_format)
    assume(found is not None and number_format.state is not None)
    current = number_format.state.current or CurrentFormat(12)
    parts = 2**current.leak_bits
    for before, after in zip(network.populations, found.network.populations, strict=True):
        decays = [math.exp(-DT_S / tau) if tau else 0.0 for tau in before.tau_syn_s.tolist()]
        wanted = parts * (1 - sum(decays) / len(decays))
        leak = after.current_leak * parts / 4096
        assert leak == int(leak)
        assert abs(leak - wanted) <= 0.5 + 1e-6 or leak == current.least > wanted
