"""Commands that evaluate a network and compare backends."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    Images,
    Json,
    NetworkDataset,
    NetworkFile,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, hardware_tables, tables

if TYPE_CHECKING:
    from neuroattack.deployment.backend import BackendInfo
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.experiments.divergence.sides import Side
    from neuroattack.experiments.transfer import TransferSettings
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.ir.network import Network

__all__ = ["compare", "evaluate"]

_USUAL_STEPS = 100


@with_deployment()
def evaluate(
    network: NetworkFile,
    deployment: GivenDeployment,
    dataset: NetworkDataset = None,
    images: Images = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file for the results and their provenance.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure accuracy, spikes and synaptic operations."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.provenance import provenance_of
    from neuroattack.experiments import evaluation
    from neuroattack.experiments.chips.metering import ActivityMeter
    from neuroattack.files import check_writable, write_json
    from neuroattack.ir.storage import load_network

    if out:
        check_writable(out)
        console.check_other_file("--out", out, network)
    spec = deployment()
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    spec = spec.for_samples(loaded, test.images)
    if spec.changes_counts:
        raise ValidationError(
            "--defense", spec.defense, "a defense that changes the network's trials"
        )
    with (
        spec.deploy(loaded, len(test.labels) * spec.trials_per_query) as deployed,
        console.progress_bars() as show,
    ):
        meter = ActivityMeter(deployed.fitted, deployed.steps) if deployed.fitted else None
        found = evaluation.evaluate(
            deployed,
            test.images,
            test.labels,
            lambda done, correct: show(
                "Evaluating", done / len(test.labels), f"{correct}/{done} correct"
            ),
            observe=meter,
            record_spikes=deployed.needs_spikes,
            trials=spec.trials_per_query,
        )
    provenance = provenance_of(deployed, source.name, source.checksum, console.command_line())
    figures = asdict(found) | {"provenance": asdict(provenance)}
    if meter is not None:
        figures |= {"hardware": meter.as_json()}
    if json:
        console.print_json(figures)
    else:
        tables.print_evaluation(figures, None)
        if meter is not None:
            hardware_tables.print_hardware(figures["hardware"])
    if out:
        write_json(out, figures)


_Backends = Annotated[
    str | None,
    typer.Option(help="Simulator backends, comma-separated. Default: all available ones."),
]
_Precision = Annotated[
    Literal["floating", "fixed", "both"],
    typer.Option(help="Arithmetic: 'fixed' uses Loihi's number formats, or those of --profile."),
]
_Out = Annotated[
    Path | None, typer.Option(help="Folder for the results (JSON) and the figures (PNG).")
]


_Steps = Annotated[
    int | None,
    typer.Option(help="Time steps T per image. Default: 100, or that of the event samples."),
]
_First = Annotated[
    str | None,
    typer.Argument(
        metavar="a",
        help="First of two simulations to compare with each other: a deployment such as brian2 or "
        "native,profile=loihi1, or a file of recorded spikes (.npz).",
    ),
]
_Second = Annotated[str | None, typer.Argument(metavar="b", help="Second simulation.")]
_Transfer = Annotated[
    int,
    typer.Option(
        help="Number of images that are attacked on A and on B; the adversarial images are "
        "verified on both. 0: none.",
        rich_help_panel="Evaluation",
    ),
]


@with_deployment(
    leave_out=("backend", "device", "precision", "encoder", "steps", "exit", "defense")
)
def compare(
    network: NetworkFile,
    deployment: GivenDeployment,
    a: _First = None,
    b: _Second = None,
    backends: _Backends = None,
    dataset: NetworkDataset = None,
    images: Annotated[int, typer.Option(help="Number of test images, from the first.")] = 100,
    precision: _Precision = "both",
    steps: _Steps = None,
    transfer: _Transfer = 0,
    out: _Out = None,
    json: Json = False,
) -> None:
    """Compare the spikes of simulators.

    Without A and B: compares all spikes of each backend with the reference dynamics, and measures
    throughput, start-up time and memory. With --profile, also estimates the energy and the run time
    on the chip.

    With A and B: locates the first spike that differs between the two, shows the potential and the
    input of its neuron, and classifies the cause: rounding, refractory period, reset, delay,
    arrival order, integration, saturation or weight quantization. --out also writes the spikes of
    both.

    The exit code is 1 if a spike or an output potential differs, or a backend fails.
    """
    spec = deployment(steps=steps)
    if a is None:
        if transfer:
            raise ValidationError("--transfer", transfer, "two deployments to compare")
        _compare_backends(network, spec, backends, dataset, images, precision, out, json=json)
    elif b is None:
        raise ValidationError("compare", f"only {a!r}", "two simulations, A and B")
    else:
        if backends is not None or spec.profile is not None or precision != "both":
            raise ValidationError(
                "compare", "--backends, --profile or --precision",
                f"settings of A and B in their text, such as {a},precision=fixed",
            )  # fmt: skip
        _compare_two(network, (a, b), spec, dataset, images, transfer, out, json=json)


def _compare_backends(
    network: Path,
    spec: DeploymentSpec,
    backends: str | None,
    dataset: str | None,
    images: int,
    precision: Literal["floating", "fixed", "both"],
    out: Path | None,
    *,
    json: bool,
) -> None:
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.provenance import network_provenance
    from neuroattack.experiments.chips.metering import ActivityMeter
    from neuroattack.experiments.comparison import comparison
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network

    if out:
        from neuroattack.report.comparison import FIGURES, save_comparison

        check_writable(out / FIGURES)
    loaded = load_network(network)
    fitted = _fitted(loaded, spec, precision)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    steps = loaded.input.time_steps(spec.steps, test.images.shape, default=_USUAL_STEPS)
    meter = None if fitted is None else ActivityMeter(fitted, steps)
    chosen, missing = _backends(backends)
    with console.progress_bars() as show:
        result = comparison.compare(
            loaded,
            test.images,
            test.labels,
            backends=chosen,
            precisions=("floating", "fixed") if precision == "both" else (precision,),
            fitted=fitted,
            steps=steps,
            seed=spec.seed,
            on_progress=show,
            observe=meter,
        )
    provenance = network_provenance(
        loaded,
        backends={each.backend: each.backend_version for each in result.backends.values()},
        precisions=sorted({each.precision for each in result.backends.values()}),
        steps=steps,
        seed=spec.seed,
        dataset=source.name,
        dataset_checksum=source.checksum,
        command=console.command_line(),
        profile=None if fitted is None else fitted.profile,
    )
    hardware = {} if meter is None else {"hardware": meter.as_json()}
    figures = result.as_json() | hardware | {"provenance": asdict(provenance)}
    _print_comparison(figures, missing, json)
    if out:
        for path in save_comparison(out, result, provenance, hardware):
            console.note(f"Written: {path}")
    _end(agree=result.agree)


def _compare_two(
    network: Path,
    texts: tuple[str, str],
    spec: DeploymentSpec,
    dataset: str | None,
    images: int,
    transfer: int,
    out: Path | None,
    *,
    json: bool,
) -> None:
    from neuroattack.datasets import load_dataset_of
    from neuroattack.experiments.chips.cells import cell_folder
    from neuroattack.experiments.divergence.diagnosis import diagnose
    from neuroattack.experiments.divergence.sides import record, side_from_text
    from neuroattack.experiments.transfer import transfer as run_transfer
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network
    from neuroattack.provenance import versions_text
    from neuroattack.report.terminal.divergence_tables import print_diagnosis

    if out:
        from neuroattack.report.divergence import FIGURES, save_diagnosis

        check_writable(out / FIGURES)
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    steps = loaded.input.time_steps(spec.steps, test.images.shape, default=_USUAL_STEPS)
    sides = tuple(side_from_text(text, steps=steps, seed=spec.seed) for text in texts)
    settings = _transfer_settings(sides, transfer, spec.seed)
    with console.progress_bars() as show:
        show("Simulation", 0.0, "")
        recorded = record(
            loaded,
            test.images,
            (sides[0], sides[1]),
            steps=steps,
            seed=spec.seed,
        )
        show("Simulation", 1.0, "")
        found = diagnose(*recorded, on_progress=show)
        transferred = None
        if settings is not None:
            with cell_folder(out) as folder:
                transferred = run_transfer(
                    network, None, source, settings, folder, on_progress=show
                ).as_json()
    figures = found.as_json() | {
        "seed": spec.seed,
        "transfer": transferred,
        "provenance": {
            "command": console.command_line(),
            "network_checksum": loaded.checksum(),
            "dataset": source.name,
            "dataset_checksum": source.checksum,
            "versions": versions_text(),
        },
    }
    if json:
        console.print_json(figures)
    else:
        print_diagnosis(figures)
        if transferred is not None:
            tables.print_transfer(transferred)
    if out:
        for path in save_diagnosis(out, found, recorded, figures):
            console.note(f"Written: {path}")
    if not found.agree:
        raise typer.Exit(1)


def _transfer_settings(sides: tuple[Side, ...], images: int, seed: int) -> TransferSettings | None:
    """Return the settings of the transfer between two deployments; None for 0 images."""
    if not images:
        return None
    from neuroattack.experiments.transfer import TransferSettings
    from neuroattack.validation import check_integer

    specs = tuple(side for side in sides if not isinstance(side, Path))
    if len(specs) < len(sides):
        raise ValidationError("--transfer", images, "two deployments, not files of spikes")
    return TransferSettings(specs, images=check_integer("--transfer", images, 1), seed=seed)


def _end(*, agree: bool) -> None:
    if not agree:
        console.note("Not all backends reproduce the reference dynamics.")
        raise typer.Exit(1)


def _print_comparison(figures: dict[str, Any], missing: list[BackendInfo], json: bool) -> None:
    if json:
        console.print_json(figures)
    else:
        tables.print_comparison(figures)
        if "hardware" in figures:
            hardware_tables.print_hardware(figures["hardware"])
    for backend in missing:
        console.note(f"Skipped: {backend.name}: {backend.reason}")


def _backends(names: str | None) -> tuple[list[str], list[BackendInfo]]:
    """Return the backends to compare, and by default also the unavailable ones."""
    from neuroattack.deployment.backend import list_backends

    if names is not None:
        return list(dict.fromkeys(name.strip() for name in names.split(","))), []
    found = list_backends()
    available = [backend.name for backend in found if backend.available]
    return available, [backend for backend in found if not backend.available]


def _fitted(network: Network, spec: DeploymentSpec, precision: str) -> Fitted | None:
    """Return the network mapped to the hardware profile; None without one."""
    if spec.profile is None:
        return None
    if precision == "floating":
        raise ValidationError(
            "--precision", "'floating'", "'fixed' or 'both' together with --profile"
        )
    from neuroattack.hardware.fitting import fit
    from neuroattack.hardware.profiles.files import load_profile

    return fit(network, load_profile(spec.profile), spec.rounding)
