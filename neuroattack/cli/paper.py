"""Commands that repeat the paper's experiments, and noise studies of one's own."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import typer

from neuroattack import __version__
from neuroattack.cli.options import Backend, DatasetName, Json, Seed, Steps, Workers
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.paper import paper_tables
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from neuroattack.datasets import Dataset
    from neuroattack.datasets.noise import Area
    from neuroattack.paper.settings import PaperSettings

__all__ = ["noise", "paper"]

Name = TypeVar("Name", bound=str)


def paper(
    items: Annotated[
        list[str],
        typer.Argument(help="What to recompute: 'all', or of table1, figure2, figure3, ..."),
    ],
    dataset: DatasetName = "mnist",
    out: Annotated[
        Path, typer.Option(help="Folder for all results, in which an interrupted run goes on.")
    ] = Path("runs/paper"),
    seed: Seed = 0,
    images: Annotated[
        int | None, typer.Option(help="Test images under noise, the first so many; default all.")
    ] = None,
    population: Annotated[int, typer.Option(help="Images attacked a group.")] = 200,
    sweep: Annotated[int, typer.Option(help="Images for each T and number of repeats.")] = 40,
    draws: Annotated[int, typer.Option(help="Fresh draws that judge an adversarial image.")] = 50,
    training_seeds: Annotated[
        int, typer.Option(help="Trainings with and without small noise that are compared.")
    ] = 3,
    steps: Steps = 350,
    backend: Backend = "native",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Recompute the paper's tables and figures, and lay each beside the paper's numbers.

    Items: table1, figure2, figure3, figure4, table2, table3, figure6 to figure9; and beyond the
    paper population, sampling, transformations, imperceptibility. Stopped at any moment, the same
    command goes on where it was.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.files import check_writable
    from neuroattack.paper.report.save import PAGE, save_paper
    from neuroattack.paper.settings import PaperRun, PaperSettings
    from neuroattack.paper.whole import expand_items, reproduce

    started = time.monotonic()
    names = expand_items(items)
    settings = PaperSettings(
        seed=seed,
        training_seeds=training_seeds,
        images=images,
        population=population,
        sweep=sweep,
        draws=draws,
        steps=steps,
        backend=backend,
    )
    check_writable(out / PAGE)
    data = load_dataset(dataset)
    data.test.first(images)
    cells = out / "cells"
    done_before = len(list(cells.glob("*.json")))
    with console.kept_in(out), console.progress_bars() as show:
        found = reproduce(PaperRun(data, cells, settings, workers, on_progress=show), names)
    meta = _meta(data, settings, time.monotonic() - started, done_before)
    page = save_paper(out, found, meta)
    if json:
        console.print_json(found.items[names[0]] if len(names) == 1 else found.items)
        return
    for item, figures in found.items.items():
        paper_tables.print_item(item, figures)
    console.note(f"Report: {page} (open it in a browser)")


def _meta(
    data: Dataset, settings: PaperSettings, seconds: float, done_before: int
) -> dict[str, Any]:
    from neuroattack.provenance import machine_text, versions_text

    return {
        "dataset": data.name,
        "dataset_checksum": data.checksum,
        "settings": asdict(settings),
        "seed": settings.seed,
        "seconds": seconds,
        "done_before": done_before,
        "versions": versions_text(),
        "machine": machine_text(),
        "command": console.command_line(),
    }


def noise(
    dataset: DatasetName = "digits",
    kinds: Annotated[
        str, typer.Option("--noise", help="'normal', 'uniform', or both with a comma between.")
    ] = "normal,uniform",
    deltas: Annotated[
        str, typer.Option(help="Magnitudes, in intensities scaled to [0, 0.2].")
    ] = "0.02,0.05,0.08,0.1,0.15,0.2,0.3,0.4",
    on: Annotated[
        str, typer.Option(help="Noisy images: 'train', 'test', 'train+test', with commas between.")
    ] = "test",
    clipping: Annotated[
        Literal["range", "zero", "none"],
        typer.Option(help="'range' clips to [0, 0.2], 'zero' what is below 0, 'none' nothing."),
    ] = "range",
    window: Annotated[
        str | None,
        typer.Option(help="Noise only there: TOP,LEFT,HEIGHT,WIDTH in pixels; default everywhere."),
    ] = None,
    networks: Annotated[
        str, typer.Option(help="'sdbn', 'dnn', or both with a comma between.")
    ] = "sdbn",
    recipe: Annotated[str, typer.Option(help="To train the SDBN; see 'train'.")] = "paper",
    model: Annotated[
        Path | None, typer.Option(help="SDBN trained without noise; by default it is trained.")
    ] = None,
    dnn: Annotated[
        Path | None, typer.Option(help="DNN trained without noise; by default it is trained.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Test images, the first so many; by default all.")
    ] = None,
    spiking: Annotated[
        bool, typer.Option(help="Run the SDBN in spikes too, or as rates only.")
    ] = True,
    readout_gain: Annotated[
        float | None,
        typer.Option(
            help="Divides the readout's threshold in spikes; default by the model's recipe."
        ),
    ] = None,
    steps: Steps = 350,
    backend: Backend = "native",
    seed: Seed = 0,
    workers: Workers = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results and models, in which a run goes on.")
    ] = Path("runs/noise"),
    json: Json = False,
) -> None:
    """Measure how noise on training images, test images or both changes the accuracy.

    Stopped at any moment, the same command goes on where it was.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.datasets.noise import Noise, NoiseKind
    from neuroattack.deployment.deployment import check_settings
    from neuroattack.experiments.model_cells import NetworkKind
    from neuroattack.experiments.noise import NOISY, Spiking, study_noise
    from neuroattack.files import write_json

    check_settings(backend, steps, seed)
    area = None if window is None else _area(window)
    noises = [
        Noise(kind, delta, clipping, area)
        for kind in _chosen("--noise", kinds, get_args(NoiseKind))
        for delta in _numbers("--deltas", deltas)
    ]
    modes = _chosen("--on", on, NOISY)
    kinds_of_network = _chosen("--networks", networks, get_args(NetworkKind))
    given: dict[NetworkKind, Path | None] = {"sdbn": model, "dnn": dnn}
    data = load_dataset(dataset)
    with console.kept_in(out), console.progress_bars() as show:
        cells = study_noise(
            data,
            noises,
            out / "cells",
            modes=modes,
            networks=kinds_of_network,
            models={kind: path for kind, path in given.items() if path is not None},
            recipe=recipe,
            spiking=Spiking(steps, backend, readout_gain) if spiking else None,
            images=images,
            seeds=(seed,),
            workers=workers,
            on_progress=show,
        )
    with_sdbn = "sdbn" in kinds_of_network
    trains_sdbn = with_sdbn and (model is None or set(modes) != {"test"})
    figures: dict[str, Any] = {
        "cells": [cell.as_json() for cell in cells],
        "dataset": data.name,
        "dataset_checksum": data.checksum,
        "recipe": recipe if trains_sdbn else None,
        "seed": seed,
        "steps": steps if spiking and with_sdbn else None,
        "backend": backend if spiking and with_sdbn else None,
        "version": __version__,
        "window": None if area is None else vars(area),
        "command": console.command_line(),
    }
    write_json(out / "noise.json", figures)
    if json:
        console.print_json(figures)
        return
    paper_tables.print_noise(figures["cells"])


def _chosen(option: str, text: str, known: tuple[Name, ...]) -> tuple[Name, ...]:
    """Return names with commas between, each one of those that are known."""
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in known:
            raise UnknownNameError(f"name in {option}", name, known)
    return tuple(name for name in known if name in names)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return list(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise ValidationError(option, repr(text), "numbers with commas between") from None


def _area(text: str) -> Area:
    from neuroattack.datasets.noise import Area

    try:
        top, left, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise ValidationError("--window", repr(text), "TOP,LEFT,HEIGHT,WIDTH in pixels") from None
    return Area(top, left, height, width)
