"""Commands that attack a deployed network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    Backend,
    BoundOption,
    DatasetName,
    Json,
    NetworkDataset,
    NormName,
    Queries,
    Seed,
    Steps,
    SubstituteNames,
    Trials,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, hardware_tables, tables

if TYPE_CHECKING:
    from neuroattack.attacks.goals import Goal
    from neuroattack.attacks.protocol import Attack
    from neuroattack.cli.arguments.images import ChosenImages
    from neuroattack.deployment.opening import OpenDeployment
    from neuroattack.deployment.spec import DeploymentSpec

__all__ = ["attack", "demo"]

Norm = Literal[NormName, "none"]


def demo(
    dataset: DatasetName = "digits",
    seed: Seed = 0,
    backend: Backend = "native",
    steps: Steps = None,
    out: Annotated[Path, typer.Option(help="Folder for models, results and report.")] = Path(
        "runs/demo"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    json: Json = False,
) -> None:
    """Train a network, attack it and write an HTML report.

    Attacks the same images with Algorithm 1 of Marchisio et al. (2020), or event samples with a
    pattern of events, and with the count-regression attack. Takes about a minute on the built-in
    digits, and a few minutes on MNIST.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.experiments.demo import MODEL, run_demo
    from neuroattack.experiments.training import checkpoint_of
    from neuroattack.files import check_writable
    from neuroattack.report.attack import PAGE, provenance_rows, save_report

    check_writable(out / PAGE)
    images = load_dataset(dataset)
    with (
        console.resumable(checkpoint_of(out / MODEL), out / MODEL),
        console.progress_bars() as show,
    ):
        result = run_demo(
            images,
            out,
            seed=seed,
            backend=backend,
            steps=steps,
            resume=resume,
            command=console.command_line(),
            on_progress=show,
        )
    page = save_report(
        out,
        result.results,
        result.as_json(),
        title=f"Attacks on a spiking network trained on {images.name}",
        provenance=provenance_rows(asdict(result.provenance)),
        dt_s=result.provenance.dt_s,
        evaluation=result.evaluation,
    )
    if json:
        console.print_json(result.as_json() | {"report": str(page)})
        return
    tables.print_evaluation(asdict(result.evaluation), result.model.rate_accuracy)
    tables.print_attacks([each.as_json() for each in result.results])
    console.note(f"Report: {page} (open it in a browser)")


