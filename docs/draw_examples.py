"""Draw the picture of the README: the first eight test images of MNIST before and after an attack.

``python docs/draw_examples.py NETWORK FILE.png``, with a network trained on MNIST.
"""

from __future__ import annotations

import sys

import neuroattack as na


def draw(network: str, path: str) -> None:
    """Attack the images and draw them."""
    attack = na.attacks.CountRegression(na.L2(2.0), queries=2000)
    with na.deploy(na.load(network)) as model:
        result = na.attack(model, na.load_dataset("mnist").test[:8], attack)
    result.plot().savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    draw(sys.argv[1], sys.argv[2])
