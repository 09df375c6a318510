"""The PyTorch backend: random networks, devices, slices of images, and the precision of tensors."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.networks import small_network

import neuroattack as na
from neuroattack.backends.torch import backend as module
from neuroattack.backends.torch.backend import TorchBackend
from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.conformance.scenario_networks import direct
from neuroattack.conformance.scenarios import SCENARIOS, check_batch
from neuroattack.deployment import backend as registry
from neuroattack.deployment.backend import load_backend
from neuroattack.deployment.features import FEATURES
from neuroattack.deployment.provenance import provenance_of
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import BackendUnavailableError, ValidationError
from neuroattack.ir import torch_synapses

installed = pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra `torch`")

IMAGES = np.random.default_rng(0).random((7, 784))


def recorded(network, **settings):
    with na.deploy(network, steps=30, **settings) as deployment:
        return deployment.record(IMAGES, indices=np.arange(7), record_spikes=True)


def check_equal(found, expected):
    assert list(found.counts) == list(expected.counts)
    for name, counts in expected.counts.items():
        np.testing.assert_array_equal(found.counts[name], counts)
        assert found.counts[name].dtype == np.int32
    for name, trains in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name].to_dense(), trains.to_dense())


def unusual(population, rng):
    """Change neurons to thresholds below rest, no memory, long pauses, or no spikes at all."""
    changes = {}
    if rng.random() < 0.5:
        changes["tau_m_s"] = np.where(rng.random(population.size) < 0.3, 1e-6, population.tau_m_s)
    if population.reset == "value" and rng.random() < 0.5:
        below = 2 * (rng.random(population.size) < 0.3)
        changes["threshold_v"] = population.threshold_v - below
        changes["reset_v"] = population.reset_v - below
    if population.reset != "subtract_next" and rng.random() < 0.5:
        changes["refractory_steps"] = rng.choice([0, 1, 3, 60], population.size)
    if rng.random() < 0.3:
        threshold = changes.get("threshold_v", population.threshold_v)
        changes["threshold_v"] = np.where(rng.random(population.size) < 0.3, np.inf, threshold)
    return replace(population, **changes)


@installed
@pytest.mark.parametrize("by_events", [True, False], ids=["events", "dense"])
@pytest.mark.parametrize("kind", [networks, fixed_networks], ids=["floating", "fixed"])
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_random_networks_are_exact(kind, by_events, data):
    network = data.draw(kind(max_size=20, features=frozenset(FEATURES)))
    if kind is networks:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="unusual"))
        populations = tuple(unusual(each, rng) for each in network.populations)
        network = replace(network, populations=populations)
    simulator = TorchBackend().deploy(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator._dynamics, "_by_events", by_events)
        patch.setattr(simulator, "_images_per_slice", lambda steps: data.draw(st.integers(1, 4)))
        patch.setattr(torch_synapses, "_SUMS_PER_CALL", data.draw(st.integers(1, 400)))
        check_batch(simulator, network, data.draw(inputs(network)))


@installed
@pytest.mark.parametrize("images", [1, 3, 100], ids=["one by one", "slices", "all"])
@pytest.mark.parametrize(("limit", "per_image"), [("_STEP_BYTES", 8 * 784), ("_SPIKE_BYTES", 3200)])
def test_results_do_not_depend_on_slices(monkeypatch, limit, per_image, images):
    monkeypatch.setattr(module, limit, per_image * images)
    network = small_network()
    check_equal(recorded(network, backend="torch"), recorded(network))


@installed
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_matrix_products_as_on_cuda_are_exact(monkeypatch, scenario):
    simulator = TorchBackend().deploy(scenario.network())
    monkeypatch.setattr(simulator._dynamics, "_by_events", False)
    scenario.check(simulator)


@installed
def test_every_floating_point_tensor_has_double_precision(monkeypatch):
    from torch.utils._python_dispatch import TorchDispatchMode

    found = set()

    class Types(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for each in result if isinstance(result, (tuple, list)) else [result]:
                if getattr(each, "is_floating_point", bool)():
                    found.add(str(each.dtype))
            return result

    with Types():
        recorded(small_network(), backend="torch")
    assert found == {"torch.float64"}


@installed
def test_unused_entries_of_spike_trains_are_skipped():
    network = small_network()
    inputs = network.input.encoder.encode(
        IMAGES, indices=np.arange(7), steps=30, dt_s=network.dt_s, seed=0
    )
    picked = inputs[np.array([5, 1, 4])]
    expected = load_backend("native").deploy(network).run(picked, record_spikes=True)
    check_equal(TorchBackend().deploy(network).run(picked, record_spikes=True), expected)


@installed
@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("gpu", ValidationError, "device of backend 'torch': got 'gpu', expected cpu, cuda, or"),
        ("cuda:x", ValidationError, "got 'cuda:x'"),
        ("cuda:99", BackendUnavailableError, "device of backend 'torch': got 'cuda:99', expected"),
    ],
)
def test_devices_that_are_not_there_are_refused(device, error, message):
    with pytest.raises(error, match=message):
        na.deploy(small_network(), backend="torch", device=device)
    with pytest.raises(error, match=message):
        DeploymentSpec.from_text(f"torch,device={device}")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_backends_without_devices_refuse_one(device):
    message = f"device of backend 'native': got '{device}', expected none"
    with pytest.raises(ValidationError, match=message):
        na.deploy(small_network(), device=device)
    with pytest.raises(ValidationError, match=message):
        DeploymentSpec("native", device=device)
    with pytest.raises(ValidationError, match="device of deployment 'dnn'"):
        DeploymentSpec("dnn", device=device)


@installed
def test_device_is_recorded_with_results():
    spec = DeploymentSpec.from_text("torch,device=cpu,steps=5")
    assert str(spec) == "torch,steps=5,device=cpu"
    with spec.deploy(small_network()) as deployment:
        assert provenance_of(deployment, "noise", "", "").device == "cpu"
    with na.deploy(small_network(), steps=5) as deployment:
        assert provenance_of(deployment, "noise", "", "").device == ""


@installed
def test_constant_input_is_summed_once(monkeypatch):
    network = direct()
    inputs = network.input.encoder.encode(
        np.full((2, network.input.size), 0.5), indices=[0, 1], steps=9, dt_s=network.dt_s, seed=0
    )
    expected = load_backend("native").deploy(network).run(inputs, record_spikes=True)
    check_equal(TorchBackend().deploy(network).run(inputs, record_spikes=True), expected)


@installed
@pytest.mark.parametrize("device", ["cuda"])
def test_other_devices_give_the_same_spikes(device):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    network = small_network()
    check_equal(recorded(network, backend="torch", device=device), recorded(network))


def test_backend_is_listed_with_the_reason_if_pytorch_is_missing(monkeypatch):
    def missing(name):
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    (found,) = [each for each in registry.list_backends() if each.name == "torch"]
    assert not found.available
    assert "neuroattack[torch]" in found.reason
