"""Networks mapped to chips: quantized, placed and deployed, with consistent figures."""

import dataclasses

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.backend import synaptic_operations
from neuroattack.deployment.deployment import deploy
from neuroattack.errors import (
    DoesNotFitError,
    FileError,
    UnknownNameError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.hardware.quantization.quantization import Rounding, quantize

IMAGES = np.random.default_rng(3).random((4, 28, 28))


def small(**changes):
    """Return a network for images of 28 x 28, with changes to its populations."""
    network = small_network()
    return dataclasses.replace(
        network,
        populations=tuple(dataclasses.replace(p, **changes) for p in network.populations),
    )


def test_a_deployment_with_a_profile_runs_the_network_that_the_chip_holds():
    profile = load_profile("loihi1")
    network = small_network()
    with deploy(network, profile=profile, steps=40) as deployment:
        quantized = quantize(network, profile.number_format()).network
        assert deployment.network.checksum() == quantized.checksum()
        assert deployment.fitted.placement.cores_used == 1
        recording = deployment.record(IMAGES, indices=range(4))
        activity = deployment.fitted.activity(recording.counts, 40)
        np.testing.assert_array_equal(
            activity.synaptic_operations, synaptic_operations(quantized, recording)
        )
        estimated = deployment.fitted.estimate(activity).terms["synaptic_operation"]
        np.testing.assert_array_equal(estimated.energy_pj[0], 23.6 * activity.synaptic_operations)


def test_a_profile_goes_by_name_or_file_too(tmp_path):
    network = small_network()
    expected = deploy(network, profile=load_profile("loihi1")).network.checksum()
    assert deploy(network, profile="loihi1").network.checksum() == expected
    with pytest.raises(UnknownNameError, match="unknown hardware profile 'nope'"):
        deploy(network, profile="nope")
    with pytest.raises(FileError, match=r"no\.toml"):
        deploy(network, profile=tmp_path / "no.toml")
    with pytest.raises(ValidationError, match="profile: got 3"):
        deploy(network, profile=3)


def test_precision_and_rounding_do_not_go_with_just_anything():
    network, profile = small_network(), load_profile("loihi1")
    with pytest.raises(ValidationError, match="precision: got 'fixed', expected none: the prof"):
        deploy(network, profile=profile, precision="fixed")
    with pytest.raises(ValidationError, match="rounding: got no profile"):
        deploy(network, rounding=Rounding())
    with pytest.raises(UnsupportedFeatureError, match="network: got fixed point"):
        fit(quantize(network, profile.number_format()).network, profile)


def test_what_was_lost_and_what_was_not_checked_is_in_the_json():
    profile = load_profile("odin")
    network = small(refractory_steps=0, tau_m_s=float("inf"))
    with pytest.raises(DoesNotFitError, match="ODIN"):
        fit(network, profile, Rounding(allow_lossy=True))
    loihi = fit(small_network(), load_profile("loihi1"), Rounding(seed=4)).as_json()
    assert loihi["profile"] == "loihi1"
    assert len(loihi["profile_checksum"]) == 64
    assert loihi["dropped"] == []
    assert loihi["rounding"]["seed"] == 4
    assert "fan_out_per_neuron" in loihi["unchecked"]
    assert loihi["utilization"]["neurons_per_core"] == [40, 1024]
    speck = fit(small_network(), load_profile("speck"), Rounding(allow_lossy=True)).as_json()
    assert any("leak of hidden" in sentence for sentence in speck["dropped"])


def test_cores_are_not_counted_where_nothing_is_known_of_a_core():
    assert fit(small_network(), load_profile("spinnaker2")).as_json()["cores_used"] is None
    assert fit(small_network(), load_profile("spinnaker1")).as_json()["cores_used"] == 1


@pytest.mark.parametrize("name", ["loihi1", "spinnaker1"])
def test_the_same_seed_rounds_the_same_and_another_seed_not(name):
    profile = load_profile(name)

    def checksum(seed):
        return fit(
            small_network(), profile, Rounding(rounding="stochastic", seed=seed)
        ).network.checksum()

    assert checksum(1) == checksum(1) != checksum(2)
