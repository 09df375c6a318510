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
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Convolution, Population, Projection

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


def convolutional(**changes):
    """Return a network for 28 x 28 pixels with a convolution, currents and a loop."""
    rng = np.random.default_rng(5)
    fields = {"tau_m_s": 0.02, "tau_syn_s": 0.005, "threshold_v": 0.4} | changes
    kernel = rng.normal(0.05, 0.1, (4, 1, 5, 5))
    projections = (
        Convolution.from_weights(INPUT, "maps", kernel, (1, 28, 28), stride=(2, 2)),
        Projection.from_weights("maps", "output", rng.normal(0.01, 0.05, (576, 10))),
        Projection.from_weights("output", "output", -0.1 * (1 - np.eye(10))),
    )
    return dataclasses.replace(
        small_network(),
        populations=(Population("maps", 576, **fields), Population("output", 10, **fields)),
        projections=projections,
        readout="output",
    )


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "akida", "spinnaker2"])
def test_a_convolutional_network_with_currents_runs_on_chips_as_kernels(chip):
    network = convolutional()
    with deploy(network, profile=chip, steps=30) as deployment:
        on_chip = deployment.network
        recording = deployment.record(IMAGES, indices=range(4), record_spikes=True)
    assert isinstance(on_chip.projections[0], Convolution)
    assert deployment.fitted.quantized.dropped == ()
    assert recording.counts["output"].sum() > 20
    for i in range(4):
        spikes = {
            name: trains[i : i + 1].to_dense()[0] for name, trains in recording.spikes.items()
        }
        for name, expected in simulate(on_chip, spikes[INPUT]).items():
            np.testing.assert_array_equal(spikes[name], expected)
    figures = deployment.fitted.as_json()
    connections = np.count_nonzero(on_chip.projections[0].dense().mantissas)
    assert figures["unrolled_connections"] == connections
    activity = deployment.fitted.activity(recording.counts, 30, recording.spikes)
    np.testing.assert_array_equal(
        activity.synaptic_operations, synaptic_operations(on_chip, recording)
    )


def test_only_convolutions_are_unrolled():
    assert "unrolled_connections" not in fit(small_network(), load_profile("loihi1")).as_json()


def test_shipped_chips_refuse_or_convert_resets_by_subtraction():
    for chip in ("loihi1", "loihi2", "speck", "akida", "brainscales2"):
        network = convolutional(reset="subtract", tau_syn_s=0.0, tau_m_s=np.inf)
        with pytest.raises(UnsupportedFeatureError, match="reset of maps by subtraction"):
            fit(network, load_profile(chip))
    # Xylo subtracts, but is too small.
    with pytest.raises(DoesNotFitError):
        fit(convolutional(reset="subtract"), load_profile("xylo"))
    lossy = fit(convolutional(reset="subtract"), load_profile("loihi1"), Rounding(allow_lossy=True))
    assert [each.split(":")[0] for each in lossy.as_json()["dropped"]] == [
        "reset of maps by subtraction",
        "reset of output by subtraction",
    ]


@pytest.mark.parametrize("name", ["loihi1", "spinnaker1"])
def test_the_same_seed_rounds_the_same_and_another_seed_not(name):
    profile = load_profile(name)

    def checksum(seed):
        return fit(
            small_network(), profile, Rounding(rounding="stochastic", seed=seed)
        ).network.checksum()

    assert checksum(1) == checksum(1) != checksum(2)
