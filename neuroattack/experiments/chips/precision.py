"""Accuracy as a function of weight bits and of time steps per image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.deployment import MAX_STEPS, check_settings, deploy
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.experiments.chips.cells import (
    check_inputs,
    keep_images,
    keep_network,
    read_images,
)
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network
from neuroattack.statistics import wilson_interval
from neuroattack.validation import check_integer

__all__ = ["CLIPPINGS", "SIGNS", "measure_accuracy", "measure_precision"]

Signs = Literal["mixed", "split", "per_source"]

SIGNS: tuple[Signs, ...] = ("mixed", "split", "per_source")
"""Weights of both signs in a projection; one projection per sign; one sign per source neuron."""

_MODES: dict[Signs, tuple[SignMode, ...]] = {
    "mixed": ("mixed",),
    "split": ("excitatory", "inhibitory"),
    "per_source": ("per_source",),
}

Clipping = Literal["none", "least_error"]

CLIPPINGS: tuple[Clipping, ...] = ("none", "least_error")
"""No clipping of weights, or clipping of the largest weights where that reduces the error."""

MAX_BITS = 16


def measure_precision(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    number_format: NumberFormat,
    *,
    bits: Sequence[int],
    time_steps: Sequence[int],
    folder: Path,
    backend: str = "native",
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Measure accuracy by bits and by time steps on the same images and input spikes.

    Each network is one cell in the folder; finished cells are not repeated.

    Returns
    -------
    dict
        JSON values: ``"bits"``, a list with accuracy and 95 % Wilson interval by bits per weight,
        signs and clipping, the fraction of connections whose weight became 0, and the reason if a
        network is not supported; ``"floating"`` and ``"quantized"``, accuracy by time steps; and
        the settings.
    """
    check_inputs("precision", network, images, bits, time_steps)
    bits = sorted({check_integer("bits", value, 2, MAX_BITS) for value in bits})
    time_steps = sorted({check_integer("steps", value, 1, MAX_STEPS) for value in time_steps})
    last = time_steps[-1]
    check_settings(backend, last, seed)
    images_file = keep_images(folder, images, labels)

    def cell(name: str, variant: Network, steps: Sequence[int]) -> Cell:
        arguments = {
            "network": keep_network(folder, variant),
            "images": images_file,
            "time_steps": list(steps),
            "backend": backend,
            "seed": seed,
        }
        return Cell(f"precision-{name}", measure_accuracy, arguments)

    quantized = quantize(network, number_format).network
    cells = [cell("floating", network, time_steps), cell("quantized", quantized, time_steps)]
    points: list[dict[str, Any]] = []
    for signs, clipping, width in itertools.product(SIGNS, CLIPPINGS, bits):
        point: dict[str, Any] = {"bits": width, "signs": signs, "clipping": clipping}
        point |= {"accuracy": None, "accuracy_ci95": None, "lost_fraction": None, "refused": ""}
        rounding = Rounding(
            signs="split" if signs == "split" else "unchanged",
            clipping=clipping,
            # With one sign per source neuron, weights of its other sign are lost.
            allow_lossy=signs == "per_source",
        )
        try:
            variant = quantize(network, _narrowed(number_format, width, signs), rounding).network
        except UnsupportedFeatureError as error:
            point["refused"] = str(error)
        else:
            cells.append(cell(f"{width}-{signs}-{clipping}", variant, [last]))
            point["lost_fraction"] = 1 - _connections(variant) / max(_connections(network), 1)
        points.append(point)
    results = run_cells(folder, cells, workers=workers, on_progress=on_progress)
    curves = [result["curve"] for result in results]
    measured = iter(curves[2:])
    for point in points:
        if not point["refused"]:
            (result,) = next(measured)
            point |= {key: result[key] for key in ("accuracy", "accuracy_ci95")}
    return {
        "format": number_format.name,
        "backend": backend,
        "backend_version": results[0]["backend_version"],
        "precisions": sorted({network.precision, quantized.precision}),
        "images": len(images),
        "steps": last,
        "seed": seed,
        "bits": points,
        "floating": curves[0],
        "quantized": curves[1],
    }


def measure_accuracy(
    *,
    network: str,
    images: str,
    time_steps: Sequence[int],
    backend: str,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Measure accuracy after each number of time steps, in one cell.

    Returns
    -------
    dict
        ``"curve"``: steps, accuracy and 95 % Wilson interval; and ``"backend_version"``.
    """
    pixels, labels = read_images(folder, images)
    correct = dict.fromkeys(time_steps, 0)
    last = max(time_steps)
    with deploy(
        load_network(folder / network),
        backend=backend,
        steps=last,
        seed=seed,
        expected_images=len(pixels),
    ) as deployment:
        readout, classes = deployment.network.readout, deployment.network.classes
        several = len(correct) > 1
        for part in deployment.batches(len(pixels), record_spikes=several):
            batch = pixels[part]
            indices = np.arange(len(pixels))[part]
            recording = deployment.record(batch, indices=indices, record_spikes=several)
            if several and recording.potentials is not None:
                raise UnsupportedFeatureError(
                    "accuracy after several numbers of steps: got a potential as the output, "
                    "expected spike counts; use a single number of steps"
                )
            for steps in correct:
                outputs = recording.outputs(readout)
                if steps < last and recording.spikes is not None:
                    image, step, neuron = recording.spikes[readout].events()
                    early = step < steps
                    outputs = np.zeros((len(batch), classes), np.int32)
                    np.add.at(outputs, (image[early], neuron[early]), 1)
                correct[steps] += int((decide(outputs) == labels[indices]).sum())
        version, count = deployment.backend_version, len(pixels)
    curve = [
        {"steps": steps, "accuracy": hits / count, "accuracy_ci95": wilson_interval(hits, count)}
        for steps, hits in correct.items()
    ]
    return {"curve": curve, "backend_version": version}


def _connections(network: Network) -> int:
    return sum(projection.connections for projection in network.projections)


def _narrowed(number_format: NumberFormat, bits: int, signs: Signs) -> NumberFormat:
    """Return the format with fewer bits per weight and the same most significant bit.

    As on a chip, narrower weights lose their least significant bits but keep their scale relative
    to the thresholds, which would otherwise be rounded more coarsely as well.
    """
    exponent = max((number_format.weight_bits or bits) - bits, 0)
    return replace(
        number_format,
        weight_bits=bits,
        sign_modes=frozenset(_MODES[signs]),
        weight_exponents=(exponent, exponent),
    )
