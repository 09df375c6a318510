"""Train the networks of docs/defenses.md that no recipe describes.

``python -m benchmarks.train_defended noise runs/noise.h5`` trains on noisy images,
``python -m benchmarks.train_defended transfer runs/transfer.h5`` on adversarial images of
substitutes in addition to the clean images.
"""

from __future__ import annotations

import sys
from pathlib import Path

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.substitutes.opening import open_substitutes
from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.experiments.training import adversarial_split
from neuroattack.training.recipes import train
from neuroattack.training.storage import save_model

DELTA = 0.05
"""Magnitude of the noise in units of Marchisio et al.: 0.25 of full intensity."""

ADVERSARIAL_IMAGES = 20_000
L2 = 2.0


def main(kind: str, target: Path, substitutes: str = "mnist") -> None:
    """Train a network on MNIST and save it."""
    data = load_dataset("mnist")
    noise = None
    if kind == "noise":
        noise = Noise("normal", DELTA)
    else:
        clean = data.train[:ADVERSARIAL_IMAGES]
        models = open_substitutes(substitutes)
        data = data.extended(adversarial_split(models, clean, Bound("l2", L2)))
    model = train(
        data.train.images,
        data.train.labels,
        test=(data.test.images, data.test.labels),
        noise=noise,
        dataset=data.name,
        dataset_checksum=data.checksum,
    )
    save_model(target, model)
    print(f"accuracy of the rate network: {model.rate_accuracy}")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4 or sys.argv[1] not in ("noise", "transfer"):
        sys.exit("usage: python -m benchmarks.train_defended {noise,transfer} FILE [SUBSTITUTES]")
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
