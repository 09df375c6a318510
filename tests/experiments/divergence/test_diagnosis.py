"""Diagnosis of deployments and of files with recorded spikes."""

import dataclasses
import json

import numpy as np
import pytest
from support.faulty_engine import Engine, random_network, simulate_batch

import neuroattack as na
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.deployment.spike_files import RecordedSpikes, save_spikes
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.experiments.divergence.diagnosis import diagnose
from neuroattack.experiments.divergence.network_parts import Replacement
from neuroattack.experiments.divergence.sides import record, side_from_text
from neuroattack.ir.network import INPUT, Input

STEPS = 60


@pytest.fixture
def network():
    return random_network(np.random.default_rng(8))


@pytest.fixture
def images(network):
    return np.random.default_rng(9).random((6, *network.input.shape)).astype(np.float32)


def side(text):
    return side_from_text(text, steps=STEPS, seed=3)


def diagnosed(network, images, one, other):
    return diagnose(*record(network, images, (one, other), steps=STEPS, seed=3))


def spike_file(path, spikes, potentials=None):
    images, steps, _ = spikes[INPUT].shape
    trains = {name: SpikeTrains.from_dense(each) for name, each in spikes.items()}
    save_spikes(path, RecordedSpikes(images, steps, trains, potentials or {}))
    return path


def test_equal_deployments_agree(network, images):
    found = diagnosed(network, images, side("native"), side("brian2"))
    assert found.agree
    assert found.causes == ()
    assert set(found.differing_spikes.values()) == {0}
    assert found.class_agreement == 1
    assert found.as_json()["first_difference"] is None


def test_a_file_is_compared_on_its_own_input(network, images, tmp_path):
    """The deployment is run on the input of the file, not on encoded images."""
    inputs = np.random.default_rng(1).random((4, STEPS, network.input.size)) < 0.15
    sound = spike_file(tmp_path / "a.npz", simulate_batch(network, Engine(), inputs))
    assert diagnosed(network, images, side("native"), sound).agree
    faulty = simulate_batch(network, Engine(refractory=1), inputs)
    found = diagnosed(network, images, side("native"), spike_file(tmp_path / "b.npz", faulty))
    assert found.causes == ("refractory_period",)
    assert not any(found.sides[0].mismatches.values())
    assert sum(found.sides[1].mismatches.values()) > 0
    # The explanation holds for all neurons and images.
    (explanation,) = found.sides[1].explanations
    assert explanation.mismatches == sum(found.sides[1].mismatches.values())
    assert explanation.unexplained == 0


