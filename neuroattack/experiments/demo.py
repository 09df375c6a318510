"""The main job, end to end: train, convert, deploy, evaluate, attack, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import Goal, Step
from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import Deployment, Draws, check_settings, deploy
from neuroattack.deployment.provenance import provenance_of
from neuroattack.encoding.readout import decide, spike_shares
from neuroattack.errors import NeuroattackError
from neuroattack.experiments.attack import AttackOutcome, attack_image, expected_queries
from neuroattack.experiments.evaluation import Evaluation, evaluate
from neuroattack.experiments.training import checkpoint_of, describe_progress, train_to_file
from neuroattack.ir.storage import save_network
from neuroattack.provenance import Provenance
from neuroattack.training.conversion import convert
from neuroattack.training.recipes import DEFAULT_RECIPE
from neuroattack.training.sdbn import SDBN
from neuroattack.training.storage import load_model

__all__ = ["MAX_DISTANCE", "MODEL", "Demo", "run_demo"]

MODEL = "model.h5"
"""Name of the model file in the demo's folder."""

WINDOW_SIZE = 7
MAX_DISTANCE = 22.0
SOURCE_CLASS, TARGET_CLASS = 5, 3
DRAWS = 50

Progress = Callable[[str, float, str], None]

# Index of the image, target class, and the draws of the search.
_Plan = tuple[int, int | None, Draws]


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo leaves behind.

    Parameters
    ----------
    model : SDBN
        The trained network.
    evaluation : Evaluation
        Of the spiking network on all test images.
    outcomes : tuple of AttackOutcome
        The attacks.
    provenance : Provenance
        What made them.
    """

    model: SDBN
    evaluation: Evaluation
    outcomes: tuple[AttackOutcome, ...]
    provenance: Provenance

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "rate_accuracy": self.model.rate_accuracy,
            "spiking_accuracy": self.evaluation.accuracy,
            "evaluation": asdict(self.evaluation),
            "attacks": [outcome.as_json() for outcome in self.outcomes],
            "provenance": asdict(self.provenance),
        }


def run_demo(
    dataset: Dataset,
    out: Path,
    *,
    seed: int = 0,
    backend: str = "native",
    steps: int = 350,
    resume: bool = False,
    command: str = "",
    on_progress: Progress,
) -> Demo:
    """Do the main job on a data set.

    Three attacks with Algorithm 1, the images chosen by what the network says of them unattacked:
    the first correctly classified "five", targeted at "three" as in the paper, the same
    untargeted, and the correctly classified image with the smallest lead, untargeted and searched
    under common draws.

    Parameters
    ----------
    dataset : Dataset
        Ten classes of digits.
    out : Path
        Folder for the model and the network.
    seed : int, optional
        Of training and input spikes.
    backend : str, optional
        Where the network is deployed.
    steps : int, optional
        Time steps T an image is shown for.
    resume : bool, optional
        Go on from what an interrupted demo of the same data set and seed left in `out`.
    command : str, optional
        Command line that was given, for the provenance.
    on_progress : callable
        Called with what is being done, the fraction of it done, and how it stands.

    Raises
    ------
    NeuroattackError
        If a file cannot be written, or no image is classified correctly.
    """
    check_settings(backend, steps, seed)
    model = _finished_model(out / MODEL, dataset, seed) if resume else None
    if model is None:
        model = train_to_file(
            out / MODEL,
            dataset,
            seed=seed,
            resume=resume and checkpoint_of(out / MODEL).exists(),
            progress=lambda p: on_progress("Training", p.fraction, describe_progress(p)),
        ).model
    network = convert(model).network
    save_network(out / "network.h5", network)
    images = len(dataset.test.images)
    attack = GreedyWindow(
        Window.centred(network.input.shape, WINDOW_SIZE), max_distance=MAX_DISTANCE
    )
    with deploy(
        network,
        backend=backend,
        steps=steps,
        seed=seed,
        expected_images=images + 3 * expected_queries(attack, DRAWS),
    ) as deployment:
        evaluation = evaluate(
            deployment,
            dataset.test.images,
            dataset.test.labels,
            lambda done, correct: on_progress(
                "Evaluating", done / images, f"{correct}/{done} correct"
            ),
        )
        return Demo(
            model,
            evaluation,
            tuple(_attacks(deployment, attack, dataset, on_progress)),
            provenance_of(deployment, dataset.name, dataset.checksum, command),
        )


def _finished_model(path: Path, dataset: Dataset, seed: int) -> SDBN | None:
    """Return the model that a demo interrupted after its training has left, if there is one."""
    if checkpoint_of(path).exists() or not path.exists():
        return None
    model = load_model(path)
    same = (model.recipe, model.seed, model.dataset_checksum) == (
        DEFAULT_RECIPE,
        seed,
        dataset.checksum,
    )
    return model if same else None


def _attacks(
    deployment: Deployment, attack: GreedyWindow, dataset: Dataset, on_progress: Progress
) -> list[AttackOutcome]:
    labels = dataset.test.labels[:1000]
    counts = deployment.record(dataset.test.images[:1000], indices=np.arange(len(labels))).counts[
        deployment.network.readout
    ]
    correct = decide(counts) == labels
    fives = np.flatnonzero(correct & (labels == SOURCE_CLASS))
    if not fives.size:
        raise NeuroattackError(
            f"no test image of class {SOURCE_CLASS} is classified correctly: nothing to attack"
        )
    lead = np.sort(spike_shares(counts), axis=1)
    lead = np.where(correct, lead[:, -1] - lead[:, -2], np.inf)
    # As in the paper, and what an attacker can do at best where the encoder is on its side.
    plans: list[_Plan] = [
        (int(fives[0]), TARGET_CLASS, "independent"),
        (int(fives[0]), None, "independent"),
        (int(lead.argmin()), None, "common"),
    ]
    return [
        _attack(deployment, attack, dataset, plan, partial(on_progress, f"Attack {number}"))
        for number, plan in enumerate(plans, 1)
    ]


def _attack(
    deployment: Deployment,
    attack: GreedyWindow,
    dataset: Dataset,
    plan: _Plan,
    on_progress: Callable[[float, str], None],
) -> AttackOutcome:
    index, target_class, search_draws = plan
    image, label = dataset.test.pick(index)

    def show(step: Step) -> None:
        on_progress(step.distance / MAX_DISTANCE, f"iteration {step.iteration}")

    return attack_image(
        deployment,
        attack,
        image,
        Goal(label, target_class),
        index=index,
        draws=DRAWS,
        search_draws=search_draws,
        on_step=show,
    )
