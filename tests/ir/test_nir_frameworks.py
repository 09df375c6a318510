"""PyTorch modules are imported as their layers define them.

``tests/peers`` compares spikes with the frameworks. Frameworks that are missing are skipped.
"""

from dataclasses import replace

import numpy as np
import pytest

import neuroattack as na
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError, ValidationError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Convolution, Input

REASON = "needs the peers, as .ci/run installs them"
DIRECT = {"encoder": "direct"}


@pytest.fixture
def torch():
    pytest.importorskip("nir", reason=REASON)
    return pytest.importorskip("torch", reason=REASON)


@pytest.fixture
def snn(torch):
    return pytest.importorskip("snntorch", reason=REASON)


@pytest.fixture
def norse(torch):
    return pytest.importorskip("norse.torch", reason=REASON)


@pytest.fixture
def jelly(torch):
    return pytest.importorskip("spikingjelly.activation_based", reason=REASON)


def test_a_missing_framework_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "snntorch", None)
    with pytest.raises(BackendUnavailableError, match="snntorch"):
        na.from_snntorch(None, (2,))


def test_snntorch_with_scalar_parameters(torch, snn):
    module = torch.nn.Sequential(
        *(torch.nn.Linear(6, 5), snn.Leaky(beta=0.9)),
        *(torch.nn.Linear(5, 4), snn.Synaptic(alpha=0.8, beta=0.7, reset_mechanism="zero")),
        *(torch.nn.Linear(4, 3), snn.RLeaky(beta=0.6, linear_features=3)),
    )
    network = na.from_snntorch(module, (6,), **DIRECT)
    first, second, third = network.populations
    assert [p.reset for p in network.populations] == ["subtract_next", "value", "subtract_next"]
    assert [int(p.refractory_steps[0]) for p in network.populations] == [0, 1, 0]
    np.testing.assert_allclose(first.decay(1e-3), np.float32(0.9), rtol=1e-15)
    np.testing.assert_allclose(second.current_decay(1e-3), np.float32(0.8), rtol=1e-15)
    np.testing.assert_allclose(third.decay(1e-3), np.float32(0.6), rtol=1e-15)
    np.testing.assert_allclose(
        network.incoming(first.name)[0].weights_v, module[0].weight.detach().numpy().T, atol=1e-6
    )
    # The module itself has not changed.
    assert module[1].beta.ndim == 0
    assert not module[1].init_hidden


def test_snntorch_modules_that_run_several_steps(torch, snn):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = torch.nn.Conv2d(1, 4, 3), torch.nn.AvgPool2d(2)
            self.first = snn.Leaky(beta=0.9, learn_beta=True)
            self.flat, self.last = torch.nn.Flatten(), torch.nn.Linear(36, 3)
            self.second = snn.Leaky(beta=0.8, learn_threshold=True)

        def forward(self, x):
            first, second = self.first.init_leaky(), self.second.init_leaky()
            spikes = []
            for _ in range(3):
                out, first = self.first(self.pool(self.conv(x)), first)
                out, second = self.second(self.last(self.flat(out)), second)
                spikes.append(out)
            return torch.stack(spikes)

    module = Net()
    # Training leaves states in the layers, which are part of a graph of gradients.
    module(torch.rand(2, 1, 8, 8)).sum().backward()
    network = na.from_snntorch(module, (1, 8, 8), **DIRECT)
    assert [population.size for population in network.populations] == [36, 3]
    assert isinstance(network.projections[0], Convolution)


@pytest.mark.parametrize(
    "changes",
    [
        {"reset_mechanism": "none"},
        {"reset_delay": False},
        {"inhibition": True},
        {"graded_spikes_factor": 2.0},
    ],
)
def test_snntorch_features_without_counterpart_are_named(torch, snn, changes):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), snn.Leaky(beta=0.9, **changes))
    with pytest.raises(UnsupportedFeatureError, match=f"'1' has .*{next(iter(changes))}"):
        na.from_snntorch(module, (2,), **DIRECT)


def test_settings_that_contradict_the_module_are_refused(torch, snn):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), snn.Leaky(beta=0.9))
    with pytest.raises(ValidationError, match="reset: got 'value'"):
        na.from_snntorch(module, (2,), reset="value", **DIRECT)


def test_snntorch_layers_of_other_types_are_named(torch, snn):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), snn.Lapicque(beta=0.9))
    with pytest.raises(UnsupportedFeatureError, match="'1' is of type Lapicque"):
        na.from_snntorch(module, (2,), **DIRECT)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.second(m.last(m.first(m.linear(x)))), None),
        (lambda m, x: m.second(m.last(m.first(m.linear(x.bernoulli())))), None),
        (lambda m, x: m.second(m.linear(m.first(m.linear(x)))), "'linear' 2 times"),
        (lambda m, x: m.second(m.last(m.first(m.linear(2 * x)))), "changes the image"),
        (lambda m, x: m.second(m.last(m.first(m.linear(x)))).sum(1), "outputs of 1 elements"),
    ],
)
def test_what_snntorch_does_not_export_is_refused(torch, snn, forward, message):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
            self.first, self.second = (snn.Leaky(beta=0.9, init_hidden=True) for _ in range(2))

        def forward(self, x):
            return forward(self, x)

    if message is None:
        network = na.from_snntorch(Net(), (4,), **DIRECT)
        assert [(p.source, p.target) for p in network.projections][1:] == [("first", "second")]
        return
    with pytest.raises(UnsupportedFeatureError, match=message):
        na.from_snntorch(Net(), (4,), **DIRECT)


