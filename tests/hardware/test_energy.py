"""Energy estimates against calculations by hand; bounds, covered terms and unknown terms."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import batch, recorded

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.activity import Activity, count_activity
from neuroattack.hardware.energy.energy import estimate
from neuroattack.hardware.energy.timing import hardware_time_s
from neuroattack.hardware.energy.traffic import traffic
from neuroattack.hardware.placement.placement import Check, Placement
from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.hardware.profiles.energy_model import Coefficient, EnergyModel, Timing
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

STEPS, DT_S = 4, 1e-3


def coefficient(value, basis="measured", conditions="1 V", bound=None):
    return Coefficient(value, "Doe 2026", "Table 1", basis, conditions, bound)


def coefficients(basis="measured", conditions="1 V", **values):
    return {name: coefficient(value, basis, conditions) for name, value in values.items()}


def exactly(value, digits):
    """Return whether a value equals a decimal number to 15 significant digits."""
    return f"{value:.15g}" == digits


def small_network():
    """Return the network of all calculations by hand.

    Connections: pixel 0 to hidden 0 and 1, pixel 1 to hidden 1 and 2, hidden 0 to output 0,
    hidden 1 to both, hidden 2 to output 1. Two per pixel, then one, two and one per neuron.
    """
    return Network(
        dt_s=DT_S,
        input=Input((2,), PoissonEncoder(100.0)),
        populations=(
            Population("hidden", 3, tau_m_s=0.02, threshold_v=1.0),
            Population("output", 2, tau_m_s=0.02, threshold_v=1.0),
        ),
        projections=(
            Projection(INPUT, "hidden", np.array([[1, 1, 0], [0, -1, 1]]), 0),
            Projection("hidden", "output", np.array([[1, 0], [2, 1], [0, 1]]), 0),
        ),
        readout="output",
    )


TWO_CORES = {"hidden": np.zeros(3, np.int32), "output": np.ones(2, np.int32)}


def small_activity(
    hidden=(2, 1, 0),
    output=(1, 0),
    pixels=(3, 2),
    spikes=None,
    mesh=None,
    cores=TWO_CORES,
    by_core=True,
):
    """Return the activity: hidden neurons are on core 0, outputs on core 1, side by side."""
    network = small_network()
    neurons = np.bincount(np.concatenate([*cores.values()]))
    known = (Check("neurons_per_core", int(neurons.max()), 1024, core=0),) if by_core else ()
    placement = Placement(CoreLimits("Made-up", mesh=mesh), cores, {"neurons": neurons}, 1, known)
    counts = {INPUT: pixels, "hidden": hidden, "output": output}
    counts = {name: np.atleast_2d(np.array(count, np.int32)) for name, count in counts.items()}
    return count_activity(network, traffic(network, placement), placement, counts, STEPS, spikes)


LOIHI_LIKE = EnergyModel(
    name="Made-up",
    scope="per_term",
    update_policy="every_step",
    event_pj=coefficients(
        "simulated",
        synaptic_operation=23.6,
        update_active=81.0,
        update_inactive=52.0,
        spike_in_tile=1.7,
        hop_ew=3.0,
        hop_ns=4.0,
    ),
    power_mw=coefficients("derived", "not stated", static_chip=104.4),
    timing=Timing(
        "events",
        event_ns=coefficients(
            "simulated",
            synaptic_operation=3.5,
            update_active=8.4,
            update_inactive=5.3,
            barrier_fastest=113.0,
            barrier_slowest=465.0,
        ),
    ),
)


def test_per_term_by_hand():
    """Two cores side by side from west to east, 4 steps, one image.

    Synaptic operations: pixels 3 * 2 + 2 * 2 = 10, hidden 2 * 1 + 1 * 2 + 0 * 1 = 4: 14.
    Updates: 5 neurons * 4 steps = 20; spikes on the chip 2 + 1 + 0 + 1 + 0 = 4.
    Routes: 5 input spikes to core 0, 3 hidden ones to core 1: 8; hops: 3, those of the hidden.

        synaptic operations              14 * 23.6             =    330.4
        updates, lower                    4 * 81 + 16 * 52     =  1 156
        updates, upper                   20 * 81               =  1 620
        routes                            8 * 1.7              =     13.6
        hops east-west                    3 * 3.0              =      9
        hops north-south                  0 * 4.0              =      0

    Time in ns. Core 0: 10 operations, 3 neurons * 4 steps = 12 updates, 3 of them active:
    10 * 3.5 + 3 * 8.4 + 9 * 5.3 = 35 + 25.2 + 47.7 = 107.9; core 1: 4 * 3.5 + 1 * 8.4 + 7 * 5.3 =
    59.5, less. Barriers: 4 * 113 = 452. Lower: 107.9 + 452 = 559.9.
    Every neuron has its connections into one core: 14 * 3.5 = 49; the larger core updates 3 a
    step: 4 * 3 * 8.4 = 100.8; barriers 4 * 465 = 1860. Upper: 49 + 100.8 + 1860 = 2009.8.

        static power, lower           104.4 mW *  559.9 ns     =  58 453.56
        static power, upper           104.4 mW * 2009.8 ns     = 209 823.12

        total, lower   330.4 + 1156 + 13.6 + 9 +  58453.56     =  59 962.56
        total, upper   330.4 + 1620 + 13.6 + 9 + 209823.12     = 211 796.12
    """
    found = estimate(small_activity(mesh=Mesh(2, 1)), LOIHI_LIKE, DT_S)
    expected = {
        "synaptic_operation": ("330.4", "330.4"),
        "update_active": ("324", "1620"),
        "update_inactive": ("832", "0"),
        "spike_in_tile": ("13.6", "13.6"),
        "hop_ew": ("9", "9"),
        "hop_ns": ("0", "0"),
        "static_chip": ("58453.56", "209823.12"),
    }
    assert set(found.terms) == set(expected)
    for term, digits in expected.items():
        for value, text in zip(found.terms[term].mean_pj, digits, strict=True):
            assert exactly(value, text), term
    assert exactly(found.total_pj[0], "59962.56")
    assert exactly(found.total_pj[1], "211796.12")
    assert exactly(found.latency_ms[0], "0.0005599")
    assert exactly(found.latency_ms[1], "0.0020098")
    # 59962.56 * 559.9e-9 and 211796.12 * 2009.8e-9
    assert exactly(found.energy_delay_product_pj_s[0], "0.033573037344")
    assert exactly(found.energy_delay_product_pj_s[1], "0.425667841976")
    assert found.without_coefficient == ()
    assert (found.basis, found.latency_basis) == ("derived", "simulated")
    assert found.conditions == ("1 V", "not stated")
    assert found.mixed_conditions


def test_all_in_by_hand():
    """Second image: pixels 1 and 0; hidden neuron 2 spikes 4 times, output 1 three times.

    Synaptic operations: 14 as above, and 1 * 2 + 4 * 1 = 6. At 26 pJ: 364 and 156, mean 260.
    """
    activity = small_activity(
        pixels=[(3, 2), (1, 0)], hidden=[(2, 1, 0), (0, 0, 4)], output=[(1, 0), (0, 3)]
    )
    model = EnergyModel(
        "Made-up",
        "all_in",
        "every_step",
        event_pj=coefficients(synaptic_operation=26.0),
        timing=Timing("tick", coefficient(1e-3)),
    )
    found = estimate(activity, model, DT_S)
    assert found.total_pj == (260.0, 260.0)
    assert [ends.tolist() for ends in found.per_image_pj] == [[364.0, 156.0]] * 2
    assert found.latency_ms == (4.0, 4.0)
    # (364 + 156) / 2 pJ * 0.004 s
    assert exactly(found.energy_delay_product_pj_s[0], "1.04")
    assert found.subtotal_per_correct_classification_pj(0.5) == (520.0, 520.0)
    assert found.subtotal_per_correct_classification_pj(0.0) is None
    counted = {name: term.count for name, term in found.terms.items() if term.covered_by}
    assert set(counted) == {"update_active", "update_inactive", "spike_in_tile", "static_chip"}
    # 5 input and 3 hidden spikes have a route; 1 and 4 of the second image.
    assert counted["spike_in_tile"][0].tolist() == [8.0, 5.0]
    assert {found.terms[name].covered_by for name in counted} == {"synaptic_operation"}

    # An all-in coefficient is that of the chip: there is no term for input and output.
    outside = estimate(activity, replace(model, unknown=("host_io",)), DT_S)
    assert outside.without_coefficient == ()
    assert outside.total_pj == (260.0, 260.0)
    assert "host_io" not in outside.terms


def test_what_depends_on_cores_has_no_figure_where_no_limit_of_cores_is_known():
    core_coefficients = {"synaptic_operation": 1.0, "spike_in_tile": 2.0, "synapse_fetch": 3.0}
    model = bare(
        event_pj=coefficients(**core_coefficients, update_active=4.0),
        power_mw=coefficients(static_chip=5.0, active_core=6.0),
        timing=Timing("tick", coefficient(1e-3)),
    )
    known = estimate(small_activity(), model, DT_S)
    assert known.without_coefficient == ()
    unknown = estimate(small_activity(by_core=False), model, DT_S)
    assert set(unknown.without_coefficient) == {"spike_in_tile", "synapse_fetch", "active_core"}
    assert unknown.total_pj is None
    assert unknown.terms["active_core"].count is None
    assert unknown.as_json()["activity_per_image"]["routes"] is None
    event_ns = {"synaptic_operation": coefficient(3.5), "update_active": coefficient(8.4)}
    events = replace(model, timing=Timing("events", event_ns=event_ns))
    assert estimate(small_activity(), events, DT_S).latency_ms is not None
    assert estimate(small_activity(by_core=False), events, DT_S).latency_ms is None


SPINNAKER_LIKE = EnergyModel(
    name="Made-up",
    scope="per_term",
    update_policy="every_step",
    event_pj=coefficients("derived", spike_packet=1000.0),
    power_mw=coefficients("derived", static_chip=350.0, active_core=34.0),
    covered=dict.fromkeys(
        ("synaptic_operation", "update_active", "update_inactive"), "active_core"
    ),
    timing=Timing("real_time", coefficient(1.0, "code", "steps of 1 ms")),
)


def test_powers_by_hand():
    """Two cores in real time, 4 steps of 1 ms.

    packets         5 of the input, 3 of hidden neurons; outputs have no connection
                             8 * 1000 pJ             =         8 000 pJ
    static power        350 mW * 4 ms = 1.4 mJ       = 1 400 000 000 pJ
    cores           2 *  34 mW * 4 ms = 0.272 mJ     =   272 000 000 pJ
    total                                            = 1 672 008 000 pJ
    times 4 ms                                       =     6 688 032 pJ s
    """
    found = estimate(small_activity(), SPINNAKER_LIKE, DT_S)
    assert exactly(found.terms["spike_packet"].mean_pj[0], "8000")
    assert exactly(found.terms["static_chip"].mean_pj[0], "1400000000")
    assert exactly(found.terms["active_core"].mean_pj[0], "272000000")
    assert exactly(found.total_pj[0], "1672008000")
    assert found.total_pj[0] == found.total_pj[1]
    assert exactly(found.energy_delay_product_pj_s[1], "6688032")
    assert found.terms["synaptic_operation"].status == "covered"
    assert found.terms["synaptic_operation"].count[0].tolist() == [14.0]
    assert found.basis == "code"

    unknown_time = estimate(small_activity(), replace(SPINNAKER_LIKE, timing=None), DT_S)
    assert unknown_time.without_coefficient == ("static_chip", "active_core")
    assert unknown_time.subtotal_pj == (8000.0, 8000.0)
    assert unknown_time.latency_ms is None
    assert unknown_time.subtotal_energy_delay_product_pj_s is None
    assert (unknown_time.total_pj, unknown_time.per_image_pj) == (None, None)


def event_trains():
    """Return spikes: pixel 0 in steps 0 and 3, hidden 1 in step 1, output 0 in step 2."""
    dense = {INPUT: np.zeros((1, 4, 2), bool), "hidden": np.zeros((1, 4, 3), bool),
             "output": np.zeros((1, 4, 2), bool)}  # fmt: skip
    dense[INPUT][0, [0, 3], 0] = True
    dense["hidden"][0, 1, 1] = True
    dense["output"][0, 2, 0] = True
    return {name: SpikeTrains.from_dense(raster) for name, raster in dense.items()}


ON_EVENT = EnergyModel(
    name="Made-up",
    scope="per_term",
    update_policy="on_event",
    event_pj=coefficients(synaptic_operation=10.0, update_active=7.0, update_inactive=2.0),
    covered={"static_chip": "synaptic_operation"},
)


def test_on_event_by_hand():
    """Pixel 0 reaches hidden 0 and 1 in step 1, hidden 1 both outputs in step 2: 4 updates.

    Its second spike would arrive after the last step, and still are its 2 synaptic operations
    counted: 2 + 2 + 2 = 6. Hidden 1 and output 0 spike as they are updated: 2 active at least.
    Lower: 6 * 10 + 2 * 7 + 2 * 2 = 78; upper: 6 * 10 + 4 * 7 = 88.
    """
    counts = {"pixels": (2, 0), "hidden": (0, 1, 0), "output": (1, 0)}
    found = estimate(small_activity(**counts, spikes=event_trains()), ON_EVENT, DT_S)
    assert found.total_pj == (78.0, 88.0)
    with pytest.raises(ValidationError, match="activity on Made-up: got spike counts"):
        estimate(small_activity(**counts), ON_EVENT, DT_S)
    without_update = replace(ON_EVENT, event_pj=coefficients(synaptic_operation=10.0))
    found = estimate(small_activity(**counts), without_update, DT_S)
    assert found.without_coefficient == ("update_active", "update_inactive")
    assert found.terms["update_active"].count is None


def bare(**changes):
    """Return a model in which the coefficient of a synaptic operation covers static power."""
    model = EnergyModel(
        "Made-up",
        "per_term",
        "every_step",
        event_pj=coefficients(synaptic_operation=1.0),
        covered={"static_chip": "synaptic_operation"},
    )
    return replace(model, **changes)


@pytest.mark.parametrize("name", ["update_active", "update_inactive"])
def test_a_single_update_coefficient_is_used_for_all_updates(name):
    other = {"update_active": "update_inactive", "update_inactive": "update_active"}[name]
    model = bare(event_pj=coefficients(**{"synaptic_operation": 1.0, name: 2.0}), unknown=(other,))
    found = estimate(small_activity(), model, DT_S)
    assert found.total_pj == (14 + 20 * 2, 14 + 20 * 2)


def test_an_active_update_may_be_the_cheaper_one():
    model = bare(
        event_pj=coefficients(synaptic_operation=1.0, update_active=2.0, update_inactive=3.0)
    )
    # All 20 active, or the 4 with a spike and 16 that are not.
    found = estimate(small_activity(), model, DT_S)
    assert found.total_pj == (14 + 20 * 2, 14 + 4 * 2 + 16 * 3)


def test_terms_without_a_coefficient_leave_no_total():
    model = bare(unknown=("barrier", "host_io", "synapse_fetch"))
    found = estimate(small_activity(), model, DT_S)
    assert found.without_coefficient == (
        "update_active", "update_inactive", "synapse_fetch", "barrier", "host_io"
    )  # fmt: skip
    assert found.terms["barrier"].count[0].tolist() == [4.0]
    assert found.terms["host_io"].count[0].tolist() == [5.0]
    assert found.terms["synapse_fetch"].count[0].tolist() == [8.0]
    assert found.total_pj is None
    assert found.subtotal_pj == (14.0, 14.0)
    assert found.energy_delay_product_pj_s is None


def test_static_power_that_nobody_mentions_is_missing_still():
    found = estimate(small_activity(), bare(covered={}), DT_S)
    assert "static_chip" in found.without_coefficient


def test_without_any_coefficient_there_is_no_sum():
    model = EnergyModel("Made-up", "per_term", "continuous", unknown=("spike_packet",))
    found = estimate(small_activity(), model, DT_S)
    assert found.subtotal_pj is None
    assert found.subtotal_per_image_pj is None
    assert found.subtotal_per_correct_classification_pj(0.9) is None
    assert (found.basis, found.conditions, found.mixed_conditions) == (None, (), False)
    assert set(found.terms) == {"synaptic_operation", "spike_packet", "static_chip"}


def test_a_covered_term_is_not_counted_again():
    """14 synaptic operations at 1 pJ cover the updates, with or without their own coefficient."""
    both = ("static_chip", "update_active", "update_inactive")
    model = bare(
        event_pj=coefficients(synaptic_operation=1.0, update_active=81.0),
        covered=dict.fromkeys(both, "synaptic_operation"),
    )
    found = estimate(small_activity(), model, DT_S)
    assert found.total_pj == (14.0, 14.0)
    assert "update_active" not in found.coefficients
    inside = estimate(small_activity(), replace(model, scope="all_in", covered={}), DT_S)
    assert inside.total_pj == (14.0, 14.0)


def test_a_cover_without_a_coefficient_covers_nothing():
    model = bare(covered={"static_chip": "host_io"})
    found = estimate(small_activity(), model, DT_S)
    assert "static_chip" in found.without_coefficient


def test_updates_in_continuous_time_cannot_be_counted():
    model = bare(update_policy="continuous")
    assert estimate(small_activity(), model, DT_S).total_pj == (14.0, 14.0)
    estimated = replace(model, event_pj=coefficients(synaptic_operation=1.0, update_active=81.0))
    found = estimate(small_activity(), estimated, DT_S)
    assert found.without_coefficient == ("update_active",)
    assert found.subtotal_pj == (14.0, 14.0)


def test_a_spike_arrives_at_every_core_that_it_has_a_target_on():
    """Outputs on separate cores: hidden 1 has a target on both, hidden 0 and 2 on one.

    Arrivals: 5 of the input, 2 * 1 + 1 * 2 of the hidden neurons: 9; packets: 5 + 3 = 8.
    """
    cores = {"hidden": np.zeros(3, np.int32), "output": np.array([1, 2], np.int32)}
    model = bare(
        event_pj=coefficients(synapse_fetch=10.0, spike_in_tile=1.0, spike_packet=100.0),
        covered=dict.fromkeys(
            ("synaptic_operation", "update_active", "update_inactive", "static_chip"),
            "synapse_fetch",
        ),
    )
    found = estimate(small_activity(cores=cores), model, DT_S)
    assert found.total_pj == (9 * 10 + 9 * 1 + 8 * 100, 9 * 10 + 9 * 1 + 8 * 100)


def test_hops_without_a_mesh_have_no_count():
    model = bare(event_pj=coefficients(synaptic_operation=1.0, update_active=1.0, hop_ew=3.0))
    found = estimate(small_activity(), model, DT_S)
    assert found.without_coefficient == ("hop_ew",)
    assert found.terms["hop_ew"].count is None


def test_a_minimum_coefficient_adds_a_caveat():
    plain, least = (
        bare(event_pj={"synaptic_operation": coefficient(1.0, bound=bound)})
        for bound in (None, "min")
    )
    found = [set(estimate(small_activity(), model, DT_S).caveats) for model in (plain, least)]
    assert found[0] < found[1]


def test_a_time_that_is_in_no_energy_mixes_no_conditions():
    model = bare(timing=Timing("accelerated", coefficient(1000.0, "vendor", "elsewhere")))
    found = estimate(small_activity(), model, DT_S)
    assert exactly(found.latency_ms[0], "0.004")
    assert (found.conditions, found.basis) == (("1 V",), "measured")
    assert found.latency_basis == "vendor"


@pytest.mark.parametrize("model", [LOIHI_LIKE, SPINNAKER_LIKE, bare()])
def test_the_figures_are_plain_json(model):
    figures = estimate(small_activity(mesh=Mesh(2, 1)), model, DT_S).as_json()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_an_accuracy_that_is_no_fraction_is_refused():
    found = estimate(small_activity(), bare(), DT_S)
    with pytest.raises(ValidationError, match="accuracy: got 97"):
        found.subtotal_per_correct_classification_pj(97)


@given(recorded(), st.sampled_from([LOIHI_LIKE, SPINNAKER_LIKE]))
@settings(max_examples=20, deadline=None)
def test_terms_add_up(drawn, model):
    network, placement, spikes = drawn
    counts, trains = batch(spikes)
    activity = count_activity(
        network, traffic(network, placement), placement, counts, trains[INPUT].steps
    )
    found = estimate(activity, model, network.dt_s)
    estimated = [term for term in found.terms.values() if term.status == "estimated"]
    for end in (0, 1):
        assert found.subtotal_pj[end] == sum(term.mean_pj[end] for term in estimated)
        per_image = found.subtotal_per_image_pj[end]
        assert np.allclose(per_image.mean(), found.subtotal_pj[end], rtol=1e-13)
    assert (found.subtotal_per_image_pj[0] <= found.subtotal_per_image_pj[1] * (1 + 1e-13)).all()


def time_ns(network, placement, spikes, times, policy, *, all_active):
    """Return the time of an image from the definition: the busiest core of every step."""
    steps = len(spikes[INPUT])
    total = 0.0
    for k in range(steps):
        work = np.zeros(placement.cores_used)
        arrived = {p.name: np.zeros(p.size, bool) for p in network.populations}
        for projection in network.projections:
            place = placement.cores[projection.target]
            connected = projection.dense().mantissas != 0
            for neuron in np.flatnonzero(spikes[projection.source][k]):
                for target in np.flatnonzero(connected[neuron]):
                    work[place[target]] += times["synaptic_operation"]
            if k >= projection.delay_steps:
                sent = spikes[projection.source][k - projection.delay_steps]
                arrived[projection.target] |= connected[sent].any(axis=0)
        for population in network.populations:
            for neuron, core in enumerate(placement.cores[population.name]):
                if policy == "continuous" or (
                    policy == "on_event" and not arrived[population.name][neuron]
                ):
                    continue
                active = all_active or spikes[population.name][k, neuron]
                work[core] += times["update_active" if active else "update_inactive"]
        total += work.max()
        total += times["barrier_slowest" if all_active else "barrier_fastest"]
    return total


@given(recorded(), st.sampled_from(["every_step", "on_event", "continuous"]), st.data())
@settings(max_examples=150, deadline=None)
def test_hardware_time_is_within_its_bounds(drawn, policy, data):
    network, placement, spikes = drawn
    active, inactive, operation = (data.draw(st.sampled_from([0.1, 1.0, 7.5])) for _ in range(3))
    times = {
        "synaptic_operation": operation,
        "update_active": max(active, inactive),
        "update_inactive": min(active, inactive),
        "barrier_fastest": 2.0,
        "barrier_slowest": 3.0,
    }
    counts, trains = batch(spikes)
    steps = trains[INPUT].steps
    activity = count_activity(network, traffic(network, placement), placement, counts, steps)
    model = bare(update_policy=policy, timing=Timing("events", event_ns=coefficients(**times)))
    lower, upper = hardware_time_s(activity, model, network.dt_s)
    for image, raster in enumerate(spikes):
        least, most = (
            time_ns(network, placement, raster, times, policy, all_active=all_active) * 1e-9
            for all_active in (False, True)
        )
        assert lower[image] <= least * (1 + 1e-12)
        assert most <= upper[image] * (1 + 1e-12)
        if placement.cores_used == 1 and policy != "on_event":
            assert lower[image] == pytest.approx(least, rel=1e-12)
            assert upper[image] == pytest.approx(most, rel=1e-12)


@pytest.mark.parametrize(
    "timing",
    [
        None,
        Timing("tick"),
        Timing("accelerated"),
        Timing("events"),
        Timing("events", event_ns=coefficients(synaptic_operation=1.0)),
        Timing("events", event_ns=coefficients(update_active=1.0, barrier_slowest=1.0)),
    ],
)
def test_a_time_that_lacks_a_number_is_not_known(timing):
    model = bare(timing=timing)
    assert hardware_time_s(small_activity(), model, DT_S) is None
    assert estimate(small_activity(), model, DT_S).latency_basis is None


def test_a_time_without_barriers_is_that_of_the_events():
    times = coefficients(synaptic_operation=1.0, update_inactive=2.0)
    model = bare(timing=Timing("events", event_ns=times))
    lower, upper = hardware_time_s(small_activity(), model, DT_S)
    # Core 0: 10 operations and 12 updates of 2 ns; 14 operations, and 3 updates in 4 steps.
    assert exactly(lower[0] * 1e9, "34")
    assert exactly(upper[0] * 1e9, "38")


def test_batches_cost_what_they_cost_together():
    parts = [small_activity(), small_activity(hidden=(0, 4, 4))]
    whole = estimate(Activity.concatenate(parts), SPINNAKER_LIKE, DT_S).per_image_pj
    for image, part in enumerate(parts):
        alone = estimate(part, SPINNAKER_LIKE, DT_S).per_image_pj
        assert (alone[0][0], alone[1][0]) == (whole[0][image], whole[1][image])
