"""How accuracy depends on the bits of the weights, and on the time that an image is shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.deployment import MAX_STEPS, Deployment, deploy
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.network import Network, Precision
from neuroattack.statistics import wilson_interval
from neuroattack.validation import check_whole

__all__ = ["CLIPPINGS", "SIGNS", "BitsPoint", "PrecisionCurves", "StepsPoint", "measure_precision"]

Signs = Literal["mixed", "split", "per_source"]

SIGNS: tuple[Signs, ...] = ("mixed", "split", "per_source")
"""Weights of both signs in a projection; a projection for each sign; one sign a source neuron."""

Clipping = Literal["none", "least_error"]

CLIPPINGS: tuple[Clipping, ...] = ("none", "least_error")
"""Every weight within the range; or the largest clipped, where that makes the error less."""

MOST_BITS = 16

_BATCH_IMAGES = 256


@dataclass(frozen=True)
class BitsPoint:
    """Accuracy at so many bits a weight.

    Parameters
    ----------
    bits : int
        Of a weight: its sign included where signs are mixed.
    signs : {"mixed", "split", "per_source"}
        How the format holds signs.
    clipping : {"none", "least_error"}
        Whether the largest weight fits, or some are clipped so that the others are finer.
    accuracy : float or None
        Share of images classified correctly; None where the network cannot be held so.
    accuracy_ci95 : (float, float) or None
        Its 95 % Wilson interval.
    lost_fraction : float or None
        Share of the connections whose weight became 0.
    refused : str
        Why it cannot be held; empty where it can.
    """

    bits: int
    signs: Signs
    clipping: Clipping
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    lost_fraction: float | None
    refused: str = ""


@dataclass(frozen=True)
class StepsPoint:
    """Accuracy after so many time steps, with its 95 % Wilson interval."""

    steps: int
    accuracy: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True)
class PrecisionCurves:
    """Accuracy against bits, and against time steps.

    Parameters
    ----------
    format : str
        Whose state, thresholds and leak the bits are varied in.
    backend, backend_version : str
        Where it ran.
    precisions : list of str
        Arithmetics that were simulated.
    images, steps, seed : int
        Images shown, for how many steps where bits are varied, and the seed of their spikes.
    bits : tuple of BitsPoint
        Accuracy in that format with so many bits a weight.
    floating, quantized : tuple of StepsPoint
        Accuracy of the network as it is, and in that format, as time passes.
    """

    format: str
    backend: str
    backend_version: str
    precisions: list[Precision]
    images: int
    steps: int
    seed: int
    bits: tuple[BitsPoint, ...]
    floating: tuple[StepsPoint, ...]
    quantized: tuple[StepsPoint, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the curves as JSON values."""
        figures = asdict(self)
        return figures | {"quantised": figures.pop("quantized")}