def test_snntorch_decays_outside_of_0_to_1_act_as_the_nearest(torch, snn):
    beta = torch.tensor([-0.2, 0.0, 0.3, 1.0, 1.2])
    module = torch.nn.Sequential(torch.nn.Linear(2, 5), snn.Leaky(beta=beta))
    (population,) = na.from_snntorch(module, (2,), **DIRECT).populations
    expected = np.array([0, 0, np.float32(0.3), 1, 1])
    np.testing.assert_allclose(population.decay(1e-3), expected, rtol=1e-15, atol=1e-300)


def test_layers_that_exporters_do_not_know_are_an_error(torch, snn):
    for layer in (torch.nn.MaxPool2d(2), torch.nn.BatchNorm2d(1), torch.nn.Dropout(0.1)):
        module = torch.nn.Sequential(layer, snn.Leaky(beta=0.9))
        with pytest.raises(UnsupportedFeatureError, match=f"'0' is of type {type(layer).__name__}"):
            na.from_snntorch(module, (1, 4, 4), **DIRECT)
    module = torch.nn.Sequential(torch.nn.Softmax(0), snn.Leaky(beta=0.9))
    with pytest.raises(UnsupportedFeatureError, match="exporter of snntorch failed"):
        na.from_snntorch(module, (4,), **DIRECT)
    with pytest.raises(UnsupportedFeatureError, match=r"fails for an image of shape \(3,\)"):
        na.from_snntorch(
            torch.nn.Sequential(torch.nn.Linear(2, 3), snn.Leaky(beta=0.9)), (3,), **DIRECT
        )


@pytest.mark.parametrize("changes", [{"ceil_mode": True}, {"padding": 1}, {"divisor_override": 3}])
def test_pooling_that_is_not_exported_is_named(torch, snn, changes):
    module = torch.nn.Sequential(torch.nn.AvgPool2d(2, **changes), snn.Leaky(beta=0.9))
    with pytest.raises(UnsupportedFeatureError, match=f"'0' has {next(iter(changes))}"):
        na.from_snntorch(module, (1, 4, 4), **DIRECT)


def test_norse_with_scalar_parameters(torch, norse):
    p = norse.LIFParameters(v_leak=torch.tensor(0.1), v_reset=torch.tensor(-0.2))
    module = norse.SequentialState(
        *(torch.nn.Conv2d(1, 4, 3), norse.LIFBoxCell(), torch.nn.AvgPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(36, 5), norse.LIFCell(p)),
        *(norse.LIFRecurrentCell(5, 5), torch.nn.Linear(5, 3), norse.LICell()),
    )
    network = na.from_norse(module, (1, 8, 8), **DIRECT, readout="final_potential")
    box, cell, recurrent, readout = network.populations
    np.testing.assert_allclose(box.decay(1e-3), 1 - 0.1, rtol=1e-12)
    np.testing.assert_allclose(cell.current_decay(1e-3), 1 - 0.2, rtol=1e-12)
    # Potentials are relative to v_leak.
    np.testing.assert_allclose(cell.threshold_v, 1 - 0.1, rtol=1e-6)
    np.testing.assert_allclose(cell.reset_v, -0.2 - 0.1, rtol=1e-6)
    (loop,) = (q for q in network.projections if q.source == q.target == recurrent.name)
    weights = module[6].recurrent_weights.detach().numpy().T * (1 - np.eye(5))
    np.testing.assert_allclose(loop.weights_v, weights * 0.1, rtol=1e-3, atol=1e-6)
    assert not readout.spikes
    assert network.readout_quantity == "final_potential"


def test_norse_cells_of_different_time_steps_are_refused(torch, norse):
    module = norse.SequentialState(
        *(torch.nn.Linear(2, 3), norse.LIFBoxCell(dt=1e-3)),
        *(torch.nn.Linear(3, 3), norse.LIFBoxCell(dt=1e-2)),
    )
    with pytest.raises(UnsupportedFeatureError, match=r"0\.001, 0\.01"):
        na.from_norse(module, (2,), **DIRECT)


def test_the_time_step_of_norse_is_that_of_the_cells(torch, norse):
    module = norse.SequentialState(torch.nn.Linear(2, 3), norse.LIFBoxCell())
    assert na.from_norse(module, (2,), dt_s=1e-3, **DIRECT).dt_s == 1e-3
    with pytest.raises(ValidationError, match=r"dt_s: got 0\.01"):
        na.from_norse(module, (2,), dt_s=1e-2, **DIRECT)


