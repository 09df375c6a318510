"""The command 'compare' with two simulations."""

import json

import numpy as np
import pytest
from support.output import one_object, refused

from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.spike_files import RecordedSpikes, load_spikes, save_spikes
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.storage import load_network

SHOWN = ("--images", 4, "--steps", 30)


def test_equal_deployments_agree(command, network_file):
    code, out, _ = command("compare", network_file, "native", "brian2", *SHOWN, "--json")
    assert code == 0
    figures = one_object(out)
    assert figures["agree"] is True
    assert set(figures["differing_spikes"].values()) == {0}
    assert (figures["first_difference"], figures["causes"]) == (None, [])
    assert [side["name"] for side in figures["sides"]] == ["native", "brian2"]


def test_differences_are_explained_drawn_and_recorded(command, network_file, tmp_path):
    out_folder = tmp_path / "out"
    arguments = ("compare", network_file, "native", "native,profile=loihi1", *SHOWN)
    code, out, _ = command(*arguments, "--json", "--out", out_folder)
    assert code == 1
    figures = one_object(out)
    assert figures["causes"] == ["weight_quantization"]
    assert json.loads((out_folder / "diagnosis.json").read_text()) == figures
    assert (out_folder / "first-difference.png").stat().st_size > 5_000
    # The recorded files are sides of another comparison.
    code, out, _ = command(
        "compare", network_file, out_folder / "a.npz", out_folder / "b.npz", "--json"
    )
    again = one_object(out)
    assert code == 1
    assert again["differing_spikes"] == figures["differing_spikes"]
    network = load_network(network_file)
    first = figures["first_difference"]
    for side, name in enumerate("ab"):
        spikes = load_spikes(out_folder / f"{name}.npz", network).spikes[first["population"]]
        raster = spikes.to_dense()
        fired = raster[first["image"], first["step"], first["neuron"]]
        assert fired == (first["only_in"] == figures["sides"][side]["name"])
    code, out, _ = command(*arguments)
    assert code == 1
    assert "weight quantization" in out


def test_a_file_of_another_simulator(command, network_file, tmp_path):
    """Spikes of the reference, of which one is missing."""
    network = load_network(network_file)
    rng = np.random.default_rng(0)
    inputs = rng.random((3, 30, network.input.size)) < 0.05
    with deploy(network, steps=30) as deployment:
        trains = SpikeTrains.from_dense(inputs)
        spikes = dict(deployment.simulator.run(trains, record_spikes=True).spikes)
    save_spikes(tmp_path / "all.npz", RecordedSpikes(3, 30, spikes))
    assert command("compare", network_file, "native", tmp_path / "all.npz")[0] == 0
    raster = spikes[network.readout].to_dense()
    image, step, neuron = np.argwhere(raster)[-1].tolist()
    raster[image, step, neuron] = False
    spikes[network.readout] = SpikeTrains.from_dense(raster)
    save_spikes(tmp_path / "most.npz", RecordedSpikes(3, 30, spikes))
    code, out, _ = command("compare", network_file, "native", tmp_path / "most.npz", "--json")
    assert code == 1
    figures = one_object(out)
    assert sum(figures["differing_spikes"].values()) == 1
    first = figures["first_difference"]
    assert (first["image"], first["step"], first["neuron"]) == (image, step, neuron)
    assert first["only_in"] == "native"


def test_transfer_of_adversarial_images_between_the_two(command, network_file):
    code, out, _ = command(
        *("compare", network_file, "native", "native,precision=fixed", "--images", 2),
        *("--steps", 20, "--transfer", 1, "--json"),
    )
    assert code in {0, 1}
    transfer = one_object(out)["transfer"]
    assert np.shape(transfer["success"]) == (2, 2)
    assert transfer["settings"]["images"] == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("native",), "'native'"),
        (("native", "natve"), "natve"),
        (("native", "native,steps=10"), "--steps"),
        (("native", "dnn"), "'dnn'"),
        (("native", "missing.npz"), "missing.npz"),
        (("native", "brian2", "--profile", "loihi1"), "--profile"),
        (("native", "brian2", "--backends", "native"), "--backends"),
        (("--transfer", 3), "--transfer"),
        (("native", "native,precision=fixed", "--transfer", -2), "--transfer"),
    ],
)
def test_bad_arguments_are_refused_by_name(command, network_file, arguments, named):
    refused(command("compare", network_file, *arguments, "--images", 2, "--steps", 10), named)


@pytest.mark.parametrize("others", [("native", "native"), ("native", "ok.npz")])
def test_transfer_is_refused_before_the_simulation(command, network_file, monkeypatch, others):
    def record(*arguments, **options):
        pytest.fail("simulated")

    monkeypatch.setattr("neuroattack.experiments.divergence.sides.record", record)
    refused(command("compare", network_file, *others, "--transfer", 2))


def test_nothing_is_written_where_a_side_is_invalid(command, network_file, tmp_path):
    out = tmp_path / "out"
    assert command("compare", network_file, "native", "natve", "--out", out)[0] == 2
    assert not list(out.glob("*"))
