"""What the commands about chips share: options, inputs, cells and results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuroattack.datasets import Dataset, Split
    from neuroattack.hardware.profiles.profile import Profile
    from neuroattack.ir.network import Network, Precision

__all__ = [
    "FirstImages",
    "Out",
    "check_output",
    "first_images",
    "listed",
    "load_inputs",
    "measuring",
    "print_figures",
    "profile_names",
    "provenance",
    "save_figures",
]

_USUAL_IMAGES = 1000

Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results (JSON) and the figures (PNG); an interrupted run resumes from "
        "it."
    ),
]
FirstImages = Annotated[
    int | None,
    typer.Option(
        help="Number of test images, from the first. Default: 1,000, or all if there are fewer."
    ),
]


def first_images(split: Split, images: int | None) -> Split:
    """Return the first images of a split; by default 1,000, or all if there are fewer."""
    return split.first(min(_USUAL_IMAGES, len(split)) if images is None else images)


def listed(option: str, text: str) -> list[str]:
    """Return comma-separated values."""
    given = [each.strip() for each in text.split(",")]
    if not all(given):
        raise ValidationError(option, repr(text), "comma-separated values")
    return given


def profile_names(names: str) -> list[str]:
    """Return comma-separated names or files of profiles; ``all`` stands for all included ones."""
    from neuroattack.hardware.profiles.files import list_profiles

    given = listed("--profiles", names)
    return [each for name in given for each in (list_profiles() if name == "all" else [name])]


def check_output(out: Path | None, name: str) -> None:
    """Raise OutputError now if a file in the folder could not be written later."""
    from neuroattack.files import check_writable

    if out:
        check_writable(out / name)


def load_inputs(network: Path, dataset: str | None) -> tuple[Network, Dataset]:
    """Return a network and its data set."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.ir.storage import load_network

    loaded = load_network(network)
    return loaded, load_dataset_of(dataset, loaded.origin)


@contextlib.contextmanager
def measuring(out: Path | None, what: str) -> Iterator[tuple[Path, Callable[[float, str], None]]]:
    """Yield the folder of cells and a function that shows progress.

    After Ctrl-C, print how to resume.
    """
    from neuroattack.experiments.chips.cells import cell_folder

    kept = console.kept_in(out) if out else contextlib.nullcontext()
    with cell_folder(out) as folder, kept, console.progress_bars() as show:
        yield folder, lambda fraction, state: show(what, fraction, state)


def provenance(
    network: Network,
    source: Dataset,
    backend: str,
    version: str,
    precisions: list[Precision],
    steps: int,
    seed: int,
    profile: Profile | None = None,
) -> dict[str, Any]:
    """Return the provenance of a study as JSON values."""
    from neuroattack.deployment.provenance import network_provenance

    return asdict(
        network_provenance(
            network,
            backends={backend: version},
            precisions=precisions,
            steps=steps,
            seed=seed,
            dataset=source.name,
            dataset_checksum=source.checksum,
            command=console.command_line(),
            profile=profile,
        )
    )


def print_figures(
    figures: Mapping[str, Any], tables: Callable[[Mapping[str, Any]], None], json: bool
) -> None:
    """Print figures as JSON, or with a function that prints tables."""
    if json:
        console.print_json(figures)
    else:
        tables(figures)


def save_figures(path: Path, figures: Mapping[str, Any], pictures: Mapping[str, Figure]) -> None:
    """Write results and pictures to a folder, and print their paths."""
    from neuroattack.report.studies import save_study

    for written in save_study(path, figures, pictures):
        console.note(f"Written: {written}")