def test_the_first_difference_and_its_course(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((4, STEPS, network.input.size)) < 0.15
    sound = simulate_batch(network, Engine(), inputs)
    faulty = simulate_batch(network, Engine(delay=1), inputs)
    paths = spike_file(tmp_path / "a.npz", sound), spike_file(tmp_path / "b.npz", faulty)
    found = diagnosed(network, images, *paths)
    name, image, step, neuron = found.first
    differing = {n: sound[n] != faulty[n] for n in sound}
    assert step == min(int(np.nonzero(each)[1].min()) for each in differing.values() if each.any())
    assert found.only_in == (0 if sound[name][image, step, neuron] else 1)
    assert found.differing_spikes == {n: int(each.sum()) for n, each in differing.items()}
    for one, spikes in zip(found.sides, (sound, faulty), strict=True):
        course = one.course
        assert course.source == "replayed"
        assert course.spikes.tolist() == spikes[name][image, course.steps, neuron].tolist()
        # The potential is on the side of the threshold that its spike says.
        assert (course.distance(step) > 0) == spikes[name][image, step, neuron]
    located = found.as_json()["first_difference"]
    assert located["distances_to_threshold"] == [s.course.distance(step) for s in found.sides]


def test_recorded_potentials_are_shown(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((2, STEPS, network.input.size)) < 0.15
    sound = simulate_batch(network, Engine(), inputs)
    faulty = simulate_batch(network, Engine(reset="none"), inputs)
    recorded = {p.name: np.full((2, STEPS, p.size), 7.0) for p in network.populations}
    one = spike_file(tmp_path / "a.npz", sound)
    found = diagnosed(network, images, one, spike_file(tmp_path / "b.npz", faulty, recorded))
    assert [each.course.source for each in found.sides] == ["replayed", "recorded"]
    assert set(found.sides[1].course.potentials) == {7.0}


def test_different_inputs_are_reported(network, images):
    found = diagnosed(network, images, side("native"), side("native,encoder=regular"))
    assert found.causes == ("input",)
    assert found.first[0] == INPUT


def test_faults_of_both_sides_are_causes(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((4, STEPS, network.input.size)) < 0.15
    paths = [
        spike_file(tmp_path / f"{name}.npz", simulate_batch(network, engine, inputs))
        for name, engine in (("a", Engine(refractory=1)), ("b", Engine(delay=1)))
    ]
    found = diagnosed(network, images, *paths)
    assert found.causes == ("refractory_period", "delay")


def with_plain_resets(network):
    """Return the network with resets to 0, as in fixed point."""
    return dataclasses.replace(
        network,
        populations=tuple(
            dataclasses.replace(p, reset="value", reset_v=0.0) for p in network.populations
        ),
    )


def test_parts_are_causes_of_differences_in_the_first_population(network, images):
    network = with_plain_resets(network)
    found = diagnosed(network, images, side("native"), side("native,precision=fixed"))
    name = found.first[0]
    others = [p.name for p in network.populations if p.name != name]
    parts = tuple(
        Replacement(part, dict.fromkeys(others, many) | {name: few})
        for part, few, many in (("weights", 0, 1000), ("time constants", 7, 0))
    )
    assert dataclasses.replace(found, replacements=parts).causes == ("integration",)


def test_a_quantized_network_is_explained_part_by_part(network, images):
    network = with_plain_resets(network)
    found = diagnosed(network, images, side("native"), side("native,precision=fixed"))
    assert found.causes == ("weight_quantization",)
    assert not any(sum(each.mismatches.values()) for each in found.sides)
    assert [each.part for each in found.replacements] == [
        "weights", "thresholds", "time constants", "arithmetic",
    ]  # fmt: skip
    # After all replacements, nothing is left to explain.
    explained = {
        name: sum(each.explained[name] for each in found.replacements)
        for name in found.replacements[0].explained
    }
    assert all(count >= 0 for count in explained.values())
    assert sum(explained.values()) > 0
    swapped = diagnosed(network, images, side("native,precision=fixed"), side("native"))
    assert swapped.replacements == found.replacements


def with_potentials(network, quantity="final_potential"):
    """Return the network with membrane potentials as the output."""
    readout = dataclasses.replace(
        network.populations[-1], threshold_v=np.inf, reset="value", reset_v=0.0
    )
    return dataclasses.replace(
        network,
        populations=(*network.populations[:-1], readout),
        readout_quantity=quantity,
    )


@pytest.mark.parametrize("quantity", ["final_potential", "max_potential"])
def test_classes_are_compared_by_output_potentials(network, images, tmp_path, quantity):
    network = with_potentials(network, quantity)
    found = diagnosed(network, images, side("native"), side("brian2"))
    assert (found.agree, found.class_agreement, found.differing_potentials) == (True, 1.0, 0)
    # A file with the same spikes, but other potentials: highest at neuron 3, and with that at the
    # end.
    (one, _) = record(network, images, (side("native"), side("native")), steps=STEPS, seed=3)
    spikes = {name: each.to_dense() for name, each in one.recorded.spikes.items()}
    potentials = np.zeros((len(images), STEPS, network.classes))
    potentials[:, -1, 3] = 1e6
    other = spike_file(tmp_path / "a.npz", spikes, {network.readout: potentials})
    found = diagnosed(network, images, side("native"), other)
    assert found.first is None
    assert not found.agree
    assert found.causes == ()
    expected = (one.potentials.argmax(axis=1) == 3).mean()
    assert found.class_agreement == pytest.approx(expected)
    assert found.differing_potentials > 0
    # Without potentials on both sides, only spikes are compared.
    few = spike_file(tmp_path / "b.npz", spikes)
    found = diagnosed(network, images, side("native"), few)
    assert (found.agree, found.class_agreement, found.differing_potentials) == (True, None, None)
    del spikes[network.readout]
    trains = {name: SpikeTrains.from_dense(each) for name, each in spikes.items()}
    save_spikes(
        tmp_path / "c.npz",
        RecordedSpikes(len(images), STEPS, trains, {network.readout: potentials}),
    )
    assert diagnosed(network, images, other, tmp_path / "c.npz").agree


def test_spikes_at_an_infinite_threshold_have_no_known_cause(network, images, tmp_path):
    network = with_potentials(network)
    (one, _) = record(network, images, (side("native"), side("native")), steps=STEPS, seed=3)
    spikes = {name: each.to_dense() for name, each in one.recorded.spikes.items()}
    spikes[network.readout][:, 20:25] = True
    found = diagnosed(network, images, side("native"), spike_file(tmp_path / "a.npz", spikes))
    assert found.causes == ("unknown",)
    values = found.as_json()
    assert values["first_difference"]["distances_to_threshold"] == [None, None]
    assert values["sides"][1]["course"]["threshold"] is None
    json.dumps(values, allow_nan=False)


def test_direct_coding_and_spikes_are_different_inputs(network, images):
    network = dataclasses.replace(network, input=Input(network.input.shape, DirectEncoder()))
    found = diagnosed(network, images, side("native"), side("native,encoder=regular"))
    assert not found.agree
    assert found.causes == ("input",)


def test_direct_coding_has_no_recorded_input_spikes(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((4, STEPS, network.input.size)) < 0.15
    path = spike_file(tmp_path / "a.npz", simulate_batch(network, Engine(), inputs))
    direct = dataclasses.replace(network, input=Input(network.input.shape, DirectEncoder()))
    with pytest.raises(ValidationError, match="native: got recorded spikes"):
        diagnosed(direct, images, side("native"), path)
    # The spikes of the file are its input, not the values of the images.
    found = diagnosed(direct, images, side("native,encoder=poisson"), path)
    assert found.agree


def test_files_with_input_spikes_need_no_images(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((len(images) + 3, STEPS, network.input.size)) < 0.15
    path = spike_file(tmp_path / "a.npz", simulate_batch(network, Engine(), inputs))
    found = diagnosed(network, images, side("native"), path)
    assert (found.images, found.agree) == (len(images) + 3, True)


def test_files_without_hidden_populations_are_compared_but_not_explained(network, images, tmp_path):
    inputs = np.random.default_rng(1).random((2, STEPS, network.input.size)) < 0.15
    faulty = simulate_batch(network, Engine(refractory=1), inputs)
    few = {name: faulty[name] for name in (INPUT, network.readout)}
    found = diagnosed(network, images, side("native"), spike_file(tmp_path / "b.npz", few))
    assert not found.agree
    assert found.causes == ("unknown",)
    assert set(found.differing_spikes) == {INPUT, network.readout}


def test_sides_that_cannot_be_compared_are_refused(network, images, tmp_path):
    inputs = np.zeros((2, STEPS, network.input.size), bool)
    one = spike_file(tmp_path / "a.npz", simulate_batch(network, Engine(), inputs))
    other = spike_file(tmp_path / "b.npz", simulate_batch(network, Engine(), inputs[:, :20]))
    with pytest.raises(ValidationError, match="time steps"):
        diagnosed(network, images, one, other)
    many = simulate_batch(network, Engine(), np.concatenate([inputs] * 4)[:, :20])
    trains = {n: SpikeTrains.from_dense(each) for n, each in many.items() if n != INPUT}
    save_spikes(tmp_path / "c.npz", RecordedSpikes(8, 20, trains))
    with pytest.raises(ValidationError, match="images: got 6, expected at least the 8"):
        diagnosed(network, images, side("native"), tmp_path / "c.npz")
    for text in ("dnn", "https://localhost/v2/models/x"):
        with pytest.raises(ValidationError, match="simulated network"):
            side(text)
    with pytest.raises(ValidationError, match="--steps"):
        side("native,steps=40")


def test_the_public_function_takes_texts_and_specifications(network, images):
    found = na.diagnose(network, images, "native", DeploymentSpec(encoder="regular"), steps=STEPS)
    assert not found.agree
    assert found.steps == STEPS
    assert na.diagnose(network, images, "native", "native", steps=STEPS).agree
