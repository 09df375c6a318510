"""SANA-FE's models: what explains differing spikes, delays, and its TrueNorth."""

import math
from pathlib import Path

import numpy as np
import pytest
from support.networks import small_network
from support.sanafe_networks import installed, raster

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Projection


def layer_in_sanafe(weights, threshold, decay, inputs, delay=0):
    """Return the spikes of a layer in floating point on SANA-FE's Loihi, refractory for 2 steps."""
    import sanafe

    chip, net = sanafe.load_loihi(), sanafe.Network()
    sources = net.create_neuron_group(INPUT, len(weights))
    targets = net.create_neuron_group(
        "layer", weights.shape[1], log_spikes=True, soma_hw_name="loihi_lif",
        default_dendrite_hw_name="loihi_dendrites" + "_delay" * bool(delay),
        default_synapse_hw_name="loihi_dense_synapse",
        model_attributes={"threshold": threshold, "leak_decay": decay, "refractory_delay": 3},
    )  # fmt: skip
    for i in range(len(weights)):
        sources[i].set_attributes(
            soma_hw_name=f"loihi_inputs[{i}]", dendrite_hw_name="loihi_dendrites",
            model_attributes={"spikes": inputs[:, i].astype(int).tolist()},
        )  # fmt: skip
        sources[i].map_to_core(chip.tiles[0].cores[1])
    for j in range(weights.shape[1]):
        targets[j].map_to_core(chip.tiles[0].cores[0])
    connect(
        sources, targets, weights, {"delay": [delay] * np.count_nonzero(weights)} if delay else {}
    )
    return spikes_of(net, chip, inputs, weights.shape[1], "layer")[0]


def connect(sources, targets, weights, attributes=None):
    i, j = np.nonzero(weights)
    sources.connect_neurons_sparse(
        targets,
        {"weight": weights[i, j].astype(float).tolist(), **(attributes or {})},
        list(zip(i.tolist(), j.tolist(), strict=True)),
    )


def spikes_of(net, chip, inputs, size, name):
    """Return the raster of a group of neurons, and the results of the run."""
    import sanafe

    spiking = sanafe.SpikingChip(chip)
    spiking.load(net)
    run = spiking.sim(len(inputs), spike_trace=True)
    found = np.zeros((len(inputs), size), bool)
    for step, spikes in enumerate(run["spike_trace"]):
        found[step, [each.neuron_offset for each in spikes if each.group_name == name]] = True
    return found, run


def layer_in_a_loop(weights, threshold, decay, inputs, truncated):
    potential, wait = np.zeros(weights.shape[1]), np.zeros(weights.shape[1], int)
    drive, found = np.zeros(weights.shape[1]), []
    for spikes in inputs:
        potential = potential * decay
        if truncated:
            potential = np.trunc(potential * 64) / 64
        potential = np.where(wait == 0, potential + drive, potential)
        fired = (wait == 0) & (potential > threshold)
        potential[fired] = 0
        wait = np.where(fired, 2, np.maximum(wait - 1, 0))
        drive = spikes @ weights
        found.append(fired)
    return np.array(found)


@installed
@pytest.mark.parametrize(("scale", "differing"), [(1, 107), (10, 12), (64, 0)])
def test_spikes_in_floating_point_differ_because_potentials_are_truncated(scale, differing):
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        weights = scale * rng.normal(0.05, 0.3, (40, 30))
        layer = weights, float(scale), math.exp(-1 / 20), rng.random((100, 40)) < 0.1
        spikes = layer_in_sanafe(*layer)
        np.testing.assert_array_equal(spikes, layer_in_a_loop(*layer, truncated=True))
        found += int((spikes != layer_in_a_loop(*layer, truncated=False)).sum())
    assert found == differing


@installed
@pytest.mark.parametrize(("second", "spikes"), [(4, 0), (5, 0), (6, 1), (7, 0)])
def test_a_delayed_input_is_lost_unless_a_spike_arrives_with_it(second, spikes):
    inputs = np.zeros((20, 2), bool)
    inputs[3, 0] = inputs[second, 1] = True
    # The first input alone exceeds the threshold, the second does not.
    found = layer_in_sanafe(np.array([[1.0], [0.25]]), 0.5, 1.0, inputs, delay=2)
    assert found.sum() == spikes


TRUENORTH_INPUTS = """
            - name: input[0..255]
              attributes:
                model: input
                energy_access_neuron: 0.0
                latency_access_neuron: 0.0
                energy_update_neuron: 0.0
                latency_update_neuron: 0.0
                energy_spike_out: 0.0
                latency_spike_out: 0.0
          synapse:"""


@installed
def test_operations_of_a_network_with_axon_types_on_truenorth(tmp_path):
    # Four signed weights per neuron, one for each axon type; a synapse is present or absent.
    import sanafe

    rng = np.random.default_rng(8)
    of_type = rng.integers(-6, 12, (4, 30))
    present = rng.random((40, 30)) < 0.5
    weights = np.where(present, of_type[np.arange(40) % 4], 0)
    # TrueNorth compares by >=.
    network = Network(
        1e-3, Input((40,), PoissonEncoder(100.0)),
        (FixedPopulation("neurons", 30, leak=0, threshold=rng.integers(20, 40, 30) - 1),),
        (Projection(INPUT, "neurons", weights, 0),), "neurons",
    )  # fmt: skip
    inputs = raster(network, images=1, steps=50)[0]
    expected = simulate(network, inputs)["neurons"]

    folder = Path(sanafe.__file__).parent / "examples"
    text = (folder / "truenorth.yaml").read_text()
    text = text.replace("[0..4095]", "[0..1]").replace("width: 64", "width: 1")
    text = text.replace("height: 64", "height: 2")
    text = text.replace("\n          synapse:", TRUENORTH_INPUTS, 1)
    (tmp_path / "truenorth.yaml").write_text(text)
    chip = sanafe.load_arch(tmp_path / "truenorth.yaml")
    net = sanafe.Network()
    sources = net.create_neuron_group(INPUT, 40)
    targets = net.create_neuron_group(
        "neurons", 30, log_spikes=True, soma_hw_name="core_soma",
        default_dendrite_hw_name="core_dendrites", default_synapse_hw_name="core_synapses",
    )  # fmt: skip
    for i in range(40):
        sources[i].set_attributes(
            soma_hw_name=f"input[{i}]", dendrite_hw_name="core_dendrites",
            model_attributes={"spikes": inputs[:, i].astype(int).tolist()},
        )  # fmt: skip
        sources[i].map_to_core(chip.tiles[1].cores[0])
    for j in range(30):
        threshold = float(network.populations[0].threshold[j] + 1)
        targets[j].set_attributes(model_attributes={"threshold": threshold, "leak": 0.0})
        targets[j].map_to_core(chip.tiles[0].cores[0])
    connect(sources, targets, weights)
    found, run = spikes_of(net, chip, inputs, 30, "neurons")
    np.testing.assert_array_equal(found, expected)
    assert expected.sum() > 50

    profile = load_profile("truenorth")
    with pytest.raises(UnsupportedFeatureError, match="free weights"):
        fit(small_network(), profile)
    operations = int(inputs.sum(axis=0) @ (weights != 0).sum(axis=1))
    assert run["spikes"] == operations
    assert profile.energy_model().event_pj["synaptic_operation"].value == 26
    # All energies in SANA-FE's file are 0.
    assert set(run["energy"].values()) == {0.0}
