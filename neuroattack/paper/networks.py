"""The networks under attack, described in JSON values so that a cell can open one."""

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

__all__ = ["DNN", "FINE_TUNED", "NAMES", "SDBN", "Answer", "Attacked", "OpenTarget"]

SDBN, FINE_TUNED, DNN = "sdbn", "sdbn-fine-tuned", "dnn"

NAMES = {
    SDBN: "spiking SDBN",
    f"{SDBN}-exact": "SDBN as rates",
    DNN: "DNN",
    f"{DNN}-sampled": "sampled DNN",
    FINE_TUNED: "spiking fine-tuned SDBN",
    f"{FINE_TUNED}-exact": "fine-tuned SDBN as rates",
}
"""Networks under attack by their key in the results, in the order of tables and figures."""

Answer = Literal["spikes", "exact", "sampled"]

OpenTarget = Callable[[int], Target]
"""Takes a random stream, returns the black box."""

# Seconds on one core of a query of 350 time steps, and of one without spikes.
_SPIKING_S, _EXACT_S = 6e-4, 6e-5


@dataclass(frozen=True)
class Attacked:
    """A network, and what it returns for an image.

    Parameters
    ----------
    model, kind
        File in the folder of the run, and type of its model.
    answer : {"spikes", "exact", "sampled"}
        Spike counts of the converted SDBN; rates or probabilities without noise; or counts sampled
        from those, `spikes` in the mean.
    steps, backend
        Time steps T and backend of a spiking network.
    repeats : int, optional
        Trials whose counts a query adds up, in the search and in the verification.
    """

    model: str
    kind: NetworkKind
    answer: Answer
    steps: int = 350
    repeats: int = 1
    spikes: float | None = None
    backend: str = "native"

    @property
    def noiseless(self) -> bool:
        """Whether all answers to an image are equal."""
        return self.answer == "exact"

    @property
    def query_s(self) -> float:
        """Estimated time of a query on one core, in seconds."""
        once = _SPIKING_S * self.steps / 350 if self.answer == "spikes" else _EXACT_S
        return once * self.repeats

    @contextlib.contextmanager
    def open(self, seed: int, folder: Path) -> Iterator[OpenTarget]:
        """Yield black boxes of the network, their queries adding up the repeats.

        `seed` is the random seed of its answers, `folder` that of the run.
        """
        model = model_of_cell(folder / self.model, self.kind)

        with contextlib.ExitStack() as stack:
            if self.answer == "spikes":
                network = convert(model, readout_gain=readout_gain_of(model)).network
                deployed = deploy(network, backend=self.backend, steps=self.steps, seed=seed)
                opened: OpenTarget = stack.enter_context(deployed).black_box
            else:
                shape, classes = model.image_shape, model.classes
                graded = GradedDeployment(model.outputs, shape, classes, seed, self.spikes)
                opened = graded.black_box
            repeats = self.repeats
            yield opened if repeats == 1 else lambda stream: Repeated(opened(stream), repeats)
