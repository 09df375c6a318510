"""Commands that measure accuracy with faults in the memory of chips, random or chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuroattack.cli.arguments.options import (
    AllowLossy,
    Backend,
    Json,
    NetworkDataset,
    NetworkFile,
    Seed,
    WeightRounding,
    WeightScale,
    Workers,
)
from neuroattack.cli.chips.running import (
    FirstImages,
    Out,
    check_output,
    first_images,
    listed,
    load_inputs,
    measuring,
    print_figures,
    profile_names,
    provenance,
    save_figures,
)
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.profile import Profile

__all__ = ["bit_flips", "faults"]

_RESULTS, _PAGE, _FLIPS = "faults.json", "faults.html", "bit-flips.json"
_USUAL_BATCH = 64

_Profiles = Annotated[
    str,
    typer.Option(
        "--profiles",
        "--profile",
        help="Hardware profiles, comma-separated: names that 'profiles' lists, .toml files, 'all', "
        "or 'float32' and 'float64' for weights in floating point.",
    ),
]
_Rates = Annotated[
    str, typer.Option(help="Probabilities of a fault per stored bit, comma-separated.")
]
_Maps = Annotated[int, typer.Option(help="Number of fault maps per rate.")]
_Kind = Annotated[
    Literal["flip", "stuck-at-0", "stuck-at-1"],
    typer.Option(help="Kind of the faults: inverted bits, or bits that always read as 0 or 1."),
]
_Bits = Annotated[
    Literal["all", "sign", "exponent", "mantissa", "msb"],
    typer.Option(
        "--bits",
        help="Bits of each word in which faults occur; 'msb' is the bit that changes the value "
        "most.",
    ),
]
_Parameters = Annotated[
    str,
    typer.Option(
        help="Parameters in whose words faults occur, comma-separated: weights, exponents, "
        "thresholds, biases, decays."
    ),
]
_Protection = Annotated[
    Literal["none", "parity", "ecc", "triple-sign", "triple-exponent", "triple-msb", "range"],
    typer.Option(
        help="Protection of the weights: a parity bit, an error-correcting code per word, three "
        "copies of some bits, or clipping to the range of the weights."
    ),
]
_Profile = Annotated[
    str,
    typer.Option(
        help="Hardware profile: a name that 'profiles' lists, or a .toml file; 'float32' or "
        "'float64' for random flips of weights in floating point."
    ),
]
_Methods = Annotated[
    str,
    typer.Option(
        help="Choice of bits, comma-separated: gradient (white box), queries (black box), random, "
        "random-msb (most significant bits only)."
    ),
]
_Flips = Annotated[int, typer.Option(help="Largest number of flips.")]
_Block = Annotated[
    int, typer.Option(help="Number of bits that the search by queries adds at once.")
]
_Batch = Annotated[
    int | None,
    typer.Option(
        help="Number of training images, from the first, that the attacker has. Default: 64, or "
        "all if there are fewer."
    ),
]
_RandomMaps = Annotated[int, typer.Option(help="Number of sets of random flips.")]
_ImageQueries = Annotated[
    int,
    typer.Option(help="Largest number of images that the search by queries classifies."),
]
_Steps = Annotated[
    int | None,
    typer.Option(help="Time steps T per image. Default: 100, or that of the event samples."),
]


def faults(
    network: NetworkFile,
    profiles: _Profiles = "all,float32",
    rates: _Rates = "1e-6,1e-5,1e-4,1e-3,1e-2",
    maps: _Maps = 20,
    kind: _Kind = "flip",
    fault_bits: _Bits = "all",
    parameters: _Parameters = "weights",
    protection: _Protection = "none",
    dataset: NetworkDataset = None,
    images: FirstImages = None,
    steps: _Steps = None,
    backend: Backend = "native",
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    workers: Workers = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure accuracy against the rate of faults in memory.

    Faults occur in the bits of stored parameters, in the number format of each profile.
    """
    from neuroattack.experiments.faults.accuracy import study_faults
    from neuroattack.experiments.faults.stored import Storage
    from neuroattack.hardware.quantization.quantization import Rounding
    from neuroattack.report.terminal.fault_tables import print_faults

    check_output(out, _RESULTS)
    rounding = Rounding(weight_scale, weight_rounding, seed=seed, allow_lossy=allow_lossy)
    chosen = list(dict.fromkeys(listed("--parameters", parameters)))
    storages = [
        Storage(_chip(name), rounding, chosen, protection)
        for name in dict.fromkeys(profile_names(profiles))
    ]
    numbers = [_number("--rates", each) for each in listed("--rates", rates)]
    loaded, source = load_inputs(network, dataset)
    test = first_images(source.test, images)
    with measuring(out, "Measuring accuracy") as (folder, show):
        study = study_faults(
            loaded,
            test.images,
            test.labels,
            storages,
            rates=numbers,
            folder=folder,
            maps=maps,
            kind=kind,
            bits=fault_bits,
            steps=steps,
            backend=backend,
            seed=seed,
            workers=workers,
            on_progress=show,
        )
    chips = study["profiles"].values()
    precisions = sorted({chip["precision"] for chip in chips if chip["fits"]})
    version, steps = study["backend_version"], study["steps"]
    study["provenance"] = provenance(loaded, source, backend, version, precisions, steps, seed)
    print_figures(study, print_faults, json)
    if out:
        from neuroattack.files import write_text
        from neuroattack.report.faults.figure import faults_figure
        from neuroattack.report.faults.page import render_faults

        figures = {"faults": faults_figure(study)} if any(chip["fits"] for chip in chips) else {}
        save_figures(out / _RESULTS, study, figures)
        write_text(out / _PAGE, render_faults(study))
        console.note(f"Written: {out / _PAGE}")


