"""Energies from SANA-FE compared with plain counts times the coefficients of its file."""

import re
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.networks import small_network
from support.output import one_object
from support.sanafe_networks import LIMITS, convolution, installed, layers, looped, raster

from neuroattack.backends.sanafe.cross_check import SanafeCrossCheck
from neuroattack.deployment.backend import load_backend
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.chips.differences import compare_estimates
from neuroattack.hardware.energy.traffic import traffic
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.placement.placement import place
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import simulate, update_fixed
from neuroattack.ir.network import INPUT


def counted(network, placement, inputs):
    """Count the events of an image in plain loops: means per image are not taken."""
    spikes = simulate(network, inputs)
    spikes[INPUT] = inputs
    cores = placement.cores
    counts = dict.fromkeys(
        ("synaptic_operation", "neuron_update", "active_update", "spike_generation", "message",
         "input_message"), 0
    )  # fmt: skip
    for projection in network.projections:
        weights = projection.dense().mantissas
        fan_out = np.count_nonzero(weights, axis=1)
        counts["synaptic_operation"] += int(spikes[projection.source].sum(axis=0) @ fan_out)
    for name in network.sizes:
        for neuron in range(network.sizes[name]):
            reached = {
                int(cores[p.target][j])
                for p in network.outgoing(name)
                for j in np.flatnonzero(p.dense().mantissas[neuron])
            }
            term = "input_message" if name == INPUT else "message"
            counts[term] += len(reached) * int(spikes[name][:, neuron].sum())
    for population in network.populations:
        counts["neuron_update"] += population.size * len(inputs)
        counts["spike_generation"] += int(spikes[population.name].sum())
        potential, wait = np.zeros(population.size), np.zeros(population.size, int)
        for step in range(len(inputs)):
            drive, arrived = np.zeros(population.size), np.zeros(population.size, bool)
            for p in network.incoming(population.name):
                if step:
                    weights = p.dense().mantissas.astype(float) * 2.0**p.exponent
                    drive += spikes[p.source][step - 1] @ weights
                    arrived |= spikes[p.source][step - 1] @ (weights != 0)
            updated = (potential != 0) | arrived | (population.bias != 0)
            potential = np.where(wait, potential, update_fixed(potential, drive, population))
            fired = spikes[population.name][step]
            potential[fired] = 0
            wait = np.where(fired, population.refractory_steps, np.maximum(wait - 1, 0))
            counts["active_update"] += int((updated | fired).sum())
    return counts


def coefficient_pj(key, unit):
    """Return the first number of a key after the name of a unit, in SANA-FE's own file."""
    folder = Path(find_spec("sanafe").submodule_search_locations[0])
    text = (folder / "examples" / "loihi.yaml").read_text()
    return float(re.search(rf"name: {unit}.*?{key}: ([-\d.e]+)", text, re.DOTALL)[1]) * 1e12


KEYS = {
    "synaptic_operation": ("energy_process_spike", "loihi_dense_synapse"),
    "neuron_update": ("energy_access_neuron", "loihi_lif"),
    "active_update": ("energy_update_neuron", "loihi_lif"),
    "spike_generation": ("energy_spike_out", "loihi_lif"),
    "message": ("energy_message_out", "loihi_out"),
    "input_message": ("energy_message_out", "loihi_out"),
    "hop_ew": ("energy_east_hop", "loihi_tile"),
    "hop_ns": ("energy_north_hop", "loihi_tile"),
    "input_hop_ew": ("energy_west_hop", "loihi_tile"),
    "input_hop_ns": ("energy_south_hop", "loihi_tile"),
}


def spread(network):
    """Return a fitted network that needs many cores, in several nodes of the mesh."""
    fitted = fit(small_network(), load_profile("loihi1"))
    placement = place(network, replace(LIMITS, neurons_per_core=3))
    return replace(
        fitted,
        quantized=replace(fitted.quantized, network=network),
        placement=placement,
        traffic=traffic(network, placement),
    )