_Network = Annotated[
    str,
    typer.Argument(
        help="Network file; address of a served network, https://HOST/v2/models/NAME; or, with "
        "--backend dnn, file of a conventional network."
    ),
]
_Attack = Annotated[
    str,
    typer.Option(
        "--attack",
        help="Attack: count-regression, greedy-window (Algorithm 1 of Marchisio et al., 2020), "
        "boundary, dvs-pattern, hop-skip-jump, one-pixel, p-rgf, random-noise, simba, sparse-rs, "
        "square, substitute-training, transfer, white-box (a reference with access to the "
        "network), zoo, "
        "or one that another package registers.",
    ),
]
_Norm = Annotated[
    Norm,
    typer.Option(
        metavar="<norm>",
        help="Norm of the bound: 'l0', 'l2', 'linf' or 'local-sd'; 'none' for attacks that do not "
        "require a bound, such as greedy-window. For event samples: 'events' (inserted and "
        "deleted), 'insertions', 'deletions', 'jitter', 'shift' or 'moved'.",
    ),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="<key=value>",
        help="Parameter of the attack; repeat the option for several.",
    ),
]
_Index = Annotated[str, typer.Option(help="Indices of the test images: 3, 0:20 or 1,5,9.")]
_Image = Annotated[
    Path | None,
    typer.Option(
        help="Image file (.npy, .png, ...) to attack instead of test images; needs --label."
    ),
]
_Label = Annotated[int | None, typer.Option(help="True class of --image.")]
_TargetClass = Annotated[
    str | None,
    typer.Option(
        help="Target class, or 'random' for a random one per image. Default: any wrong class."
    ),
]
_Goal = Annotated[
    Literal[
        "class",
        "output-spikes",
        "uncertainty",
        "spikes",
        "synaptic-operations",
        "energy",
        "latency",
    ],
    typer.Option(
        metavar="<goal>",
        help="Goal: 'class', another class; or more of a quantity while the class is kept: "
        "'output-spikes', 'uncertainty'; or with a meter (--meter) 'spikes', "
        "'synaptic-operations', 'energy' (--profile) or 'latency' (--exit).",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the report (HTML), the results (JSON) and the images (npz)."),
]


@with_deployment(target=True)
def attack(
    network: _Network,
    deployment: GivenDeployment,
    attack: _Attack = "count-regression",
    norm: _Norm = "l2",
    bound: BoundOption = "2",
    queries: Queries = 2000,
    settings: _Settings = None,
    substitutes: SubstituteNames = None,
    dataset: NetworkDataset = None,
    index: _Index = "0",
    image: _Image = None,
    label: _Label = None,
    target_class: _TargetClass = None,
    goal: _Goal = "class",
    trials: Trials = 50,
    out: _Out = None,
    json: Json = False,
) -> None:
    """Attack images of a deployed network as a black box.

    Each adversarial image is verified on fresh trials. The success rate is the fraction of them
    that reach the goal, with a 95 % confidence interval; queries of the search do not count.
    """
    from neuroattack.cli.arguments.images import choose_images
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.opening import open_target
    from neuroattack.deployment.spec import is_address
    from neuroattack.experiments.attack import attack_images
    from neuroattack.ir.storage import load_network
    from neuroattack.targets.black_box import METERS

    if out:
        from neuroattack.files import check_writable
        from neuroattack.report.attack import PAGE

        check_writable(out / PAGE)
    spec = deployment(backend=network) if is_address(network) else deployment()
    if spec.reading is not None and spec.reading.quantity != goal:
        expected = repr(goal) if goal in METERS else "none"
        raise ValidationError("--meter", repr(spec.meter), f"{expected} with --goal {goal}")
    if goal in METERS:
        spec = spec.metered(goal)
    made = _made(attack, norm, bound, queries, settings or [], substitutes)
    loaded = load_network(network) if spec.kind == "network" else None
    dnn = Path(network) if spec.kind == "dnn" else None
    source = None
    if image is None:
        source = load_dataset_of(dataset, {} if loaded is None else loaded.origin)
        spec = spec.for_samples(loaded, source.test.images)
    elif dataset is not None:
        raise ValidationError("--dataset", dataset, "no data set together with --image")
    with open_target(spec, loaded, dnn) as opened, console.progress_bars() as show:
        chosen = choose_images(opened.image_shape, source, index, image, label)
        result = attack_images(
            opened,
            made,
            chosen.pixels,
            _goals(chosen, goal, target_class, spec.seed, opened.n_classes),
            indices=chosen.indices,
            seed=spec.seed,
            trials=trials,
            search_randomness=spec.search_randomness,
            costs=opened,
            on_progress=lambda fraction, status: show("Attacking", fraction, status),
        )
        figures = result.as_json() | _origin(opened, chosen)
    if json:
        console.print_json(figures)
    else:
        tables.print_attacks([figures])
        if "hardware" in figures:
            hardware_tables.print_losses(figures["hardware"])
        if opened.deployment is not None and not opened.deployment.is_random:
            console.note("The input is not random: all trials of an image are identical.")
    if out:
        _save(out, result, figures, spec, Path(network).name)


def _made(
    name: str,
    norm: Norm,
    bound: str,
    queries: int,
    settings: list[str],
    substitutes: list[str] | None,
) -> Attack:
    from neuroattack.attacks.bounds import Bound
    from neuroattack.attacks.registry import make_attack
    from neuroattack.experiments.substitutes import KEY, prepare_substitutes

    text = f"{norm.replace('-', '_')}={bound}"
    within = None if norm == "none" else Bound.from_text(text)
    values = dict(map(_setting, settings))
    if substitutes:
        values[KEY] = substitutes
    made = make_attack(name, within, queries, 0, values)
    with console.progress_bars() as show:
        prepare_substitutes([values], lambda fraction: show("Training substitutes", fraction, ""))
    return made


def _setting(text: str) -> tuple[str, Any]:
    """Return key and value of ``key=value``, the value read as in TOML, or as text."""
    from neuroattack.files import toml_value

    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ValidationError("--set", repr(text), "key=value")
    return key.strip(), toml_value(value.strip())


def _goals(
    chosen: ChosenImages, goal: Any, target_class: str | None, seed: int, n_classes: int
) -> list[Goal]:
    from neuroattack.attacks.goals import Goal
    from neuroattack.experiments.seeds import random_target_class

    if goal != "class":
        if target_class is not None:
            raise ValidationError("--target-class", target_class, f"none with --goal {goal}")
        return [Goal(label, maximize=goal) for label in chosen.labels]
    if target_class is None:
        return [Goal(label) for label in chosen.labels]
    if target_class == "random":
        return [
            Goal(label, random_target_class(seed, index, label, n_classes))
            for index, label in zip(chosen.indices, chosen.labels, strict=True)
        ]
    if not target_class.isdecimal():
        raise ValidationError(
            "--target-class", repr(target_class), "a class such as 3, or 'random'"
        )
    return [Goal(label, int(target_class)) for label in chosen.labels]


def _origin(opened: OpenDeployment, chosen: ChosenImages) -> dict[str, Any]:
    """Return deployment, hardware and provenance for JSON and report."""
    from neuroattack.deployment.provenance import provenance_of
    from neuroattack.provenance import machine_text, versions_text

    command = console.command_line()
    found: dict[str, Any] = {"deployment": str(opened.spec)}
    deployment = opened.deployment
    if deployment is None:
        origin: dict[str, Any] = {
            "command": command,
            "dataset": chosen.name,
            "dataset_checksum": chosen.checksum,
            "versions": versions_text(),
            "machine": machine_text(),
        }
        return found | {"provenance": origin}
    provenance = provenance_of(deployment, chosen.name, chosen.checksum, command)
    if deployment.fitted is not None:
        found["hardware"] = deployment.fitted.as_json()
    return found | {"provenance": asdict(provenance)}


def _save(out: Path, result: Any, figures: dict[str, Any], spec: DeploymentSpec, name: str) -> None:
    from neuroattack.report.attack import provenance_rows, save_report

    page = save_report(
        out,
        [result],
        figures,
        title=f"{figures['attack']} on {name}",
        provenance=[("Deployment", str(spec)), *provenance_rows(figures["provenance"])],
        dt_s=figures["provenance"].get("dt_s", 1e-3),
    )
    console.note(f"Report: {page} (open it in a browser)")