def bit_flips(
    network: NetworkFile,
    profile: _Profile = "loihi1",
    methods: _Methods = "gradient,queries,random,random-msb",
    flips: _Flips = 50,
    maps: _RandomMaps = 20,
    queries: _ImageQueries = 20_000,
    block: _Block = 1,
    protection: _Protection = "none",
    dataset: NetworkDataset = None,
    batch: _Batch = None,
    images: FirstImages = None,
    steps: _Steps = None,
    backend: Backend = "native",
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    workers: Workers = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Flip the bits of stored weights that an attacker chooses.

    Compares a white-box search by gradients, a black-box search by queries, and random flips.
    """
    from neuroattack.experiments.faults.flips import study_flips
    from neuroattack.experiments.faults.stored import Storage
    from neuroattack.hardware.quantization.quantization import Rounding
    from neuroattack.report.terminal.fault_tables import print_flips

    check_output(out, _FLIPS)
    rounding = Rounding(weight_scale, weight_rounding, seed=seed, allow_lossy=allow_lossy)
    name, *others = profile_names(profile)
    if others:
        raise ValidationError("--profile", repr(profile), "one profile")
    loaded, source = load_inputs(network, dataset)
    test = first_images(source.test, images)
    known = source.train.first(min(_USUAL_BATCH, len(source.train)) if batch is None else batch)
    with measuring(out, "Flipping bits") as (folder, show):
        study = study_flips(
            loaded,
            test.images,
            test.labels,
            (known.images, known.labels),
            Storage(_chip(name), rounding, protection=protection),
            folder=folder,
            methods=list(dict.fromkeys(listed("--methods", methods))),  # type: ignore[arg-type]  # checked there
            flips=flips,
            maps=maps,
            queries=queries,
            block=block,
            steps=steps,
            backend=backend,
            seed=seed,
            workers=workers,
            on_progress=show,
        )
    version, precisions, steps = study["backend_version"], [study["precision"]], study["steps"]
    study["provenance"] = provenance(loaded, source, backend, version, precisions, steps, seed)
    print_figures(study, print_flips, json)
    if out:
        from neuroattack.report.faults.figure import flips_figure

        save_figures(out / _FLIPS, study, {"bit-flips": flips_figure(study)})


def _chip(name: str) -> Profile | str:
    from neuroattack.experiments.faults.stored import FLOATING
    from neuroattack.hardware.profiles.files import load_profile

    return name if name in FLOATING else load_profile(name)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValidationError(option, repr(text), "numbers such as 1e-4,1e-3") from None
