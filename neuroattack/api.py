"""Public functions; :mod:`neuroattack` lists all public names."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from neuroattack.datasets import Dataset, Split
from neuroattack.errors import FileError, ValidationError

if TYPE_CHECKING:
    from neuroattack.attacks.goals import Goal, Quantity
    from neuroattack.attacks.protocol import Attack
    from neuroattack.deployment.deployment import Deployment
    from neuroattack.deployment.opening import OpenDeployment, OpenTarget
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.experiments.audit.card import Card
    from neuroattack.experiments.comparison.comparison import Comparison
    from neuroattack.experiments.divergence.diagnosis import Diagnosis
    from neuroattack.experiments.divergence.sides import Side
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
    "diagnose",
    "evaluate",
    "fine_tune",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "import_nir",
    "load",
    "save",
    "train",
]

_COMPARED_STEPS = 100


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
        Training and test images. The test split is used to measure accuracy only.
    recipe : str, optional
        Name of a recipe in :data:`neuroattack.training.recipes.RECIPES`.
    seed : int, optional
        Random seed. The same seed gives the same network on the same machine.
    progress : callable, optional
        Called with a :class:`~neuroattack.training.recipes.Progress` after every epoch.

    Returns
    -------
    SDBN
        Rate-based model; :func:`convert` converts it to a spiking network.

    Raises
    ------
    UnknownNameError
        If the recipe is unknown.
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
        Model from :func:`train` or :func:`load`.
    **settings
        As in :func:`neuroattack.training.conversion.convert`: ``dt_s``, ``input_rate_hz``,
        ``readout_gain``, ``encoder``.

    Raises
    ------
    ValidationError
        If the model is not an SDBN, or a setting is out of range.
    """
    from neuroattack.training.conversion import convert as convert_model
    from neuroattack.training.sdbn import SDBN

    if not isinstance(model, SDBN):
        raise ValidationError("model", f"a {type(model).__name__}", "an SDBN")
    return convert_model(model, **settings).network


def fine_tune(network: Network, dataset: Dataset, **settings: Any) -> Network:
    """Train the weights of a spiking network through time, by surrogate gradients.

    Parameters
    ----------
    network : Network
        Converted or imported network in floating point.
    dataset : Dataset
        Training samples; the test split is used to measure accuracy only.
    **settings
        As in :func:`neuroattack.training.through_time.train_through_time`, such as ``epochs``.

    Raises
    ------
    BackendUnavailableError
        If PyTorch is not installed.
    UnsupportedFeatureError, ValidationError
        If the network is in fixed point, or a setting or the data set does not fit.
    """
    from neuroattack.training.through_time import train_through_time

    return train_through_time(network, dataset, **settings)