@pytest.mark.parametrize(("v_reset", "reset"), [(None, "subtract"), (0.0, "value")])
def test_spikingjelly_with_hard_and_soft_resets(torch, jelly, v_reset, reset):
    from spikingjelly.activation_based import layer, neuron

    module = torch.nn.Sequential(
        *(layer.Conv2d(1, 4, 3), neuron.IFNode(v_reset=v_reset), layer.AvgPool2d(2)),
        *(layer.Flatten(), layer.Linear(36, 3), neuron.LIFNode(tau=2.0, v_reset=v_reset)),
    )
    network = na.from_spikingjelly(module, (1, 8, 8), **DIRECT)
    assert [p.reset for p in network.populations] == [reset, reset]
    assert {p.comparison for p in network.populations} == {"inclusive"}
    assert np.isinf(network.populations[0].tau_m_s).all()
    np.testing.assert_allclose(network.populations[1].decay(1e-3), 0.5, rtol=1e-12)
    assert module[1].v_reset == v_reset


def spikes_of(network, rasters):
    """Return the output spikes of the imported network, of shape (steps, images, classes)."""
    outputs = [simulate(network, raster)[network.readout] for raster in rasters]
    return np.stack(outputs, axis=1)


def check_spikes(torch, network, step, inputs):
    """Compare with a module in double precision; `step` returns the output spikes of one step."""
    rasters = np.random.default_rng(0).random((30, 50, inputs)) < 0.4
    steps = torch.tensor(rasters, dtype=torch.float64).unbind(1)
    with torch.no_grad():
        expected = np.array([step(x).numpy() > 0 for x in steps])
    assert expected.sum() > 200
    np.testing.assert_array_equal(spikes_of(network, rasters), expected)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_modules_of_snntorch_spike_as_imported(torch, snn, reset):
    torch.manual_seed(1)
    settings = {"beta": 0.9, "init_hidden": True, "reset_mechanism": reset}
    module = torch.nn.Sequential(
        *(torch.nn.Linear(6, 20), snn.Synaptic(alpha=0.7, **settings)),
        *(torch.nn.Linear(20, 5), snn.Leaky(**settings)),
    )
    network = na.from_snntorch(module, (6,), **DIRECT)
    network = replace(network, input=Input((6,), PoissonEncoder(1.0)))
    module.double()

    def step(x):
        for layer in module:
            # Spikes are in single precision.
            x = layer(x).double()
        return x

    check_spikes(torch, network, step, 6)


def test_modules_of_norse_spike_as_imported(torch, norse):
    torch.manual_seed(1)
    p = norse.LIFParameters(v_th=torch.tensor(0.1), v_reset=torch.tensor(-0.1))
    module = norse.SequentialState(
        *(torch.nn.Linear(6, 20), norse.LIFCell(p), torch.nn.Linear(20, 5), norse.LIFCell(p))
    )
    network = na.from_norse(module, (6,), **DIRECT)
    network = replace(network, input=Input((6,), PoissonEncoder(1.0)))
    module.double()
    for layer in (module[1], module[3]):
        values = layer.p._asdict().items()
        layer.p = layer.p._replace(**{k: v.double() for k, v in values if torch.is_tensor(v)})
    state = [None]

    def step(x):
        spikes, state[0] = module(x, state[0])
        return spikes

    check_spikes(torch, network, step, 6)


@pytest.mark.parametrize("v_reset", [None, -0.2])
def test_modules_of_spikingjelly_spike_as_imported(torch, jelly, v_reset):
    from spikingjelly.activation_based import functional, layer, neuron

    torch.manual_seed(1)
    settings = {"v_threshold": 0.3, "v_reset": v_reset}
    module = torch.nn.Sequential(
        *(layer.Linear(6, 20), neuron.IFNode(**settings)),
        *(layer.Linear(20, 5), neuron.LIFNode(tau=2.0, **settings)),
    )
    with torch.no_grad():
        for linear in (module[0], module[2]):
            linear.weight.mul_(3)
    network = na.from_spikingjelly(module, (6,), **DIRECT)
    network = replace(network, input=Input((6,), PoissonEncoder(1.0)))
    module.double()
    functional.reset_net(module)
    check_spikes(torch, network, module, 6)


def test_neurons_of_spikingjelly_are_called_once(torch, jelly):
    from spikingjelly.activation_based import layer, neuron

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = layer.Linear(4, 4)
            self.first, self.second = neuron.IFNode(), neuron.IFNode()

        def forward(self, x):
            return self.second(self.linear(self.first(self.linear(self.first(self.linear(x))))))

    with pytest.raises(UnsupportedFeatureError, match="'first' is called 2 times"):
        na.from_spikingjelly(Net(), (4,), **DIRECT)
