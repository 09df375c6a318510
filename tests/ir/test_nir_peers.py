"""Networks trained in snnTorch and Norse have the same spikes after the import via NIR.

These tests are skipped if the frameworks, which ``.ci/run`` installs, are missing.
"""

import functools

import numpy as np
import pytest

from neuroattack.datasets import load_dataset
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.nir.importing import import_nir

torch = pytest.importorskip("torch", reason="needs the peers, as .ci/run installs them")
nir = pytest.importorskip("nir", reason="needs the peers, as .ci/run installs them")
snn = pytest.importorskip("snntorch", reason="needs the peers, as .ci/run installs them")
norse = pytest.importorskip("norse.torch", reason="needs the peers, as .ci/run installs them")

pytestmark = pytest.mark.slow

HIDDEN, STEPS = 40, 60


class Peer:
    """Two layers of linear weights and neurons; the neurons have the indices 1 and 3."""

    def layered(self, bias, make):
        linear = torch.nn.Linear
        return [
            *(linear(784, HIDDEN, bias=bias), make(HIDDEN)),
            *(linear(HIDDEN, 10, bias=bias), make(10)),
        ]

    def neurons(self, place, current, state):
        spikes, state[place] = self.layers[place](current, state[place])
        return spikes


class SnnTorch(Peer):
    """Two layers of snnTorch's Leaky; its exporter writes times in units of 10 steps of 1 ms."""

    # The exporter assumes a step of 1e-4; here it is 1 ms.
    time_unit_s = 10.0
    epochs = 2

    def __init__(self, bias=False, reset="zero"):
        self.layers = self.layered(bias, lambda size: self._leaky(size, reset))
        self.parameters = torch.nn.Sequential(*self.layers).parameters

    def _leaky(self, size, reset):
        beta, threshold = torch.full((size,), 0.9), torch.ones(size)
        return snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset)

    def start(self):
        return [None, torch.zeros(1), None, torch.zeros(1)]

    def write(self, path):
        from snntorch.export_nir import export_to_nir

        for layer in (self.layers[1], self.layers[3]):
            layer.init_hidden = True
        self.layers[3].output = True
        model = torch.nn.Sequential(*self.layers)
        nir.write(path, export_to_nir(model, torch.zeros(1, 784), ignore_dims=[0]))


class Norse(Peer):
    """Two layers of Norse's LIFBoxCell; its exporter writes dt where 1 belongs: dt / tau_inv."""

    time_unit_s = 1e3
    epochs = 5

    def __init__(self, bias=False):
        self.layers = self.layered(bias, self._cell)
        self.model = norse.SequentialState(*self.layers)
        self.parameters = self.model.parameters

    def _cell(self, size):
        values = {"tau_mem_inv": 100.0, "v_th": 0.1, "v_leak": 0.0, "v_reset": 0.0}
        tensors = {name: torch.full((size,), value) for name, value in values.items()}
        return norse.LIFBoxCell(p=norse.LIFBoxParameters(**tensors, alpha=torch.tensor(20.0)))

    def start(self):
        return [None] * 4

    def write(self, path):
        from norse.torch.utils.export_nir import to_nir

        for parameter in self.parameters():
            parameter.requires_grad_(False)
        nir.write(path, to_nir(self.model, torch.zeros(1, 784)))


def run(peer, rasters, delayed=False):
    """Run the layers step by step; if `delayed`, each receives the spikes of the last step."""
    state, fired = peer.start(), []
    images = rasters.shape[0]
    waiting = [torch.zeros(images, 784), torch.zeros(images, HIDDEN)]
    for k in range(rasters.shape[1]):
        if delayed:
            hidden = peer.neurons(1, peer.layers[0](waiting[0]), state)
            out = peer.neurons(3, peer.layers[2](waiting[1]), state)
            waiting = [rasters[:, k], hidden]
        else:
            hidden = peer.neurons(1, peer.layers[0](rasters[:, k]), state)
            out = peer.neurons(3, peer.layers[2](hidden), state)
        fired.append(out)
    return torch.stack(fired, 1)


def drawn(rng, images, steps):
    return rng.random((len(images), steps, 784)) < images.reshape(len(images), 1, 784) * 0.2


