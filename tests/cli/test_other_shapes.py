"""Images of other sizes and other numbers of classes go through every study."""

import json

import numpy as np
import pytest

from neuroattack.deployment.deployment import EVALUATION_STREAM
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network

SHAPE, CLASSES = (12, 9), 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of three patterns in noise, and a network that holds each to its pattern."""
    return made(tmp_path_factory.mktemp("shapes"), SHAPE)


def made(folder, shape):
    rng = np.random.default_rng(0)
    patterns = rng.random((CLASSES, *shape)) < 0.3
    labels = rng.integers(0, CLASSES, 40)
    noisy = 0.5 * patterns[labels] + rng.normal(0.2, 0.15, (40, *shape))
    images = np.clip(noisy, 0, 1).astype(np.float32)
    np.savez(folder / "own.npz", test_images=images, test_labels=labels)
    flat = patterns.reshape(CLASSES, -1)
    save_network(
        folder / "net.h5",
        Network(
            dt_s=1e-3,
            input=Input(shape, PoissonEncoder(200.0)),
            populations=(
                Population("hidden", CLASSES, 0.05, 1.0),
                Population("readout", CLASSES, 0.05, 1.0),
            ),
            projections=(
                Projection.from_weights(INPUT, "hidden", 0.2 * (flat - flat.mean(axis=0)).T),
                Projection.from_weights("hidden", "readout", 1.5 * np.eye(CLASSES)),
            ),
            readout="readout",
        ),
    )
    return folder


def told(command, folder, *arguments):
    """Run a command on the folder's network and data set; return its JSON."""
    name, *rest = arguments
    given = [name, str(folder / "net.h5"), "--dataset", str(folder / "own.npz"), *rest, "--json"]
    code, out, err = command(*given)
    assert code == 0, err
    return json.loads(out)


def test_evaluation_counts_what_the_plain_dynamics_do(folder, command):
    figures = told(command, folder, "evaluate", "--steps", "60", "--images", "8")
    network = load_network(folder / "net.h5")
    with np.load(folder / "own.npz") as data:
        images, labels = data["test_images"][:8].astype(np.float64), data["test_labels"][:8]
    trains = network.input.encoder.encode(
        images.reshape(8, -1),
        indices=np.arange(8),
        steps=60,
        dt_s=1e-3,
        seed=0,
        stream=EVALUATION_STREAM,
    )
    rasters = trains.to_dense()
    counts = np.array(
        [simulate(network, rasters[place])["readout"].sum(axis=0) for place in range(8)]
    )
    assert figures["spikes_per_image"]["readout"] == counts.sum() / 8
    assert figures["accuracy"] == (counts.argmax(axis=1) == labels).mean()


def test_backends_agree_with_the_plain_dynamics(folder, command):
    compared = told(
        command, folder, "compare", "--steps", "40", "--images", "4", "--backends", "native"
    )
    assert compared["agree"] is True
    assert compared["backends"]["native"]["differing_spikes"] == 0


def test_energy_of_the_conventional_network_follows_the_sizes(folder, command):
    energy = told(command, folder, "energy", "--steps", "40", "--images", "4")
    assert energy["conventional"]["multiply_accumulates"] == 108 * CLASSES + CLASSES * CLASSES


def test_attacks_change_an_image_of_that_shape(folder, tmp_path, command):
    given = ("--attack", "greedy-window", "--set", "window=5", "--index", "3")
    attacked = told(command, folder, "attack", *given, "--out", str(tmp_path / "a"))
    assert len(attacked["images"][0]["trace"][0]["spike_fractions"]) == CLASSES
    with np.load(tmp_path / "a" / "images.npz") as arrays:
        assert arrays["adversarial"].shape == (1, *SHAPE)


def test_transfer_is_a_square_of_deployments(folder, tmp_path, command):
    given = ("transfer", "--images", "2", "--queries", "60", "--out", str(tmp_path / "t"))
    moved = told(command, folder, *given)
    success = np.array(moved["success"])
    assert success.shape == (len(moved["rows"]), len(moved["columns"]))
    assert ((success >= 0) & (success <= 1)).all()


@pytest.mark.parametrize("shape", [(108,), (3, 6, 6)])
def test_images_without_two_sides_can_be_shown_and_not_attacked(tmp_path, command, shape):
    folder = made(tmp_path, shape)
    assert told(command, folder, "evaluate", "--steps", "40")["accuracy"] > 0.9
    for name in ("attack", "transfer"):
        code, _, err = command(
            *(name, str(folder / "net.h5"), "--dataset", str(folder / "own.npz")),
            *("--out", str(tmp_path / name)),
        )
        assert code == 2
        assert "image shape: got" in err
        assert "expected (height, width)" in err
