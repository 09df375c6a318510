"""The public functions that are more than another name: see :mod:`neuroattack` for all of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from neuroattack.datasets import Dataset, Split
from neuroattack.errors import FileError, ValidationError

if TYPE_CHECKING:
    from neuroattack.attacks.protocol import Attack
    from neuroattack.attacks.result import Goal
    from neuroattack.deployment.deployment import Deployment
    from neuroattack.deployment.spec import DeploymentSpec, OpenTarget
    from neuroattack.experiments.audit.card import Card
    from neuroattack.experiments.comparison.comparison import Comparison
    from neuroattack.experiments.evaluation import Evaluation
    from neuroattack.ir.network import Network
    from neuroattack.report.attack_result import AttackResult
    from neuroattack.targets.black_box import Randomness, Target
    from neuroattack.training.dnn.network import MLP
    from neuroattack.training.recipes import Progress
    from neuroattack.training.sdbn import SDBN

__all__ = [
    "attack",
    "audit",
    "compare",
    "convert",
    "evaluate",
    "import_nir",
    "load",
    "save",
    "train",
]


def train(
    dataset: Dataset,
    *,
    recipe: str = "fine-tuned",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> SDBN:
    """Train a spiking deep belief network (784-500-500-10 on images of 28 x 28).

    Parameters
    ----------
    dataset : Dataset
        Its test split measures the accuracy and does not influence the training.
    recipe : str, optional
        Name in :data:`neuroattack.training.recipes.RECIPES`.
    seed : int, optional
        Random seed. The same seed gives the same network on the same machine.
    progress : callable, optional
        Called with a :class:`~neuroattack.training.recipes.Progress` after every epoch.

    Returns
    -------
    SDBN
        A model of rates; :func:`convert` makes a spiking network of it.

    Raises
    ------
    UnknownNameError
        If there is no such recipe.
    ValidationError
        If the data set does not fit.
    """
    from neuroattack.experiments.training import train_on

    return train_on(dataset, recipe=recipe, seed=seed, progress=progress)


def convert(model: SDBN, **settings: Any) -> Network:
    """Convert a trained model to a network of LIF neurons.

    Parameters
    ----------
    model : SDBN
        From :func:`train` or :func:`load`.
    **settings
        As in :func:`neuroattack.training.conversion.convert`: ``dt_s``, ``input_rate_hz``,
        ``readout_gain``, ``encoder``.

    Raises
    ------
    ValidationError
        If the model is none, or a setting is out of range.
    """
    from neuroattack.training.conversion import convert as convert_model
    from neuroattack.training.sdbn import SDBN

    if not isinstance(model, SDBN):
        raise ValidationError("model", f"a {type(model).__name__}", "an SDBN")
    return convert_model(model, **settings).network


def load(path: str | os.PathLike[str]) -> Network | SDBN | MLP:
    """Read a network or a model from a file.

    Returns
    -------
    Network, SDBN or MLP
        Whatever the file holds.

    Raises
    ------
    FileError
        If the file is missing, damaged, or holds something else.
    """
    from neuroattack.hdf5 import read_kind
    from neuroattack.ir.storage import load_network
    from neuroattack.training.dnn.storage import load_mlp
    from neuroattack.training.storage import load_model

    readers: dict[str, Callable[[str | os.PathLike[str]], Network | SDBN | MLP]] = {
        "network": load_network,
        "sdbn-model": load_model,
        "mlp-model": load_mlp,
    }
    kind = read_kind(path)
    if kind not in readers:
        raise FileError(path, f"holds a {kind}, expected a network or a model")
    return readers[kind](path)


def save(path: str | os.PathLike[str], saved: Network | SDBN | MLP) -> None:
    """Write a network or a model to a file, atomically.

    Raises
    ------
    ValidationError
        If it is neither.
    OutputError
        If the file cannot be written; what stood at `path` is unharmed.
    """
    from neuroattack.ir.network import Network
    from neuroattack.ir.storage import save_network
    from neuroattack.training.dnn.network import MLP
    from neuroattack.training.dnn.storage import save_mlp
    from neuroattack.training.sdbn import SDBN
    from neuroattack.training.storage import save_model

    if isinstance(saved, Network):
        save_network(path, saved)
    elif isinstance(saved, SDBN):
        save_model(path, saved)
    elif isinstance(saved, MLP):
        save_mlp(path, saved)
    else:
        raise ValidationError("save", f"a {type(saved).__name__}", "a network or a model")


def import_nir(path: str | os.PathLike[str], **settings: Any) -> Network:
    """Import a network via NIR.

    Parameters
    ----------
    path : path
        The NIR file.
    **settings
        As in :func:`neuroattack.ir.nir.importing.import_nir`, which also returns what was lost
        and rounded.

    Raises
    ------
    FileError
        Naming the file, and what in it is wrong, missing or unsupported.
    """
    from neuroattack.ir.nir.importing import import_nir as import_file

    return import_file(path, **settings).network


def evaluate(
    deployment: Deployment, images: Split | ArrayLike, labels: ArrayLike | None = None
) -> Evaluation:
    """Measure the accuracy and the spikes of a deployed network.

    Parameters
    ----------
    deployment : Deployment
        From :func:`neuroattack.deploy`.
    images : Split or float array, shape (images, height, width)
        Intensities in [0, 1].
    labels : int array, shape (images,), optional
        True classes; a split has its own.

    Raises
    ------
    ValidationError
        If images or labels do not fit.
    """
    from neuroattack.experiments.evaluation import evaluate as evaluate_images

    split = _labeled(images, labels)
    return evaluate_images(deployment, split.images, split.labels)


def attack(
    target: Deployment | Target,
    images: Split | ArrayLike,
    labels: ArrayLike | Attack | None = None,
    attack: Attack | None = None,
    *,
    target_classes: int | Sequence[int] | Literal["random"] | None = None,
    trials: int = 50,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> AttackResult:
    """Attack images, and verify each adversarial image on fresh trials.

    Call it as ``attack(target, split, attack)`` or ``attack(target, images, labels, attack)``.

    Parameters
    ----------
    target : Deployment or Target
        From :func:`neuroattack.deploy`, :func:`neuroattack.target`, a wrapper of
        :mod:`neuroattack.defenses`, or a :class:`~neuroattack.remote.client.RemoteTarget`. The
        queries of the search and those of the verification are counted together where the target
        is not deployed here.
    images : Split or float array, shape (images, height, width)
        Originals, intensities in [0, 1].
    labels : int array, shape (images,)
        True classes; left out for a split, which has its own.
    attack : Attack
        For example ``neuroattack.attacks.CountRegression(neuroattack.L2(2.0), queries=1000)``.
    target_classes : int, sequence of int, or "random", optional
        Target class: one for all images, one per image, or a random wrong class per image. By
        default the attack is untargeted: any wrong class is a success.
    trials : int, optional
        Fresh trials that verify each image, and as many of its original.
    seed : int, optional
        Random seed of the attack's own choices; each image has its own, derived from the seed and
        its index.
    indices : sequence of int, optional
        Index of each image: with the target class it selects the streams of trials. By default
        those of the split, or 0, 1, 2 and so on.
    progress : callable, optional
        Called with the fraction that is done, and a few words.

    Returns
    -------
    AttackResult
        Success rate with its 95 % interval, clean error rate, images; see its methods.

    Raises
    ------
    ValidationError
        If images, labels, target classes or indices do not fit, or the budget of the target is too
        small for the search and the verification of all images.
    UnsupportedFeatureError
        If the attack needs counts and the target returns the class alone.
    """
    from neuroattack.attacks.protocol import check_kind
    from neuroattack.deployment.deployment import Deployment
    from neuroattack.experiments.attack import attack_images
    from neuroattack.report.attack_result import AttackResult

    if isinstance(images, Split) and attack is None:
        labels, attack = None, labels
    if not hasattr(attack, "run"):
        raise ValidationError("attack", repr(attack), "an attack of neuroattack.attacks")
    chosen: Attack = attack  # type: ignore[assignment]  # checked
    split = _labeled(images, labels)  # type: ignore[arg-type]  # checked there
    numbers = split.indices.tolist() if indices is None else list(indices)
    if len(numbers) != len(split):
        raise ValidationError("indices", f"{len(numbers)} of them", f"{len(split)}, one per image")
    boxes: OpenTarget
    if isinstance(target, Deployment):
        boxes, n_classes = target.black_box, target.network.classes
    else:
        check_kind(chosen, target)
        needed = len(split) * (2 * trials + (getattr(chosen, "queries", None) or 0))
        if target.remaining is not None and target.remaining < needed:
            raise ValidationError(
                "query budget of the target",
                target.remaining,
                f"at least {needed}: for each image the attack's queries and twice {trials} trials",
            )
        boxes, n_classes = _boxes_of(target), target.n_classes
    goals = _goals(split.labels.tolist(), target_classes, seed, numbers, n_classes)
    found = attack_images(
        boxes,
        chosen,
        list(split.images.astype(np.float64)),
        goals,
        indices=numbers,
        seed=seed,
        trials=trials,
        on_progress=progress,
    )
    return AttackResult(found.attack, found.images)


def compare(
    network: Network,
    images: Split | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    backends: Sequence[str] | None = None,
    steps: int = 100,
    seed: int = 0,
    progress: Callable[[str, float, str], None] | None = None,
) -> Comparison:
    """Compare backends on the same input spikes with the reference dynamics, spike for spike.

    Parameters
    ----------
    network : Network
        In floating point, which is compared in fixed point too; or in fixed point.
    images : Split or float array, shape (images, height, width)
        Intensities in [0, 1].
    labels : int array, shape (images,), optional
        True classes; a split has its own.
    backends : sequence of str, optional
        Registered names; by default all that are available here.
    steps, seed : int, optional
        Time steps per image, and random seed of the input spikes.
    progress : callable, optional
        Called with the backend, the fraction of it that is done, and a few words.

    Raises
    ------
    NeuroattackError
        As :func:`neuroattack.experiments.comparison.comparison.compare`.
    """
    from neuroattack.deployment.backend import list_backends
    from neuroattack.experiments.comparison.comparison import compare as compare_backends

    split = _labeled(images, labels)
    names = [each.name for each in list_backends() if each.available]
    return compare_backends(
        network,
        split.images,
        split.labels,
        backends=names if backends is None else backends,
        steps=steps,
        seed=seed,
        on_progress=progress or _silent,
    )


def audit(
    network: Network | str | os.PathLike[str],
    dataset: Dataset,
    *,
    folder: str | os.PathLike[str],
    deployment: DeploymentSpec | str = "native",
    quick: bool = False,
    workers: int | None = None,
    progress: Callable[[str, float, str], None] | None = None,
) -> Card:
    """Run the fixed suite of attacks, noise and transformations against a network.

    Parameters
    ----------
    network : Network or path
        The network, or its file.
    dataset : Dataset
        Whose test images are shown.
    folder : path
        Where finished parts are kept: the same call resumes an interrupted audit.
    deployment : DeploymentSpec or str, optional
        Where the network is deployed, such as ``"native,profile=loihi1"``.
    quick : bool, optional
        Fewer queries and trials: less than a minute.
    workers : int, optional
        Processes; by default one per core. Results do not depend on it.
    progress : callable, optional
        Called with the part, the fraction that is done, and a few words.

    Raises
    ------
    NeuroattackError
        As :func:`neuroattack.experiments.audit.audit.audit`.
    """
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.experiments.audit.audit import audit as run_audit
    from neuroattack.experiments.audit.suite import QUICK, Suite
    from neuroattack.ir.network import Network
    from neuroattack.ir.storage import save_network

    spec = DeploymentSpec.from_text(deployment) if isinstance(deployment, str) else deployment
    suite, skipped = (QUICK if quick else Suite()).available()
    with tempfile.TemporaryDirectory(prefix="neuroattack-audit-") as temporary:
        if isinstance(network, Network):
            file = Path(temporary) / "network.h5"
            save_network(file, network)
        else:
            file = Path(network)
        return run_audit(
            file,
            dataset,
            spec,
            suite,
            Path(folder),
            skipped=skipped,
            workers=workers,
            on_progress=progress,
        )


def _silent(name: str, fraction: float, words: str) -> None:
    del name, fraction, words


def _labeled(images: Split | ArrayLike, labels: ArrayLike | None) -> Split:
    if isinstance(images, Split):
        if labels is not None:
            raise ValidationError("labels", "labels beside a split", "none: the split has its own")
        return images
    if labels is None:
        raise ValidationError("labels", "none", "the true class of each image, or a split")
    pixels, classes = np.asarray(images), np.asarray(labels)
    if classes.dtype.kind not in "iu" or classes.shape != pixels.shape[:1]:
        raise ValidationError(
            "labels",
            f"an array of {classes.dtype} of shape {classes.shape}",
            f"integers of shape {pixels.shape[:1]}",
        )
    return Split(pixels, classes)


def _goals(
    labels: Sequence[int],
    target_classes: int | Sequence[int] | Literal["random"] | None,
    seed: int,
    indices: Sequence[int],
    n_classes: int,
) -> list[Goal]:
    from neuroattack.attacks.result import Goal
    from neuroattack.experiments.seeds import random_target_class

    if target_classes == "random":
        return [
            Goal(label, random_target_class(seed, index, label, n_classes))
            for label, index in zip(labels, indices, strict=True)
        ]
    if target_classes is None or isinstance(target_classes, int):
        return [Goal(label, target_classes) for label in labels]
    if isinstance(target_classes, str) or len(target_classes) != len(labels):
        raise ValidationError(
            "target_classes", repr(target_classes), f"'random', a class, or {len(labels)} classes"
        )
    return [Goal(label, int(wanted)) for label, wanted in zip(labels, target_classes, strict=True)]


def _boxes_of(target: Target) -> OpenTarget:
    """Return the one target for searches and verifications: it draws its own trials."""
    from neuroattack.targets.defenses import QueryLimited

    def boxes(
        stream: int, budget: int | None = None, randomness: Randomness = "independent"
    ) -> Target:
        del stream, randomness
        return target if budget is None else QueryLimited(target, budget)

    return boxes
