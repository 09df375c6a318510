"""Train the networks of docs/defenses.md that no recipe describes.

``python -m benchmarks.train_defended noise runs/noise.h5`` trains on noisy images.
``python -m benchmarks.train_defended transfer runs/transfer-images.h5`` continues the fine-tuning
of runs/fine-tuned.h5 on clean images and adversarial images of substitutes; a file of substitutes
may follow.
"""

from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.substitutes.opening import open_substitutes
from neuroattack.datasets import Dataset, load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.experiments.training import adversarial_split
from neuroattack.training.fine_tuning import FineTuningParameters, fine_tuning_step, initial_adam
from neuroattack.training.recipes import train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.storage import load_model, save_model

DELTA = 0.05
"""Magnitude of the noise in units of Marchisio et al.: 0.25 of full intensity."""

START = Path("runs/fine-tuned.h5")
ADVERSARIAL_IMAGES, L2, STEPS = 10_000, 2.0, 5
EPOCHS, BATCH, LEARNING_RATE = 3, 200, 0.002


def on_noise(data: Dataset) -> SDBN:
    """Train on noisy images by the recipe ``fine-tuned``."""
    return train(
        data.train.images,
        data.train.labels,
        test=(data.test.images, data.test.labels),
        noise=Noise("normal", DELTA),
        dataset=data.name,
        dataset_checksum=data.checksum,
    )


def on_transfer(data: Dataset, substitutes: str) -> SDBN:
    """Continue the fine-tuning on clean images and adversarial images of substitutes."""
    model = load_model(START)
    clean, models = data.train[:ADVERSARIAL_IMAGES], open_substitutes(substitutes)
    extended = data.extended(adversarial_split(models, clean, Bound("l2", L2), steps=STEPS))
    scale = np.float32(model.input_scale)
    rows = extended.train.images.reshape(len(extended.train), -1) * scale
    labels = extended.train.labels
    t_ref = np.float32(model.siegert.t_ref_s)
    state = initial_adam(tuple(weights / t_ref for weights in model.weights))
    rng = np.random.default_rng(0)
    steps = len(rows) // BATCH
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(1) as worker:
        for epoch in range(EPOCHS):
            order = rng.permutation(len(rows))
            for step in range(steps):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                rate = LEARNING_RATE * (1 - (epoch * steps + step) / (EPOCHS * steps))
                state = fine_tuning_step(
                    state,
                    rows[chosen],
                    labels[chosen],
                    rate,
                    FineTuningParameters(),
                    model.transfer,
                    model.input_scale,
                    rng,
                    worker,
                )
    return dataclasses.replace(
        model,
        weights=tuple(weights * t_ref for weights in state.weights),
        recipe="fine-tuned, then on adversarial images of substitutes",
        rate_accuracy=None,
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["noise", target]:
            save_model(target, on_noise(load_dataset("mnist")))
        case ["transfer", target, *given] if len(given) <= 1:
            save_model(target, on_transfer(load_dataset("mnist"), *(given or ["mnist"])))
        case _:
            sys.exit("usage: python -m benchmarks.train_defended {noise,transfer} FILE")
