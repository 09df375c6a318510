"""Commands that measure a deployed network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuroattack.cli.chips import Chip, chosen_chip
from neuroattack.cli.options import (
    AllowLossy,
    Backend,
    Json,
    NetworkDataset,
    NetworkFile,
    Precision,
    ProfileName,
    Seed,
    Steps,
    WeightRounding,
    WeightScale,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, hardware_tables, tables

if TYPE_CHECKING:
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.ir.network import Network

__all__ = ["compare", "evaluate"]


def evaluate(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    images: Annotated[
        int | None, typer.Option(help="Test images, the first so many; by default all.")
    ] = None,
    steps: Steps = 350,
    backend: Backend = "native",
    precision: Precision = None,
    profile: ProfileName = None,
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="JSON file for the figures and where they come from.")
    ] = None,
    json: Json = False,
) -> None:
    """Classify test images with the deployed network, and count its spikes."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.deployment import deploy
    from neuroattack.deployment.provenance import provenance_of
    from neuroattack.experiments import evaluation
    from neuroattack.experiments.metering import ActivityMeter
    from neuroattack.files import check_writable, write_json
    from neuroattack.ir.storage import load_network

    if out:
        check_writable(out)
        console.check_other_file("--out", out, network)
    chip = chosen_chip(
        profile,
        allow_lossy=allow_lossy,
        weight_scale=weight_scale,
        weight_rounding=weight_rounding,
        seed=seed,
    )
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    with (
        deploy(
            loaded,
            backend=backend,
            precision=precision,
            profile=chip.profile,
            rounding=chip.rounding,
            steps=steps,
            seed=seed,
            expected_images=len(test.labels),
        ) as deployment,
        console.progress_bars() as show,
    ):
        meter = ActivityMeter(deployment.fitted, steps) if deployment.fitted else None
        found = evaluation.evaluate(
            deployment,
            test.images,
            test.labels,
            lambda done, correct: show(
                "Evaluating", done / len(test.labels), f"{correct}/{done} correct"
            ),
            observe=meter,
            record_spikes=deployment.needs_spikes,
        )
    provenance = provenance_of(deployment, source.name, source.checksum, console.command_line())
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


def compare(
    network: NetworkFile,
    backends: Annotated[
        str | None,
        typer.Option(help="Names with commas between; by default all that can run here."),
    ] = None,
    dataset: NetworkDataset = None,
    images: Annotated[int, typer.Option(help="Test images, the first so many.")] = 100,
    steps: Steps = 100,
    precision: Annotated[
        Literal["floating", "fixed", "both"],
        typer.Option(help="Arithmetic; 'fixed' is Loihi's formats, or those of --profile."),
    ] = "both",
    profile: ProfileName = None,
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures (JSON) and the pictures (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """Hold backends to the exact dynamics, spike for spike, and measure each.

    Every spike of every population and step is compared with the plain executable form of the
    dynamics, on the same input spikes. Exit code 1 if a spike or a count differs.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.backend import list_backends
    from neuroattack.deployment.provenance import network_provenance
    from neuroattack.experiments import comparison
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network

    if out:
        from neuroattack.report.comparison import FIGURES, save_comparison

        check_writable(out / FIGURES)
    chip = chosen_chip(
        profile,
        allow_lossy=allow_lossy,
        weight_scale=weight_scale,
        weight_rounding=weight_rounding,
        seed=seed,
    )
    loaded = load_network(network)
    fitted = _fitted(loaded, chip, precision)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    missing = []
    if backends is None:
        found = list_backends()
        chosen = [backend.name for backend in found if backend.available]
        missing = [backend for backend in found if not backend.available]
    else:
        chosen = list(dict.fromkeys(name.strip() for name in backends.split(",")))
    with console.progress_bars() as show:
        result = comparison.compare(
            loaded,
            test.images,
            test.labels,
            backends=chosen,
            precisions=("floating", "fixed") if precision == "both" else (precision,),
            fitted=fitted,
            steps=steps,
            seed=seed,
            on_progress=show,
        )
    provenance = network_provenance(
        loaded,
        backends={each.backend: each.backend_version for each in result.backends.values()},
        precisions=sorted({each.precision for each in result.backends.values()}),
        steps=steps,
        seed=seed,
        dataset=source.name,
        dataset_checksum=source.checksum,
        command=console.command_line(),
        profile=None if fitted is None else fitted.profile,
    )
    hardware = {} if fitted is None else {"hardware": fitted.as_json()}
    figures = result.as_json() | hardware | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        tables.print_comparison(figures)
        if fitted is not None:
            hardware_tables.print_losses(figures["hardware"])
    if out:
        for path in save_comparison(out, result, provenance, hardware).values():
            console.note(f"Written: {path}")
    for backend in missing:
        console.note(f"Left out: {backend.name}: {backend.reason}")
    if not result.agree:
        console.note("Not all backends do as the plain dynamics do.")
        raise typer.Exit(1)


def _fitted(network: Network, chip: Chip, precision: str) -> Fitted | None:
    """Return a network on the chip that was named; None where none was."""
    if chip.profile is None:
        return None
    if precision == "floating":
        raise ValidationError("--precision", "'floating'", "'fixed' or 'both' beside --profile")
    from neuroattack.hardware.fitting import fit

    return fit(network, chip.profile, chip.rounding)
