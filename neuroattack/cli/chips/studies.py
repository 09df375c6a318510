"""Commands that run a network under hardware profiles."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    AllowLossy,
    Backend,
    Images,
    Json,
    NetworkDataset,
    NetworkFile,
    Seed,
    Steps,
    WeightRounding,
    WeightScale,
    Workers,
)
from neuroattack.cli.chips.running import (
    FirstImages,
    Out,
    check_output,
    first_images,
    load_inputs,
    measuring,
    print_figures,
    profile_names,
    provenance,
    save_figures,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import hardware_tables

__all__ = ["energy", "latency", "precision"]

_USUAL_STEPS = (10, 20, 35, 50, 70, 100, 140, 200, 280)
_MOST_NUMBERS = 1000
_ENERGY, _LATENCY, _PRECISION = "energy.json", "latency.json", "precision.json"

_Profiles = Annotated[
    str,
    typer.Option(
        "--profiles",
        "--profile",
        help="Hardware profiles, comma-separated: names that 'profiles' lists, .toml files, or "
        "'all'.",
    ),
]
_Profile = Annotated[
    str,
    typer.Option(
        help="Hardware profile of the number format: a name that 'profiles' lists, or a .toml file."
    ),
]
_CrossCheck = Annotated[
    str | None,
    typer.Option(
        help="Tool that simulates the same images and estimates their energy as well: 'sanafe', or "
        "one of another package. It supports some profiles only."
    ),
]
_Bits = Annotated[str, typer.Option(help="Bits per weight, such as 2-8 or 3,4,8.")]
_TimeSteps = Annotated[
    str | None,
    typer.Option(
        help="Numbers of time steps, comma-separated; bits are varied at the last one. Default: "
        "from 10 to 350, or to that of the event samples."
    ),
]


def energy(
    network: NetworkFile,
    profiles: _Profiles = "all",
    dataset: NetworkDataset = None,
    images: FirstImages = None,
    steps: Steps = None,
    backend: Backend = "native",
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    workers: Workers = None,
    cross_check: _CrossCheck = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare hardware profiles: fit, accuracy, energy, run time.

    Energy is estimated from the published coefficients in each profile. Terms without a published
    coefficient are listed, and there is then a subtotal instead of a total.
    """
    from neuroattack.experiments.chips.energy import study_energy
    from neuroattack.hardware.profiles.files import load_profile
    from neuroattack.hardware.quantization.quantization import Rounding

    check_output(out, _ENERGY)
    chips = [load_profile(name) for name in profile_names(profiles)]
    rounding = Rounding(weight_scale, weight_rounding, seed=seed, allow_lossy=allow_lossy)
    loaded, source = load_inputs(network, dataset)
    test = first_images(source.test, images)
    time_steps = loaded.input.time_steps(steps, test.images.shape)
    with measuring(out, "Measuring") as (folder, show):
        study = study_energy(
            loaded,
            test.images,
            test.labels,
            chips,
            folder=folder,
            rounding=rounding,
            steps=time_steps,
            backend=backend,
            seed=seed,
            workers=workers,
            cross_check=cross_check,
            on_progress=show,
        )
    version = study.pop("backend_version")
    precisions = {chip["precision"] for chip in study["profiles"].values() if chip["fits"]}
    study["provenance"] = provenance(
        loaded, source, backend, version, sorted({"floating", *precisions}), time_steps, seed
    )
    print_figures(study, hardware_tables.print_energy, json)
    if out:
        from neuroattack.report.chips.energy import chip_figures

        save_figures(out / _ENERGY, study, chip_figures(study, loaded, chips, rounding))


def precision(
    network: NetworkFile,
    profile: _Profile = "loihi1",
    bits: _Bits = "2-8",
    steps: _TimeSteps = None,
    dataset: NetworkDataset = None,
    images: Images = None,
    backend: Backend = "native",
    seed: Seed = 0,
    workers: Workers = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure accuracy against bits per weight and time steps."""
    from neuroattack.experiments.chips.precision import measure_precision
    from neuroattack.hardware.profiles.files import load_profile

    check_output(out, _PRECISION)
    widths = _integers("--bits", bits)
    given = None if steps is None else _integers("--steps", steps)
    chip = load_profile(profile)
    loaded, source = load_inputs(network, dataset)
    test = source.test.first(images)
    last = loaded.input.time_steps(None if given is None else max(given), test.images.shape)
    time_steps = given or [*(each for each in _USUAL_STEPS if each < last), last]
    with measuring(out, "Measuring accuracy") as (folder, show):
        curves = measure_precision(
            loaded,
            test.images,
            test.labels,
            chip.number_format(),
            bits=widths,
            time_steps=time_steps,
            folder=folder,
            backend=backend,
            seed=seed,
            workers=workers,
            on_progress=show,
        )
    version, precisions = curves["backend_version"], curves["precisions"]
    curves["provenance"] = provenance(
        loaded, source, backend, version, precisions, curves["steps"], seed, chip
    )
    print_figures(curves, hardware_tables.print_precision, json)
    if out:
        from neuroattack.report.chips.precision import curves_figure

        save_figures(out / _PRECISION, curves, {"precision": curves_figure(curves)})


@with_deployment(leave_out=("exit", "defense"))
def latency(
    network: NetworkFile,
    deployment: GivenDeployment,
    margins: Annotated[
        str,
        typer.Option(
            help="Margins in output spikes at which the network decides, such as 1-5 or 1,2,5; 1 "
            "is the first spike."
        ),
    ] = "1,2,3,5,8,12,20",
    dataset: NetworkDataset = None,
    images: FirstImages = None,
    workers: Workers = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure accuracy against time to decision with early exit.

    Each image is simulated once. With --profile, also estimates the time and the energy on the chip
    until the decision.
    """
    from neuroattack.experiments.chips.latency import measure_latency
    from neuroattack.hardware.profiles.files import load_profile

    check_output(out, _LATENCY)
    rules, spec = _integers("--margins", margins), deployment()
    chip = None if spec.profile is None else load_profile(spec.profile)
    loaded, source = load_inputs(network, dataset)
    test = first_images(source.test, images)
    with measuring(out, "Measuring") as (folder, show):
        curve = measure_latency(
            loaded,
            test.images,
            test.labels,
            spec,
            margins=rules,
            folder=folder,
            workers=workers,
            on_progress=show,
        )
    version, arithmetic = curve["backend_version"], [curve["precision"]]
    curve["provenance"] = provenance(
        *(loaded, source, spec.backend, version, arithmetic),
        *(curve["steps"], spec.seed, chip),
    )
    print_figures(curve, hardware_tables.print_latency, json)
    if out:
        from neuroattack.report.chips.latency import latency_figure

        save_figures(out / _LATENCY, curve, {"latency": latency_figure(curve)})


def _integers(option: str, text: str) -> list[int]:
    """Return the integers of ``2-8``, ``10,20,50`` or a mixture."""
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