def load(path: str | os.PathLike[str]) -> Network | SDBN | MLP:
    """Read a network or a model from a file.

    Returns
    -------
    Network, SDBN or MLP
        Content of the file.

    Raises
    ------
    FileError
        If the file is missing or damaged, or contains something else.
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
        raise FileError(path, f"contains a {kind}, expected a network or a model")
    return readers[kind](path)


def save(path: str | os.PathLike[str], saved: Network | SDBN | MLP) -> None:
    """Write a network or a model to a file, atomically.

    Raises
    ------
    ValidationError
        If `saved` is neither.
    OutputError
        If the file cannot be written; an existing file is unchanged.
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
        As in :func:`neuroattack.ir.nir.importing.import_nir`, which also reports information lost
        in the conversion.

    Raises
    ------
    FileError
        If the file is invalid or uses unsupported features; the message names them.
    """
    from neuroattack.ir.nir.importing import import_nir as import_file

    return import_file(path, **settings).network


def from_snntorch(module: Any, input_shape: tuple[int, ...], **settings: Any) -> Network:
    """Import a trained network of snnTorch, through its NIR exporter.

    Parameters
    ----------
    module : torch.nn.Module
        Trained network; it is not changed.
    input_shape : tuple of int
        Shape of one image as the network's input, without a batch axis, such as ``(1, 28, 28)``.
    **settings
        As in :func:`neuroattack.ir.nir.importing.import_nir`; at least `encoder`.

    Raises
    ------
    BackendUnavailableError
        If snnTorch or nir is not installed.
    UnsupportedFeatureError, ValidationError
        If the network cannot be imported exactly; the message names the layer.
    """
    from neuroattack.ir.nir import frameworks

    return frameworks.from_snntorch(module, input_shape, **settings).network


def from_norse(module: Any, input_shape: tuple[int, ...], **settings: Any) -> Network:
    """Import a trained network of Norse, like :func:`from_snntorch`."""
    from neuroattack.ir.nir import frameworks

    return frameworks.from_norse(module, input_shape, **settings).network


def from_spikingjelly(module: Any, input_shape: tuple[int, ...], **settings: Any) -> Network:
    """Import a trained network of SpikingJelly, like :func:`from_snntorch`."""
    from neuroattack.ir.nir import frameworks

    return frameworks.from_spikingjelly(module, input_shape, **settings).network


def evaluate(
    deployment: Deployment, images: Split | ArrayLike, labels: ArrayLike | None = None
) -> Evaluation:
    """Measure the accuracy and the spike counts of a deployed network.

    Parameters
    ----------
    deployment : Deployment
        Deployment from :func:`neuroattack.deploy`.
    images : Split or float array, shape (images, ...)
        Intensities in [0, 1].
    labels : int array, shape (images,), optional
        True classes; omitted for a split, which contains them.

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
    maximize: Quantity | None = None,
    meter_noise: float = 0.0,
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
        Deployment from :func:`neuroattack.deploy`, black box from :func:`neuroattack.target`,
        wrapper of :mod:`neuroattack.defenses`, or
        :class:`~neuroattack.remote.client.RemoteTarget`. For all but deployments, the query budget
        includes the verification.
    images : Split or float array, shape (images, ...)
        Clean images, intensities in [0, 1].
    labels : int array, shape (images,)
        True classes; omitted for a split, which contains them.
    attack : Attack
        Attack, for example ``neuroattack.attacks.CountRegression(neuroattack.L2(2.0))``.
    target_classes : int, sequence of int, or "random", optional
        Target class: one for all images, one per image, or a random wrong class per image. By
        default the attack is untargeted: any wrong class is a success.
    maximize : str, optional
        Quantity to maximize while the true class is kept, such as ``"energy"``; see
        :class:`neuroattack.attacks.goals.Goal`. Then the success rate is that of keeping the class,
        and ``increases`` of the result are the increases of all quantities.
    meter_noise : float, optional
        Relative noise of the meter that reads the quantity of a deployment.
    trials : int, optional
        Number of fresh trials per adversarial image, and as many per clean image.
    seed : int, optional
        Random seed of the attacks; each image has its own, derived from the seed and its index.
    indices : sequence of int, optional
        Index of each image, which with the target class selects its random streams. By default
        the indices of the split, or 0, 1, 2 and so on.
    progress : callable, optional
        Called with the completed fraction and a status text.

    Returns
    -------
    AttackResult
        Success rate with its 95 % interval, clean error rate, and images.

    Raises
    ------
    ValidationError
        If images, labels, target classes or indices do not fit, or the target's budget is too small
        for the search and verification of all images.
    UnsupportedFeatureError
        If the attack is score-based and the target returns labels, or it is a white-box attack and
        the target is not a deployment.
    """
    from neuroattack.attacks.protocol import check_kind
    from neuroattack.deployment.deployment import Deployment
    from neuroattack.experiments.attack import attack_images
    from neuroattack.report.attack_result import AttackResult
    from neuroattack.targets.black_box import METERS

    if isinstance(images, Split) and attack is None:
        labels, attack = None, labels
    if not hasattr(attack, "run"):
        raise ValidationError("attack", repr(attack), "an attack of neuroattack.attacks")
    if meter_noise and (maximize not in METERS or not isinstance(target, Deployment)):
        raise ValidationError(
            "meter_noise", meter_noise, "0, except for a deployment and a quantity with a meter"
        )
    chosen: Attack = attack  # type: ignore[assignment]  # checked
    split = _labeled(images, labels)  # type: ignore[arg-type]  # checked there
    numbers = split.indices.tolist() if indices is None else list(indices)
    if len(numbers) != len(split):
        raise ValidationError("indices", f"{len(numbers)} indices", f"{len(split)}, one per image")
    boxes: OpenTarget
    costs = None
    if isinstance(target, Deployment):
        boxes, n_classes = target.black_box, target.network.classes
        if maximize is not None:
            boxes = costs = _metered(target, maximize, meter_noise)
    else:
        check_kind(chosen, target)
        needed = len(split) * (2 * trials + (getattr(chosen, "queries", None) or 0))
        if target.remaining is not None and target.remaining < needed:
            raise ValidationError(
                "query budget of the target",
                target.remaining,
                f"at least {needed}: per image, the attack's queries and 2 x {trials} trials",
            )
        boxes, n_classes = _boxes_of(target), target.n_classes
    goals = _goals(split.labels.tolist(), target_classes, maximize, seed, numbers, n_classes)
    result = attack_images(
        boxes,
        chosen,
        list(split.images.astype(np.float64)),
        goals,
        indices=numbers,
        seed=seed,
        trials=trials,
        costs=costs,
        deployment=target if isinstance(target, Deployment) else None,
        on_progress=progress,
    )
    return AttackResult(result.attack, result.images)


def compare(
    network: Network,
    images: Split | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    backends: Sequence[str] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[str, float, str], None] | None = None,
) -> Comparison:
    """Compare the spikes of backends with those of the reference dynamics on the same input.

    Parameters
    ----------
    network : Network
        Network. A floating-point network is also compared in fixed point.
    images : Split or float array, shape (images, ...)
        Intensities in [0, 1].
    labels : int array, shape (images,), optional
        True classes; omitted for a split, which contains them.
    backends : sequence of str, optional
        Names of backends; by default all available ones.
    steps : int, optional
        Number of time steps per image; by default 100, or that of event samples.
    seed : int, optional
        Random seed of the input spikes.
    progress : callable, optional
        Called with the backend, its completed fraction and a status text.

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
        steps=network.input.time_steps(steps, split.images.shape, default=_COMPARED_STEPS),
        seed=seed,
        on_progress=progress or _silent,
    )


