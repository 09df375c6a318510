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
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.ir.network import Network

__all__ = ["compare", "evaluate"]


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
    if spec.changes_counts:
        raise ValidationError(
            "--defense", spec.defense, "random-rate or repeats, which change the network's trials"
        )
    with (
        spec.deploy(loaded, len(test.labels) * spec.trials_per_query) as deployed,
        console.progress_bars() as show,
    ):
        meter = ActivityMeter(deployed.fitted, spec.steps) if deployed.fitted else None
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


@with_deployment(leave_out=("backend", "precision", "encoder", "defense"), steps=100)
def compare(
    network: NetworkFile,
    deployment: GivenDeployment,
    backends: _Backends = None,
    dataset: NetworkDataset = None,
    images: Annotated[int, typer.Option(help="Number of test images, from the first.")] = 100,
    precision: _Precision = "both",
    out: _Out = None,
    json: Json = False,
) -> None:
    """Compare the spikes and the speed of simulator backends.

    Compares all spikes of each backend with the reference dynamics, and measures throughput,
    start-up time and memory. With --profile, also estimates the energy and the run time on the
    chip. The exit code is 1 if a spike differs or a backend fails.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.provenance import network_provenance
    from neuroattack.experiments.chips.metering import ActivityMeter
    from neuroattack.experiments.comparison import comparison
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network

    if out:
        from neuroattack.report.comparison import FIGURES, save_comparison

        check_writable(out / FIGURES)
    spec = deployment()
    loaded = load_network(network)
    fitted = _fitted(loaded, spec, precision)
    meter = None if fitted is None else ActivityMeter(fitted, spec.steps)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    chosen, missing = _backends(backends)
    with console.progress_bars() as show:
        result = comparison.compare(
            loaded,
            test.images,
            test.labels,
            backends=chosen,
            precisions=("floating", "fixed") if precision == "both" else (precision,),
            fitted=fitted,
            steps=spec.steps,
            seed=spec.seed,
            on_progress=show,
            observe=meter,
        )
    provenance = network_provenance(
        loaded,
        backends={each.backend: each.backend_version for each in result.backends.values()},
        precisions=sorted({each.precision for each in result.backends.values()}),
        steps=spec.steps,
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
