"""Commands that reproduce the experiments of the paper, and noise studies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import typer

from neuroattack import __version__
from neuroattack.cli.arguments.options import (
    Backend,
    DatasetName,
    Images,
    Json,
    Seed,
    Trials,
    Workers,
)
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from neuroattack.datasets import Dataset
    from neuroattack.datasets.noise import Area, Clipping, Noise
    from neuroattack.experiments.noise import NoiseCell
    from neuroattack.paper.settings import PaperSettings

__all__ = ["noise", "paper"]

Name = TypeVar("Name", bound=str)

_Items = Annotated[
    list[str], typer.Argument(help="Items to reproduce, such as table1 figure2, or 'all'.")
]
_Out = Annotated[
    Path, typer.Option(help="Folder for the results; an interrupted run resumes from it.")
]
_Steps = Annotated[int, typer.Option(help="Time steps T per image.")]
_Population = Annotated[int, typer.Option(help="Number of images attacked per group.")]
_Sweep = Annotated[
    int, typer.Option(help="Number of images for each number of time steps and of repeats.")
]
_TrainingSeeds = Annotated[
    int, typer.Option(help="Number of random seeds for training with and without small noise.")
]


def paper(
    items: _Items,
    dataset: DatasetName = "mnist",
    out: _Out = Path("runs/paper"),
    seed: Seed = 0,
    images: Images = None,
    population: _Population = 200,
    sweep: _Sweep = 40,
    trials: Trials = 50,
    training_seeds: _TrainingSeeds = 3,
    steps: _Steps = 350,
    backend: Backend = "native",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Reproduce the tables and figures of Marchisio et al. 2020.

    The report shows the reproduced numbers next to the published ones. Items: table1, figure2,
    figure3, figure4, table2, table3, figure6 to figure9; and four that the paper does not have:
    population, sampling, transformations, imperceptibility. After an interruption, the same
    command resumes.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.files import check_writable
    from neuroattack.paper.items import ITEMS, expand_items, reproduce
    from neuroattack.paper.save import PAGE, save_paper, verdict_table
    from neuroattack.paper.settings import PaperRun, PaperSettings

    started = time.monotonic()
    names = expand_items(items)
    settings = PaperSettings(
        seed, training_seeds, images, population, sweep, trials, steps, backend
    )
    check_writable(out / PAGE)
    data = load_dataset(dataset)
    data.test.first(images)
    with console.kept_in(out), console.progress_bars() as show:
        run = PaperRun(data, out / "cells", settings, workers, on_progress=show)
        found = reproduce(run, names)
    page = save_paper(out, found, _origin(data, settings, time.monotonic() - started))
    figures = {item: of_item for item, (of_item, _) in found.items()}
    if json:
        console.print_json(figures[names[0]] if len(names) == 1 else figures)
        return
    for item, of_item in figures.items():
        for table in ITEMS[item].tables(of_item):
            console.print_table(table)
    console.print_table(verdict_table(found))
    console.note(f"Report: {page} (open it in a browser)")


def _origin(data: Dataset, settings: PaperSettings, seconds: float) -> dict[str, str]:
    """Return the provenance of a run, by name."""
    from neuroattack.provenance import machine_text, versions_text

    return {
        "Command": console.command_line(),
        "Data set": data.name,
        "Data set, SHA-256": data.checksum,
        "Settings": ", ".join(f"{name}={value}" for name, value in asdict(settings).items()),
        "Time of this run": f"{seconds:.1f} s",
        "Versions": versions_text(),
        "Machine": machine_text(),
    }


_Kinds = Annotated[
    str, typer.Option("--noise", help="Noise distributions, comma-separated: 'normal', 'uniform'.")
]
_Deltas = Annotated[
    str, typer.Option(help="Noise magnitudes, comma-separated, for intensities scaled to [0, 0.2].")
]
_On = Annotated[
    str, typer.Option(help="Noisy images, comma-separated: 'train', 'test', 'train+test'.")
]
_Clipping = Annotated[
    Literal["range", "zero", "none"],
    typer.Option(help="Clipping of noisy intensities: to [0, 0.2], at 0 from below, or none."),
]
_Window = Annotated[
    str | None,
    typer.Option(
        metavar="<top,left,height,width>", help="Window of noisy pixels. Default: all pixels."
    ),
]
_Networks = Annotated[str, typer.Option(help="Networks, comma-separated: 'sdbn', 'dnn'.")]
_Recipe = Annotated[str, typer.Option(help="Training recipe of the SDBN: 'fine-tuned' or 'paper'.")]
_Model = Annotated[
    Path | None,
    typer.Option(help="SDBN trained without noise, as 'train' writes it. Default: train one."),
]
_Dnn = Annotated[
    Path | None,
    typer.Option(
        help="DNN trained without noise, as 'train --recipe dnn' writes it. Default: train one."
    ),
]
_Spiking = Annotated[bool, typer.Option(help="Also simulate the SDBN with spikes.")]
_Gain = Annotated[
    float | None,
    typer.Option(
        help="Divisor of the readout threshold when simulating spikes. Default: that of the recipe."
    ),
]


def noise(
    dataset: DatasetName = "digits",
    kinds: _Kinds = "normal,uniform",
    deltas: _Deltas = "0.02,0.05,0.08,0.1,0.15,0.2,0.3,0.4",
    on: _On = "test",
    clipping: _Clipping = "range",
    window: _Window = None,
    networks: _Networks = "sdbn",
    recipe: _Recipe = "paper",
    model: _Model = None,
    dnn: _Dnn = None,
    images: Images = None,
    spiking: _Spiking = True,
    readout_gain: _Gain = None,
    steps: _Steps = 350,
    backend: Backend = "native",
    seed: Seed = 0,
    workers: Workers = None,
    out: _Out = Path("runs/noise"),
    json: Json = False,
) -> None:
    """Measure accuracy under noise on training or test images."""
    from neuroattack.datasets import load_dataset
    from neuroattack.deployment.deployment import check_settings
    from neuroattack.experiments.model_cells import NetworkKind
    from neuroattack.experiments.noise import NOISY, Spiking, study_noise

    check_settings(backend, steps, seed)
    area = None if window is None else _area(window)
    noises = _noises(kinds, deltas, clipping, area)
    modes = _chosen("--on", on, NOISY)
    chosen = _chosen("--networks", networks, get_args(NetworkKind))
    given: dict[NetworkKind, Path | None] = {"sdbn": model, "dnn": dnn}
    data = load_dataset(dataset)
    with console.kept_in(out), console.progress_bars() as show:
        cells = study_noise(
            data,
            noises,
            out / "cells",
            modes=modes,
            networks=chosen,
            models={kind: path for kind, path in given.items() if path is not None},
            recipe=recipe,
            spiking=Spiking(steps, backend, readout_gain) if spiking else None,
            images=images,
            seeds=(seed,),
            workers=workers,
            on_progress=show,
        )
    trains_sdbn = "sdbn" in chosen and (model is None or set(modes) != {"test"})
    runs_spikes = spiking and "sdbn" in chosen
    about = {
        "recipe": recipe if trains_sdbn else None,
        "seed": seed,
        "steps": steps if runs_spikes else None,
        "backend": backend if runs_spikes else None,
        "window": None if area is None else vars(area),
    }
    _finish_noise(out, data, cells, about, json)


def _noises(kinds: str, deltas: str, clipping: Clipping, area: Area | None) -> list[Noise]:
    from neuroattack.datasets.noise import Noise, NoiseKind

    chosen = _chosen("--noise", kinds, get_args(NoiseKind))
    magnitudes = _numbers("--deltas", deltas)
    return [Noise(kind, delta, clipping, area) for kind in chosen for delta in magnitudes]


def _finish_noise(
    out: Path, data: Dataset, cells: Sequence[NoiseCell], about: dict[str, Any], json: bool
) -> None:
    """Write and print the results of a noise study."""
    from neuroattack.files import write_json
    from neuroattack.report.table import Table

    figures = {
        "cells": [cell.as_json() for cell in cells],
        "dataset": data.name,
        "dataset_checksum": data.checksum,
        **about,
        "version": __version__,
        "command": console.command_line(),
    }
    write_json(out / "noise.json", figures)
    if json:
        console.print_json(figures)
        return
    columns = "network noise delta:g mode clipping seed:g accuracy:%2 spiking_accuracy:%2"
    console.print_table(Table.of("noise", "Accuracy under noise", figures["cells"], columns))


def _chosen(option: str, text: str, known: tuple[Name, ...]) -> tuple[Name, ...]:
    """Return comma-separated names, in the order of the known ones."""
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in known:
            raise UnknownNameError(f"value of {option}", name, known)
    return tuple(name for name in known if name in names)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return list(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise ValidationError(option, repr(text), "comma-separated numbers") from None


def _area(text: str) -> Area:
    from neuroattack.datasets.noise import Area

    try:
        top, left, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise ValidationError(
            "--window", repr(text), "TOP,LEFT,HEIGHT,WIDTH in pixels, such as 0,0,14,28"
        ) from None
    return Area(top, left, height, width)