def trained(kind, bias=False, **settings):
    """Return a peer with weights that were trained on the counts."""
    peer = kind(bias=bias, **settings)
    for place, state in _weights(kind, bias).items():
        peer.layers[place].load_state_dict(state)
    return peer


@functools.cache
def _weights(kind, bias):
    """Train briefly, until classes can be distinguished."""
    torch.manual_seed(0)
    peer = kind(bias=bias)
    digits, rng = load_dataset("digits").train, np.random.default_rng(0)
    optimizer = torch.optim.Adam(peer.parameters(), 3e-3)
    for _ in range(peer.epochs):
        for batch in np.array_split(rng.permutation(len(digits.labels)), 20):
            rasters = torch.tensor(drawn(rng, digits.images[batch], 20), dtype=torch.float32)
            counts = run(peer, rasters).sum(1)
            loss = torch.nn.functional.cross_entropy(
                counts, torch.tensor(digits.labels[batch]).long()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return {place: peer.layers[place].state_dict() for place in (0, 2)}


def compared(peer, path, arrival="same-step", allow_lossy=False):
    """Return the readout spikes of the peer and of the imported network, and the import."""
    digits = load_dataset("digits").test
    rasters = drawn(np.random.default_rng(1), digits.images[:60], STEPS)
    delayed = arrival == "next-step"
    with torch.no_grad():
        theirs = run(peer, torch.tensor(rasters, dtype=torch.float32), delayed).numpy() > 0
    peer.write(path)
    imported = import_nir(
        path,
        dt_s=1e-3,
        integration="euler",
        arrival=arrival,
        refractory_steps=0,
        encoder="poisson",
        max_rate_hz=200.0,
        allow_lossy=allow_lossy,
        time_unit_s=peer.time_unit_s,
    )
    lag = 0 if delayed else imported.lag_steps
    silence = np.zeros((lag, 784), bool)
    ours = [
        simulate(imported.network, np.concatenate([raster, silence]))[imported.network.readout]
        for raster in rasters
    ]
    right = (theirs.sum(axis=1).argmax(axis=1) == digits.labels[:60]).mean()
    return theirs, np.array(ours)[:, lag:], right, imported


@pytest.mark.parametrize("kind", [SnnTorch, Norse])
def test_a_trained_network_spikes_here_as_where_it_was_trained(tmp_path, kind):
    theirs, ours, right, imported = compared(trained(kind), tmp_path / "peer.nir")
    assert right > 0.5
    assert theirs.sum() > 300
    assert imported.losses == ()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [SnnTorch, Norse])
def test_with_biases_it_does_if_layers_wait_a_step_for_each_other(tmp_path, kind):
    peer = trained(kind, bias=True)
    theirs, ours, right, imported = compared(peer, tmp_path / "peer.nir", "next-step")
    assert right > 0.5
    assert imported.losses == ()
    np.testing.assert_array_equal(ours, theirs)


def test_biases_that_act_early_are_all_that_differs_in_the_same_step(tmp_path):
    peer = trained(SnnTorch, bias=True)
    # Layers with biases only, until the first input arrives one step later per layer.
    digits = load_dataset("digits").test
    rasters = drawn(np.random.default_rng(1), digits.images[:60], STEPS)
    longer = np.concatenate([rasters, np.zeros((60, 2, 784))], axis=1)
    with torch.no_grad():
        early = run(peer, torch.tensor(longer, dtype=torch.float32), delayed=True).numpy() > 0
    theirs, ours, _, imported = compared(peer, tmp_path / "peer.nir", allow_lossy=True)
    assert len(imported.losses) == 2
    assert (ours != theirs).any()
    np.testing.assert_array_equal(ours, early[:, 2:])


def test_a_reset_by_subtraction_is_lost_by_their_exporter(tmp_path):
    theirs, ours, _, imported = compared(trained(SnnTorch, reset="subtract"), tmp_path / "peer.nir")
    # The file has v_reset = 0, as for a reset to zero: it does not distinguish them.
    assert imported.network.populations[0].reset_v == 0
    assert (ours.sum(axis=1) != theirs.sum(axis=1)).any()
    assert ours.sum() < theirs.sum()
