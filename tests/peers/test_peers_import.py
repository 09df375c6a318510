"""Networks trained in other frameworks have the same spikes after the import via NIR.

Every layer of neurons is compared with the framework's own simulation: in float64, no spike may
differ; in float32, the first that differs in an image must be a matter of rounding. Frameworks that
are missing are skipped; ``.ci/run`` installs them.
"""

import functools
import importlib

import numpy as np
import pytest

import neuroattack as na
from neuroattack.deployment.backend import load_backend
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import FileError
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.nir.importing import import_nir

torch = pytest.importorskip("torch", reason="needs the peers, as .ci/run installs them")
pytest.importorskip("nir", reason="needs the peers, as .ci/run installs them")

from peers.peer import example, trained  # noqa: E402

pytestmark = pytest.mark.slow

# Name of the framework, of a function of tests/peers/*_networks.py, and its arguments.
NETWORKS = {
    "snnTorch, tutorial 5": ("snntorch", "leaky", ()),
    "snnTorch, direct coding": ("snntorch", "leaky", ("direct",)),
    "snnTorch, reset to zero": ("snntorch", "leaky", ("poisson", "zero")),
    "snnTorch, learned beta": ("snntorch", "learned_beta", ()),
    "snnTorch, Synaptic": ("snntorch", "synaptic", ()),
    "snnTorch, Synaptic, reset to zero": ("snntorch", "synaptic", ("zero",)),
    "snnTorch, RLeaky": ("snntorch", "recurrent", ()),
    "snnTorch, RLeaky, one to one": ("snntorch", "recurrent", (False,)),
    "snnTorch, RLeaky, reset to zero": ("snntorch", "recurrent", (True, "zero")),
    "snnTorch, RSynaptic": ("snntorch", "recurrent_synaptic", ()),
    "snnTorch, tutorial 6": ("snntorch", "convolutional", ()),
    "Norse, LIFCell": ("norse", "dense", ()),
    "Norse, LIFCell, shifted": ("norse", "shifted", ()),
    "Norse, LIFBoxCell, subtraction": ("norse", "subtracting", ()),
    "Norse, LIFBoxCell, convolutional": ("norse", "convolutional", ()),
    "Norse, LICell": ("norse", "integrating", ()),
    "Norse, LIBoxCell": ("norse", "integrating", (False,)),
    "SpikingJelly, LIFNode": ("spikingjelly", "lif", ()),
    "SpikingJelly, LIFNode, soft reset": ("spikingjelly", "soft", ()),
    "SpikingJelly, LIFNode, shifted": ("spikingjelly", "shifted", ()),
    "SpikingJelly, ParametricLIFNode": ("spikingjelly", "parametric", ()),
    "SpikingJelly, IFNode, convolutional": ("spikingjelly", "convolutional", ()),
    "SpikingJelly, IFNode, soft reset": ("spikingjelly", "convolutional", (None,)),
    "sinabs, IAF": ("sinabs", "dense", ()),
    "sinabs, IAF, reset to zero": ("sinabs", "resetting", ()),
    "sinabs, LIF": ("sinabs", "leaky", ()),
    "sinabs, IAF, convolutional": ("sinabs", "convolutional", ()),
    "sinabs, ExpLeak": ("sinabs", "integrating", ()),
    "Rockpool, LIFTorch": ("rockpool", "with_currents", ()),
    "Rockpool, LIFNeuronTorch": ("rockpool", "without_currents", ()),
}
INTEGRATING = [name for name, (_, function, _) in NETWORKS.items() if function == "integrating"]

# One of each framework, of which the weights are as trained, and thus rounded by the import.
AS_TRAINED = ["snnTorch, tutorial 5", "Norse, LIFCell", "SpikingJelly, LIFNode", "sinabs, LIF"]

MODULES = {
    "snntorch": na.from_snntorch,
    "norse": na.from_norse,
    "spikingjelly": na.from_spikingjelly,
}
# A network that the framework does not export.
RECURRENT = "Norse, LIFRecurrentCell"

# Largest distance from the threshold at which float32 may decide otherwise.
ROUNDING = 1e-5


@functools.cache
def built(name, rounded=True):
    framework, function, arguments = {**NETWORKS, RECURRENT: ("norse", "recurrent", ())}[name]
    pytest.importorskip(framework, reason="needs the peers, as .ci/run installs them")
    networks = importlib.import_module(f"peers.{framework}_networks")
    return trained(getattr(networks, function), *arguments, rounded=rounded)


def imported(peer, path, **settings):
    peer.write(path)
    known = {"exporter": peer.exporter, "dt_s": 1e-3, **coding(peer), **peer.settings}
    return import_nir(path, **{**known, **settings})


def coding(peer):
    rate = {} if peer.coding == "direct" else {"max_rate_hz": 200.0}
    return {"encoder": peer.coding, **rate}


def simulated(network, peer, inputs):
    """Return the spikes of every population, each of shape (images, steps, neurons)."""
    given = flat(peer, inputs)
    if peer.coding == "direct":
        bits = network.input.encoder.bits
        signal = ConstantInput(np.ldexp(given[:, 0], bits).astype(np.int32), -bits, given.shape[1])
    else:
        signal = SpikeTrains.from_dense(given)
    simulator = load_backend("native").deploy(network)
    spikes = simulator.run(signal, record_spikes=True).spikes
    return [spikes[p.name].to_dense() for p in network.populations if p.spikes]


def by_reference(network, peer, inputs):
    """Return what `simulated` does, by the reference dynamics instead of the native backend."""
    each = [simulate(network, image) for image in flat(peer, inputs)]
    return [np.array([spikes[p.name] for spikes in each]) for p in network.populations if p.spikes]


