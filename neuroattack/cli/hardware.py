"""Commands that hold a network as chips would."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from neuroattack.cli.chips import chosen_profiles, chosen_rounding
from neuroattack.cli.options import (
    AllowLossy,
    Backend,
    Json,
    NetworkDataset,
    NetworkFile,
    Seed,
    Steps,
    WeightRounding,
    WeightScale,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, hardware_tables

__all__ = ["energy", "precision"]

_USUAL_IMAGES = 1000
_MOST_NUMBERS = 1000


def energy(
    network: NetworkFile,
    profiles: Annotated[
        str,
        typer.Option(
            "--profiles",
            "--profile",
            help="Chips with commas between, or 'all'; names or files, see 'profiles'.",
        ),
    ] = "all",
    dataset: NetworkDataset = None,
    images: Annotated[
        int | None,
        typer.Option(help="Test images, the first so many; by default 1,000, or all of fewer."),
    ] = None,
    steps: Steps = 350,
    backend: Backend = "native",
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures (JSON) and the pictures (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """Hold a network as each chip would: does it fit, how well does it classify, what is the cost.

    A cost is of what has a price in the chip's profile; what has none is named, and the total is
    then left out.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.provenance import network_provenance
    from neuroattack.experiments.energy import study_energy
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network

    if out:
        from neuroattack.report.energy import FIGURES, save_energy

        check_writable(out / FIGURES)
    chips = chosen_profiles(profiles)
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    shown = min(_USUAL_IMAGES, len(source.test.labels)) if images is None else images
    test = source.test.first(shown)
    with console.progress_bars() as show:
        study = study_energy(
            loaded,
            test.images,
            test.labels,
            chips,
            rounding=chosen_rounding(
                allow_lossy=allow_lossy,
                weight_scale=weight_scale,
                weight_rounding=weight_rounding,
                seed=seed,
            ),
            steps=steps,
            backend=backend,
            seed=seed,
            on_progress=show,
        )
    provenance = network_provenance(
        loaded,
        backends={study.reference.backend: study.backend_version},
        precisions=study.precisions,
        steps=steps,
        seed=seed,
        dataset=source.name,
        dataset_checksum=source.checksum,
        command=console.command_line(),
    )
    figures = study.as_json() | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        hardware_tables.print_energy(figures)
    if out:
        for path in save_energy(out, study, provenance).values():
            console.note(f"Written: {path}")


def precision(
    network: NetworkFile,
    profile: Annotated[
        str, typer.Option(help="Chip whose other formats hold; a name or a file, see 'profiles'.")
    ] = "loihi1",
    bits: Annotated[str, typer.Option(help="Bits a weight, a range such as 2-8.")] = "2-8",
    steps: Annotated[
        str, typer.Option(help="Time steps to decide after; bits are varied at the last.")
    ] = "10,20,35,50,70,100,140,200,280,350",
    dataset: NetworkDataset = None,
    images: Annotated[
        int | None, typer.Option(help="Test images, the first so many; by default all.")
    ] = None,
    backend: Backend = "native",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures (JSON) and the curves (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """Measure accuracy against the bits of a weight, and against the time an image is shown."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.provenance import network_provenance
    from neuroattack.experiments.precision import measure_precision
    from neuroattack.files import check_writable
    from neuroattack.hardware.profiles.files import load_profile
    from neuroattack.ir.storage import load_network

    if out:
        from neuroattack.report.precision import FIGURES, save_precision

        check_writable(out / FIGURES)
    widths, moments = _whole("--bits", bits), _whole("--steps", steps)
    chip = load_profile(profile)
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    with console.progress_bars() as show:
        curves = measure_precision(
            loaded,
            test.images,
            test.labels,
            chip.number_format(),
            bits=widths,
            time_steps=moments,
            backend=backend,
            seed=seed,
            on_progress=show,
        )
    provenance = network_provenance(
        loaded,
        backends={backend: curves.backend_version},
        precisions=curves.precisions,
        steps=curves.steps,
        seed=seed,
        dataset=source.name,
        dataset_checksum=source.checksum,
        command=console.command_line(),
        profile=chip,
    )
    figures = curves.as_json() | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        hardware_tables.print_precision(figures)
    if out:
        for path in save_precision(out, curves, provenance).values():
            console.note(f"Written: {path}")


def _whole(option: str, text: str) -> list[int]:
    """Return the whole numbers of ``2-8``, ``10,20,50`` or a mixture."""
    found: list[int] = []
    for part in text.split(","):
        given = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if given is None:
            raise ValidationError(option, repr(text), "numbers such as 2-8 or 10,20,50")
        first, last = given.groups()
        numbers = range(int(first), int(last or first) + 1)
        if not numbers:
            raise ValidationError(option, repr(text), "ranges from lower to higher, such as 2-8")
        if len(numbers) > _MOST_NUMBERS:
            raise ValidationError(option, repr(text), f"ranges of at most {_MOST_NUMBERS} numbers")
        found.extend(numbers)
    return found