def diagnose(
    network: Network,
    images: ArrayLike,
    a: Side | str,
    b: Side | str,
    *,
    steps: int | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Locate and explain the first spike in which two simulations of a network differ.

    Parameters
    ----------
    network : Network
        Network of both simulations.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; the position of an image is its index in the random stream.
    a, b : str, DeploymentSpec or path
        The simulations: deployments such as ``"native,profile=loihi1"``, or npz files with recorded
        spikes (:mod:`neuroattack.deployment.spike_files`).
    steps : int, optional
        Number of time steps per image; by default 100, or that of event samples.
    seed : int, optional
        Random seed of the input spikes.

    Raises
    ------
    NeuroattackError
        If a simulation cannot be read or run, or the two cannot be compared.
    """
    from neuroattack.encoding.images import validate_images
    from neuroattack.experiments.divergence import diagnosis
    from neuroattack.experiments.divergence.sides import record, side_from_text

    steps = network.input.time_steps(steps, np.shape(images), default=_COMPARED_STEPS)
    rows = validate_images(images, network.input.sample_shape(steps)).astype(np.float32)
    one, other = (
        side_from_text(each, steps=steps, seed=seed) if isinstance(each, str) else each
        for each in (a, b)
    )
    return diagnosis.diagnose(*record(network, rows, (one, other), steps=steps, seed=seed))


def audit(
    network: Network | str | os.PathLike[str],
    dataset: Dataset,
    *,
    folder: str | os.PathLike[str],
    deployment: DeploymentSpec | str = "native",
    quick: bool = False,
    goals: Sequence[str] = ("class",),
    substitutes: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[str, float, str], None] | None = None,
) -> Card:
    """Run a fixed suite of tests: noise, attacks, transfer, transformations and energy.

    Parameters
    ----------
    network : Network or path
        Network or network file.
    dataset : Dataset
        Data set whose test images are used.
    folder : path
        Folder for finished cells; the same call resumes an interrupted audit.
    deployment : DeploymentSpec or str, optional
        Deployment of the network, such as ``"native,profile=loihi1"``.
    quick : bool, optional
        Whether to use fewer queries and trials, for less than a minute.
    goals : sequence of str, optional
        Goals: ``"class"``, and in addition quantities such as ``"energy"``, and ``"faults"``; see
        :class:`neuroattack.experiments.audit.suite.Suite`.
    substitutes : sequence of str, optional
        Data sets or files of models of an attacker with data, to add ``transfer`` and
        ``count-regression`` with substitutes.
    workers : int, optional
        Number of processes; by default one per core. Results do not depend on it.
    progress : callable, optional
        Called with the stage, its completed fraction and a status text.

    Raises
    ------
    NeuroattackError
        As :func:`neuroattack.experiments.audit.audit.audit`.
    """
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.experiments.audit.audit import audit as run_audit
    from neuroattack.experiments.audit.suite import QUICK, Suite
    from neuroattack.ir.network import Network
    from neuroattack.ir.storage import load_network, save_network

    spec = DeploymentSpec.from_text(deployment) if isinstance(deployment, str) else deployment
    loaded = network if isinstance(network, Network) else load_network(network)
    chosen = replace(
        QUICK if quick else Suite(), goals=tuple(goals), substitutes=tuple(substitutes)
    )
    steps = loaded.input.time_steps(spec.steps, dataset.test.images.shape)
    suite, skipped = chosen.fitting(dataset).available(
        loaded.input.sample_shape(steps), loaded.classes
    )
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


def _silent(name: str, fraction: float, status: str) -> None:
    del name, fraction, status


def _labeled(images: Split | ArrayLike, labels: ArrayLike | None) -> Split:
    if isinstance(images, Split):
        if labels is not None:
            raise ValidationError(
                "labels", "labels in addition to a split", "a split without labels"
            )
        return images
    if labels is None:
        raise ValidationError(
            "labels", "none", "the true class of each image, or a split of a data set"
        )
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
    maximize: Quantity | None,
    seed: int,
    indices: Sequence[int],
    n_classes: int,
) -> list[Goal]:
    from neuroattack.attacks.goals import Goal
    from neuroattack.experiments.seeds import random_target_class

    if maximize is not None:
        if target_classes is not None:
            raise ValidationError("target_classes", repr(target_classes), "none with maximize")
        return [Goal(label, maximize=maximize) for label in labels]
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
    return [Goal(label, int(each)) for label, each in zip(labels, target_classes, strict=True)]


def _metered(deployment: Deployment, quantity: str, noise: float) -> OpenDeployment:
    """Return a deployment with the meter of a quantity, if it needs one."""
    from neuroattack.deployment.meters import Meter
    from neuroattack.deployment.opening import OpenDeployment
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.targets.black_box import METERS

    meter = Meter(quantity, noise) if quantity in METERS else None
    spec = DeploymentSpec(meter=None if meter is None else f"{quantity}:{noise}")
    return OpenDeployment(
        spec,
        functools.partial(deployment.black_box, meter=meter),
        deployment.image_shape,
        deployment.network.classes,
        deployment,
    )


def _boxes_of(target: Target) -> OpenTarget:
    """Return a function that returns this target for every random stream."""
    from neuroattack.targets.defenses import QueryLimited

    def boxes(
        stream: int, budget: int | None = None, randomness: Randomness = "independent"
    ) -> Target:
        del stream, randomness
        return target if budget is None else QueryLimited(target, budget)

    return boxes
