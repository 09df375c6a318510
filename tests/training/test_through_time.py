"""Training through time; needs PyTorch, else skipped."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import small_network
from support.ordered_events import STEPS, ordered_events, ordered_network

torch = pytest.importorskip("torch", reason="needs the extra torch")

from neuroattack.datasets import Dataset, Split  # noqa: E402
from neuroattack.deployment.deployment import deploy  # noqa: E402
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder  # noqa: E402
from neuroattack.encoding.events import EventEncoder  # noqa: E402
from neuroattack.errors import (  # noqa: E402
    FileError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.experiments.evaluation import evaluate  # noqa: E402
from neuroattack.hardware.quantization.quantization import fixed_format, quantize  # noqa: E402
from neuroattack.ir.network import Input, Network, Population, Projection  # noqa: E402
from neuroattack.training.through_time import train_through_time  # noqa: E402


@pytest.fixture(scope="module")
def dataset():
    return ordered_events()


def test_learns_a_class_that_only_the_order_of_spikes_tells(dataset):
    reports = []
    trained = train_through_time(
        ordered_network(),
        dataset,
        steps=STEPS,
        epochs=12,
        learning_rate=0.1,
        progress=reports.append,
    )
    with deploy(ordered_network(), steps=STEPS) as before, deploy(trained, steps=STEPS) as after:
        first = evaluate(before, dataset.test.images, dataset.test.labels).accuracy
        accuracy = evaluate(after, dataset.test.images, dataset.test.labels).accuracy
    assert first < 0.75
    assert accuracy >= 0.95
    # The deployed network is the trained one, so the last report is its accuracy.
    assert reports[-1].accuracy == accuracy
    assert [report.epoch for report in reports] == list(range(1, 13))


def test_first_update_is_that_of_the_gradient_in_closed_form():
    """A readout that never spikes is linear: potentials are leaky sums of weights."""
    rng = np.random.default_rng(3)
    decay = np.exp(-0.1)
    network = Network(
        1e-3,
        Input((4,), DirectEncoder()),
        (Population("output", 3, 0.01, threshold_v=np.inf),),
        (Projection.from_weights("input", "output", rng.normal(0, 0.4, (4, 3))),),
        "output",
        readout_quantity="final_potential",
    )
    images = rng.uniform(0, 1, (30, 4)).round(2)
    labels = rng.integers(0, 3, 30)
    data = Dataset.of("linear", Split(images, labels), Split(images[:0], labels[:0]), 3)
    trained = train_through_time(network, data, steps=5, epochs=1, learning_rate=0.01)

    signal = network.input.encoder.encode(images, indices=np.arange(30), steps=5, dt_s=1e-3, seed=0)
    values = np.ldexp(signal.values.astype(float), signal.exponent)
    # Inputs arrive after a delay of one step, in four of the five steps.
    drive = values * sum(decay**k for k in range(4))
    before = network.projections[0].weights_v
    logits = drive @ before
    softmax = np.exp(logits - logits.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    gradient = drive.T @ (softmax - np.eye(3)[labels]) / 30
    # The first step of Adam has the size of the learning rate, against the gradient's sign.
    step = 0.01 * before.std(ddof=1) * gradient / (np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(trained.projections[0].weights_v, before - step, atol=1e-6)


def test_resumed_training_gives_the_sameordered_network(dataset, tmp_path):
    settings = {"steps": STEPS, "learning_rate": 0.1, "seed": 4, "encoder": EventEncoder(drop=0.1)}
    checkpoint = tmp_path / "checkpoint.h5"
    whole = train_through_time(ordered_network(), dataset, epochs=3, **settings)
    train_through_time(ordered_network(), dataset, epochs=2, checkpoint=checkpoint, **settings)
    resumed = train_through_time(
        ordered_network(), dataset, epochs=3, checkpoint=checkpoint, resume=True, **settings
    )
    assert whole.checksum() == resumed.checksum() != ordered_network().checksum()
    assert whole.input == ordered_network().input
    with pytest.raises(FileError, match="another training"):
        train_through_time(
            ordered_network(seed=1),
            dataset,
            epochs=3,
            checkpoint=checkpoint,
            resume=True,
            **settings,
        )
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(FileError):
        train_through_time(
            ordered_network(), dataset, epochs=3, checkpoint=checkpoint, resume=True, **settings
        )


def test_input_noise_depends_on_the_seed_and_the_epoch():
    rng = np.random.default_rng(0)
    split = Split(rng.uniform(0, 1, (40, 6)), np.arange(40) % 2)
    data = Dataset.of("images", split, split[:0], 2)
    network = ordered_network(PoissonEncoder(200.0))
    networks = [
        train_through_time(network, data, steps=STEPS, epochs=1, seed=seed) for seed in (0, 0, 1)
    ]
    assert networks[0].checksum() == networks[1].checksum() != networks[2].checksum()


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 19},
        {"epochs": 0},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"seed": -1},
        {"encoder": PoissonEncoder(100.0)},
    ],
)
def test_invalid_settings_are_refused(dataset, changed):
    with pytest.raises(ValidationError):
        train_through_time(ordered_network(), dataset, **{"steps": STEPS, "epochs": 1, **changed})


def test_the_number_of_steps_of_images_is_limited():
    split = Split(np.zeros((2, 28, 28), np.float32), np.zeros(2, np.int64))
    data = Dataset.of("black", split, split, 10)
    with pytest.raises(ValidationError, match="steps: got 20001, expected an integer from 1 to"):
        train_through_time(small_network(), data, steps=20_001, epochs=1)


def test_networks_and_data_that_do_not_fit_are_refused(dataset):
    with pytest.raises(UnsupportedFeatureError):
        train_through_time(
            quantize(ordered_network(), fixed_format()).network, dataset, steps=STEPS
        )
    with pytest.raises(ValidationError):
        train_through_time(ordered_network(), replace(dataset, classes=3), steps=STEPS)
