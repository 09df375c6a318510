"""Comparison of all registered backends, including third-party ones, with the reference dynamics.

``pytest --pyargs neuroattack.conformance`` runs it with any installation of neuroattack; add
``-k NAME`` for a single backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.conformance.scenario_networks import direct, one_neuron
from neuroattack.conformance.scenarios import SCENARIOS, Scenario, check_batch
from neuroattack.deployment.backend import Backend, Simulator, list_backends, load_backend
from neuroattack.deployment.features import BASIC, features_of
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.network import Network

# Backends that generate code for every network; their tests are marked slow.
SLOW = {"brian2", "brian2-standalone"}


def _backends() -> Iterator[object]:
    for found in list_backends():
        marks = [pytest.mark.slow] if found.name in SLOW else []
        if not found.available:
            marks.append(pytest.mark.skip(reason=f"{found.name}: {found.reason}"))
        yield pytest.param(found.name, marks=marks, id=found.name)


@pytest.fixture(scope="module", params=_backends())
def backend(request: pytest.FixtureRequest) -> Backend:
    return load_backend(request.param)


@pytest.fixture(scope="module")
def deployed(backend: Backend) -> Iterator[dict[str, Simulator]]:
    """Return simulators by the checksum of their network, each shared by all scenarios."""
    simulators: dict[str, Simulator] = {}
    yield simulators
    for simulator in simulators.values():
        simulator.close()


def _supported(backend: Backend) -> frozenset[str]:
    supported: frozenset[str] = getattr(backend, "supported", BASIC)
    return supported


def _deploy(backend: Backend, network: Network) -> Simulator:
    """Deploy a network; skip the test if the backend, as it declares, refuses it."""
    missing = set(features_of(network)) - _supported(backend)
    if not missing:
        return backend.deploy(network)
    with pytest.raises(UnsupportedFeatureError):
        backend.deploy(network)
    pytest.skip(f"{backend.name} refuses the network: {', '.join(sorted(missing))}")


def test_not_every_network_is_refused(backend: Backend) -> None:
    for scenario in SCENARIOS:
        try:
            backend.deploy(scenario.network()).close()
        except UnsupportedFeatureError:
            continue
        return
    pytest.fail(f"{backend.name} does not support any network of the scenarios")


@pytest.mark.parametrize(("images", "size"), [(0, 1), (1, 2)], ids=["no image", "another size"])
def test_inputs_that_do_not_fit_are_refused(
    backend: Backend, deployed: dict[str, Simulator], images: int, size: int
) -> None:
    network = one_neuron()
    key = network.checksum()
    if key not in deployed:
        deployed[key] = _deploy(backend, network)
    trains = SpikeTrains(size, np.zeros((images, 6), np.int64), np.empty(0, np.int32))
    constant = ConstantInput(np.zeros((1, 1), np.int32), -10, 6)
    for wrong in (trains, constant):
        with pytest.raises(ValidationError, match=r"^input: "):
            deployed[key].run(wrong)


def test_another_input_than_that_of_direct_coding_is_refused(
    backend: Backend, deployed: dict[str, Simulator]
) -> None:
    network = direct()
    key = network.checksum()
    if key not in deployed:
        deployed[key] = _deploy(backend, network)
    size = network.input.size
    for wrong in (
        SpikeTrains.from_dense(np.zeros((1, 5, size), bool)),
        ConstantInput(np.zeros((1, size), np.int32), -11, 5),
        ConstantInput(np.full((1, size), 2**10 + 1, np.int32), -10, 5),
        ConstantInput(np.full((1, size), -1, np.int32), -10, 5),
    ):
        with pytest.raises(ValidationError, match=r"^input: "):
            deployed[key].run(wrong)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(backend: Backend, deployed: dict[str, Simulator], scenario: Scenario) -> None:
    network = scenario.network()
    key = network.checksum()
    if key not in deployed:
        deployed[key] = _deploy(backend, network)
    scenario.check(deployed[key])


# Number of examples, limited by the time to deploy a network.
EXAMPLES = {"native": 60, "brian2": 8}
FEW_EXAMPLES = 3


@pytest.mark.parametrize("kind", [networks, fixed_networks], ids=["floating", "fixed"])
def test_networks_made_by_hypothesis(backend: Backend, kind: type) -> None:
    if kind is fixed_networks and "fixed_point" not in _supported(backend):
        pytest.skip(f"{backend.name} does not support fixed point")

    @settings(
        max_examples=EXAMPLES.get(backend.name, FEW_EXAMPLES),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        network = data.draw(kind(max_size=20, features=_supported(backend)))
        batch = data.draw(inputs(network))
        with closing(_deploy(backend, network)) as simulator:
            check_batch(simulator, network, batch)

    check()