def measure_precision(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    number_format: NumberFormat,
    *,
    bits: Sequence[int],
    time_steps: Sequence[int],
    backend: str = "native",
    seed: int = 0,
    on_progress: Callable[[str, float, str], None],
) -> PrecisionCurves:
    """Measure both curves on the same images and draws.

    Parameters
    ----------
    network : Network
        In floating point.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; the position of an image is the index of its draw.
    labels : int array, shape (images,)
        True classes.
    number_format : NumberFormat
        Whose state, thresholds and leak hold; its bits a weight and its sign modes are varied.
    bits : sequence of int
        Bits a weight, 2 to 16.
    time_steps : sequence of int
        Steps after which to decide; bits are varied at the last of them. One simulation of that
        many serves all: its input spikes begin with those of a shorter one.
    backend, seed : str, int, optional
        Where it runs, and the seed of the input spikes.
    on_progress : callable
        Called with what is being done, the fraction of it done, and how it stands.

    Raises
    ------
    ValidationError
        If a setting is out of range, or the images are not what the network takes.
    UnsupportedFeatureError
        If the network cannot be held in the format as it is.
    """
    if not len(images) or not bits or not time_steps:
        raise ValidationError("precision", "no image, bits or steps", "at least one of each")
    bits = sorted({check_whole("bits", value, 2, MOST_BITS) for value in bits})
    time_steps = sorted({check_whole("steps", value, 1, MAX_STEPS) for value in time_steps})
    last = time_steps[-1]

    curves = []
    version = ""
    quantized = quantize(network, number_format).network
    for name, held in (("floating", network), ("quantized", quantized)):
        with deploy(
            held, backend=backend, steps=last, seed=seed, expected_images=len(images)
        ) as deployment:
            version = deployment.backend_version
            curves.append(
                _over_time(
                    deployment,
                    images,
                    labels,
                    time_steps,
                    lambda done, name=name: on_progress(f"Steps, {name}", done, ""),  # type: ignore[misc]
                )
            )
    points = []
    for signs, clipping in itertools.product(SIGNS, CLIPPINGS):
        rounding = Rounding(
            signs="split" if signs == "split" else "as_given",
            clipping=clipping,
            # A network of mixed signs is held by one sign a source at the loss of the other sign.
            allow_lossy=signs == "per_source",
        )
        for place, width in enumerate(bits):
            narrowed = _narrowed(number_format, width, signs)
            try:
                held = quantize(network, narrowed, rounding).network
            except UnsupportedFeatureError as error:
                points.append(BitsPoint(width, signs, clipping, None, None, None, str(error)))
            else:
                with deploy(
                    held, backend=backend, steps=last, seed=seed, expected_images=len(images)
                ) as deployment:
                    found = evaluate(deployment, images, labels)
                points.append(
                    BitsPoint(
                        width,
                        signs,
                        clipping,
                        found.accuracy,
                        found.accuracy_ci95,
                        1 - _connections(held) / max(_connections(network), 1),
                    )
                )
            name = f"Bits, {signs}, {clipping}".replace("_", " ")
            on_progress(name, (place + 1) / len(bits), f"{width} bits")
    return PrecisionCurves(
        number_format.name,
        backend,
        version,
        sorted({network.precision, quantized.precision}),
        len(images),
        last,
        seed,
        tuple(points),
        curves[0],
        curves[1],
    )


def _connections(network: Network) -> int:
    return sum(int(np.count_nonzero(projection.mantissas)) for projection in network.projections)


def _narrowed(number_format: NumberFormat, bits: int, signs: Signs) -> NumberFormat:
    """Return the format with so many bits a weight, aligned to the same highest bit.

    As on a chip, a narrower weight gives up its last bits and keeps its place against
    thresholds, which would otherwise be rounded more coarsely with it.
    """
    given = number_format.weight_bits or bits
    exponent = max(given - bits, 0)
    modes: dict[Signs, frozenset[SignMode]] = {
        "mixed": frozenset(("mixed",)),
        "split": frozenset(("excitatory", "inhibitory")),
        "per_source": frozenset(("per_source",)),
    }
    return replace(
        number_format,
        weight_bits=bits,
        sign_modes=modes[signs],
        weight_exponents=(exponent, exponent),
    )


def _over_time(
    deployment: Deployment,
    images: NDArray[np.float32],
    labels: Labels,
    time_steps: Sequence[int],
    on_progress: Callable[[float], None],
) -> tuple[StepsPoint, ...]:
    correct = dict.fromkeys(time_steps, 0)
    readout = deployment.network.readout
    for start in range(0, len(images), _BATCH_IMAGES):
        batch = slice(start, start + _BATCH_IMAGES)
        shown = len(images[batch])
        recording = deployment.record(
            images[batch], indices=np.arange(start, start + shown), record_spikes=True
        )
        if recording.spikes is None:
            raise RuntimeError(f"backend {deployment.backend!r} kept no spikes though asked to")
        image, step, neuron = recording.spikes[readout].events()
        classes = deployment.network.classes
        for steps in time_steps:
            early = step < steps
            counts = np.bincount(
                image[early] * classes + neuron[early], minlength=shown * classes
            ).reshape(shown, classes)
            correct[steps] += int((decide(counts.astype(np.int32)) == labels[batch]).sum())
        on_progress((start + shown) / len(images))
    return tuple(
        StepsPoint(steps, right / len(images), wilson_interval(right, len(images)))
        for steps, right in correct.items()
    )
