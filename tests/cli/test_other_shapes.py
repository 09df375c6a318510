"""Images of other sizes and other numbers of classes go through every study."""

import json

import numpy as np
import pytest

from neuroattack.deployment.deployment import EVALUATION_STREAM
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network

SHAPE, CLASSES = (12, 9), 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of three patterns in noise, and a network that holds each to its pattern."""
    return made(tmp_path_factory.mktemp("shapes"), SHAPE)


def made(folder, shape, encoder=None, **changes):
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
            input=Input(shape, encoder or PoissonEncoder(200.0)),
            populations=(
                Population("hidden", CLASSES, 0.05, 1.0),
                Population("readout", CLASSES, 0.05, np.inf if changes else 1.0),
            ),
            projections=(
                Projection.from_weights(INPUT, "hidden", 0.2 * (flat - flat.mean(axis=0)).T),
                Projection.from_weights("hidden", "readout", 1.5 * np.eye(CLASSES)),
            ),
            readout="readout",
            **changes,
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


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(108,), (2, 6, 9), (3, 6, 6)])
def test_vectors_and_images_with_channels_are_attacked(tmp_path, command, shape):
    folder = made(tmp_path, shape)
    assert told(command, folder, "evaluate", "--steps", "40")["accuracy"] > 0.9
    given = ("--queries", "200", "--trials", "5", "--steps", "40", "--index", "0:2")
    attacked = told(command, folder, "attack", *given, "--out", str(tmp_path / "a"))
    assert attacked["success_rate"] > attacked["clean_error_rate"]
    assert (attacked["images"][0]["distances"]["local_sd"] is None) == (len(shape) == 1)
    with np.load(tmp_path / "a" / "images.npz") as arrays:
        assert arrays["adversarial"].shape == (2, *shape)
        changes = arrays["adversarial"] - arrays["original"]
    assert (np.sqrt((changes.reshape(2, -1) ** 2).sum(axis=1)) <= 2 + 1e-9).all()
    assert "<svg" in (tmp_path / "a" / "report.html").read_text()
    compared = told(
        command, folder, "compare", "--steps", "20", "--images", "2", "--backends", "native"
    )
    assert compared["agree"] is True


@pytest.mark.parametrize("quantity", ["final_potential", "max_potential"])
def test_directly_coded_images_and_potentials_are_attacked(tmp_path, command, quantity):
    folder = made(tmp_path, (2, 6, 9), DirectEncoder(), readout_quantity=quantity)
    evaluated = told(command, folder, "evaluate", "--steps", "12")
    assert evaluated["accuracy"] > 0.9
    assert evaluated["spikes_per_image"]["readout"] == evaluated["silent_fraction"] == 0
    assert told(command, folder, "preflight", "--steps", "12")["deterministic"] is True
    attacked = told(command, folder, "attack", "--queries", "300", "--steps", "12")
    assert (attacked["success_rate"], attacked["clean_error_rate"]) == (1, 0)
    compared = told(
        command, folder, "compare", "--steps", "12", "--images", "3", "--backends", "native"
    )
    assert compared["agree"] is True
    assert compared["backends"]["native"]["differing_potentials"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(108,), (2, 6, 9)])
def test_an_audit_skips_what_needs_rows_and_columns(tmp_path, command, shape):
    folder = made(tmp_path, shape)
    given = ("--quick", "--images", "2", "--steps", "30", "--workers", "1")
    card = told(command, folder, "audit", *given, "--out", str(tmp_path / "audit"))
    skipped = {name: set(part["skipped"]) for name, part in card["sections"].items()}
    assert "greedy-window" in skipped["attacks"]
    assert bool(skipped["transformations"]) == (len(shape) == 1)
    assert {"count-regression", "sparse-rs", "random-noise"} <= set(card["suite"]["attacks"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--norm", "local-sd"), "bound on local_sd: got images of shape (108,)"),
        (("--attack", "greedy-window"), "attack 'greedy-window': got images of shape (108,)"),
        (("--attack", "square"), "attack 'square'"),
    ],
)
def test_attacks_that_need_rows_and_columns_refuse_vectors(tmp_path, command, arguments, words):
    folder = made(tmp_path, (108,))
    code, _, err = command(
        "attack", str(folder / "net.h5"), "--dataset", str(folder / "own.npz"), *arguments
    )
    assert code == 2
    assert words in err
