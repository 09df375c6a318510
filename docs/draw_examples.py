"""Draw what a campaign found: images as they were and as they fool the network.

``python docs/draw_examples.py CAMPAIGN FILE.png``, the campaign being that of
``benchmarks/campaigns/untargeted.toml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.experiments.campaign.store import Store
from neuroattack.ir.storage import load_network

_SHOWN = 8
_DRAWS = 50


def draw(folder: Path, path: Path) -> None:
    """Draw the first images of a campaign, in its order, whether fooled or not."""
    with Store(folder) as store:
        network = load_network(store.about("config")["network"])
        found = [
            (result.item.index, store.adversarial(result.item.key))
            for result in store.results()
            if (result.item.attack, result.item.bound, result.item.budget)
            == ("count-regression", "l2=2", 2000)
        ][:_SHOWN]
    test = load_dataset("mnist").test
    figure, axes = plt.subplots(2, _SHOWN, figsize=(1.1 * _SHOWN, 2.7), layout="constrained")
    with deploy(network, steps=350, seed=1) as deployment:
        for column, (index, adversarial) in enumerate(found):
            original, label = test.pick(index)
            for row, image in enumerate((original, adversarial)):
                box = deployment.black_box(stream=index)
                taken = decide(box.query(np.repeat(image[None], _DRAWS, axis=0)))
                most = int(np.bincount(taken[taken != UNDECIDED], minlength=10).argmax())
                place = axes[row, column]
                place.imshow(image, cmap="gray_r", vmin=0, vmax=1)
                place.set(xticks=[], yticks=[])
                fraction = (taken == most).mean()
                wrong = most != label
                place.set_title(
                    f"{most}  ({fraction:.0%})",
                    fontsize=9,
                    color="#b00020" if wrong else "#222222",
                    fontweight="bold" if wrong else "normal",
                )
    axes[0, 0].set_ylabel("as it was", fontsize=9)
    axes[1, 0].set_ylabel("attacked", fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
