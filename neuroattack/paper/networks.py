"""The networks under attack, described by JSON values from which a cell can open them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuroattack.deployment.deployment import deploy
from neuroattack.experiments.model_cells import NetworkKind, model_of_cell
from neuroattack.targets.black_box import Target
from neuroattack.targets.rates import GradedDeployment
from neuroattack.targets.repetition import Repeated
from neuroattack.training.conversion import convert, readout_gain_of

__all__ = ["DNN", "FINE_TUNED", "NAMES", "SDBN", "AttackedNetwork", "OpenTarget", "Output"]

SDBN, FINE_TUNED, DNN = "sdbn", "sdbn-fine-tuned", "dnn"

NAMES = {
    SDBN: "spiking SDBN",
    f"{SDBN}-exact": "SDBN as rates",
    DNN: "DNN",
    f"{DNN}-sampled": "sampled DNN",
    FINE_TUNED: "spiking fine-tuned SDBN",
    f"{FINE_TUNED}-exact": "fine-tuned SDBN as rates",
}
"""Display names by key in the results, in the order of tables and figures."""

Output = Literal["spikes", "exact", "sampled"]

OpenTarget = Callable[[int], Target]
"""Function that takes a random stream and returns the black box."""

# Seconds per query on one core: a spiking network at 350 time steps, and a rate network.
_SPIKING_S, _EXACT_S = 6e-4, 6e-5


@dataclass(frozen=True)
class AttackedNetwork:
    """A network and the form of its output.

    Parameters
    ----------
    model : str
        Model file, relative to the folder of the run.
    kind : {"sdbn", "dnn"}
        Type of the model.
    output : {"spikes", "exact", "sampled"}
        Spike counts of the converted SDBN (``"spikes"``), noise-free rates or probabilities
        (``"exact"``), or counts sampled from these (``"sampled"``).
    steps : int, optional
        Time steps T of a spiking network.
    repeats : int, optional
        Trials per query, whose counts are summed, in the search and in the verification.
    spikes : float, optional
        Mean total count of all classes per query of a sampled network.
    backend : str, optional
        Backend of a spiking network.
    """

    model: str
    kind: NetworkKind
    output: Output
    steps: int = 350
    repeats: int = 1
    spikes: float | None = None
    backend: str = "native"

    @property
    def noiseless(self) -> bool:
        """Whether every query with the same image returns the same output."""
        return self.output == "exact"

    @property
    def query_s(self) -> float:
        """Estimated time per query on one core, in seconds."""
        once = _SPIKING_S * self.steps / 350 if self.output == "spikes" else _EXACT_S
        return once * self.repeats

    @contextlib.contextmanager
    def open(self, seed: int, folder: Path) -> Iterator[OpenTarget]:
        """Yield a function that opens black boxes of the network.

        Parameters
        ----------
        seed : int
            Random seed of the network's output.
        folder : Path
            Folder of the run.
        """
        model = model_of_cell(folder / self.model, self.kind)

        with contextlib.ExitStack() as stack:
            if self.output == "spikes":
                network = convert(model, readout_gain=readout_gain_of(model)).network
                deployed = deploy(network, backend=self.backend, steps=self.steps, seed=seed)
                opened: OpenTarget = stack.enter_context(deployed).black_box
            else:
                shape, classes = model.image_shape, model.classes
                graded = GradedDeployment(model.outputs, shape, classes, seed, self.spikes)
                opened = graded.black_box
            repeats = self.repeats
            yield opened if repeats == 1 else lambda stream: Repeated(opened(stream), repeats)