@installed
@pytest.mark.parametrize(
    "network", [layers(20, 25, 15, refractory_steps=2), looped(layers(20, 25, 15, bias=50))]
)
def test_events_and_energies_are_counts_times_coefficients(network):
    fitted = spread(network)
    inputs = raster(network, images=2, steps=30)
    with closing(SanafeCrossCheck().deploy(fitted)) as estimator:
        found = estimator.run(SpikeTrains.from_dense(inputs))
    assert fitted.placement.cores_used > 12
    events = {term: each.count.tolist() for term, each in found.terms.items()}
    expected = [counted(network, fitted.placement, image) for image in inputs]
    for term in expected[0]:
        assert events[term] == [each[term] for each in expected], term
    each = [simulate(network, image) for image in inputs]
    counts = {name: np.array([one[name].sum(axis=0) for one in each]) for name in each[0]}
    counts[INPUT] = inputs.sum(axis=1)
    activity = fitted.activity(counts, 30)
    assert events["synaptic_operation"] == activity.synaptic_operations.tolist()
    assert events["spike_generation"] == activity.spikes.tolist()
    assert events["neuron_update"] == activity.updates.tolist()
    assert events["hop_ew"] == activity.hops_ew.tolist()
    assert events["hop_ns"] == activity.hops_ns.tolist()
    assert sum(events["hop_ns"]) > 0
    assert sum(events["input_hop_ew"]) > 0
    routes = np.add(events["message"], events["input_message"])
    assert routes.tolist() == activity.routes.tolist()
    energies = [np.array(events[term]) * coefficient_pj(*KEYS[term]) for term in KEYS]
    np.testing.assert_allclose(np.sum(energies, axis=0), found.total_pj, rtol=1e-9)


@installed
def test_the_terms_sum_to_both_totals():
    fitted = spread(layers(20, 25, 15, refractory_steps=2))
    inputs = SpikeTrains.from_dense(raster(fitted.network, images=3, steps=30))
    recording = load_backend("native").deploy(fitted.network).run(inputs, record_spikes=True)
    estimate = fitted.estimate(fitted.activity(recording.counts, 30))
    with closing(SanafeCrossCheck().deploy(fitted)) as estimator:
        other = estimator.run(inputs)
    figures = compare_estimates(fitted, estimate, recording.spikes, other)
    assert {each["differing"] for each in figures["spikes"].values()} == {0}
    total = figures["total"]
    assert list(total["ours"].values()) == pytest.approx(estimate.subtotal_pj)
    assert total["other"] == pytest.approx(other.total_pj.mean())
    for end in ("lower", "upper"):
        assert total["difference_pj"][end] == pytest.approx(total["other"] - total["ours"][end])
        parts = ("from_counts_pj", "from_coefficients_pj", "one_side_only_pj")
        for values in (*figures["terms"].values(), total):
            assert sum(values[part][end] for part in parts) == pytest.approx(
                values["difference_pj"][end]
            )
    assert figures["time_ms"]["other"] > 0


@installed
def test_synapses_of_kernels_have_their_own_coefficient():
    network = convolution()
    inputs = raster(network, images=1, steps=20)
    with closing(SanafeCrossCheck().deploy(spread(network))) as estimator:
        (term,) = [estimator.run(SpikeTrains.from_dense(inputs)).terms["synaptic_operation"]]
    spikes = simulate(network, inputs[0])
    kernel, dense = network.projections
    by_kernel = int(inputs[0].sum(axis=0) @ kernel.fan_out())
    by_dense = int(spikes["maps"].sum(axis=0) @ dense.fan_out())
    assert term.count.tolist() == [by_kernel + by_dense]
    expected = by_kernel * coefficient_pj("energy_process_spike", "loihi_conv_synapse")
    expected += by_dense * coefficient_pj("energy_process_spike", "loihi_dense_synapse")
    assert term.energy_pj[0] == pytest.approx(expected)
    assert by_kernel * by_dense


@installed
def test_the_command_prints_one_object(command, network_file):
    arguments = ("--profile", "loihi1", "--images", 3, "--steps", 20, "--cross-check", "sanafe")
    code, out, err = command("energy", network_file, *arguments, "--json")
    assert (code, err) == (0, "")
    chip = one_object(out)["profiles"]["loihi1"]
    figures = chip["cross_check"]
    assert (figures["tool"], figures["chip"], figures["images"]) == ("SANA-FE", "loihi.yaml", 3)
    assert figures["total"]["ours"] == pytest.approx(chip["subtotal_pj"])
    assert figures["spikes"]["hidden"]["ours"] == chip["spikes_per_image"]["hidden"]
    code, out, _ = command("energy", network_file, *arguments)
    assert code == 0
    assert "cross-check with SANA-FE" in out