def flat(peer, inputs):
    inputs = inputs.reshape(*inputs.shape[:2], -1)
    return inputs.astype(np.float64) if peer.coding == "direct" else inputs > 0


def differing(theirs, ours):
    return sum(int((a != b).sum()) for a, b in zip(theirs.spikes, ours, strict=True))


def first_margins(theirs, ours):
    """Return how far from the threshold the first spikes are that differ in each image."""
    found = []
    for image in range(len(ours[0])):
        wrong = [a[image] != b[image] for a, b in zip(theirs.spikes, ours, strict=True)]
        steps = [np.flatnonzero(layer.any(axis=1)) for layer in wrong]
        first = min((int(each[0]) for each in steps if each.size), default=None)
        if first is not None:
            # Later layers, and later steps, differ because of the first.
            layer = next(i for i, each in enumerate(steps) if each.size and each[0] == first)
            found.extend(theirs.margins[layer][image, first][wrong[layer][first]].tolist())
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_a_trained_network_spikes_here_as_where_it_was_trained(name, tmp_path, record_property):
    peer = built(name)
    inputs, labels = example(peer)
    network = (result := imported(peer, tmp_path / "peer.nir")).network
    assert result.losses == ()
    assert result.lag_steps == 0
    ours = by_reference(network, peer, inputs)
    for reference, native in zip(ours, simulated(network, peer, inputs), strict=True):
        np.testing.assert_array_equal(native, reference)
    single = peer.run(inputs)
    assert (single.output.sum(axis=1).argmax(axis=1) == labels).mean() > 0.3
    assert all(spikes.sum() > 300 for spikes in single.spikes)
    assert differing(peer.run(inputs, torch.float64), ours) == 0
    margins = first_margins(single, ours)
    record_property("images that differ in float32", len(margins))
    assert all(abs(margin) < ROUNDING for margin in margins)


@pytest.mark.parametrize("name", [*(n for n in NETWORKS if NETWORKS[n][0] in MODULES), RECURRENT])
def test_modules_are_imported_without_further_settings(name):
    peer = built(name)
    inputs, _ = example(peer)
    readout = {key: value for key, value in peer.settings.items() if key == "readout"}
    network = MODULES[peer.exporter](peer.module(), inputs.shape[2:], **coding(peer), **readout)
    theirs = peer.run(inputs, torch.float64)
    assert all(spikes.sum() > 300 for spikes in theirs.spikes)
    assert differing(theirs, simulated(network, peer, inputs)) == 0


@pytest.mark.parametrize("name", AS_TRAINED)
def test_rounding_of_trained_weights_changes_spikes_at_the_threshold_only(
    name, tmp_path, record_property
):
    peer = built(name, rounded=False)
    inputs, _ = example(peer)
    result = imported(peer, tmp_path / "peer.nir")
    assert 0 < result.largest_relative_rounding < 2**-23
    ours = simulated(result.network, peer, inputs)
    for dtype in (torch.float64, torch.float32):
        margins = first_margins(peer.run(inputs, dtype), ours)
        record_property(f"images that differ in {dtype}", len(margins))
        assert all(abs(margin) < ROUNDING for margin in margins)


@pytest.mark.parametrize("name", INTEGRATING)
def test_potentials_of_a_readout_are_those_of_the_framework(name, tmp_path):
    peer = built(name)
    inputs, _ = example(peer)
    network = imported(peer, tmp_path / "peer.nir").network
    ours = [readout_potentials(network, image) for image in flat(peer, inputs)]
    theirs = peer.run(inputs, torch.float64).output
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "exporters"),
    [
        ("snnTorch, tutorial 5", ["norse", "sinabs", "rockpool"]),
        ("snnTorch, Synaptic", ["norse", "sinabs", "rockpool"]),
        ("Norse, LIFCell", ["snntorch", "spikingjelly", "sinabs", "rockpool"]),
        ("SpikingJelly, LIFNode", ["snntorch", "sinabs", "rockpool"]),
        ("SpikingJelly, IFNode, convolutional", ["snntorch", "norse", "sinabs", "rockpool"]),
        ("sinabs, LIF", ["snntorch", "rockpool"]),
        ("Rockpool, LIFTorch", ["snntorch", "norse", "spikingjelly", "sinabs"]),
    ],
)
def test_a_preset_of_another_framework_is_refused(name, exporters, tmp_path):
    peer = built(name)
    imported(peer, tmp_path / "peer.nir")
    for exporter in exporters:
        with pytest.raises(FileError, match=exporter):
            import_nir(
                tmp_path / "peer.nir",
                exporter=exporter,
                dt_s=1e-3,
                encoder="poisson",
                max_rate_hz=200.0,
            )


@pytest.mark.parametrize("name", ["snnTorch, tutorial 5", "Norse, LIFCell"])
def test_layers_may_wait_a_step_for_each_other(name, tmp_path):
    peer = built(name)
    inputs, _ = example(peer)
    result = imported(peer, tmp_path / "peer.nir", arrival="next-step")
    assert result.lag_steps == 2
    ours = simulated(result.network, peer, inputs)
    assert differing(peer.run(inputs, torch.float64, delayed=True), ours) == 0


def test_the_reset_of_the_framework_matters(tmp_path):
    peer = built("snnTorch, tutorial 5")
    inputs, _ = example(peer)
    theirs = peer.run(inputs)
    for reset in ("value", "subtract"):
        network = imported(peer, tmp_path / "peer.nir", reset=reset).network
        assert differing(theirs, simulated(network, peer, inputs)) > 0
