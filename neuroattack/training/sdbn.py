"""Trained spiking deep belief network: weights in SI units, and evaluation with rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.training.products import Product, ordered_product
from neuroattack.training.siegert import FloatArray, SiegertParameters, Transfer
from neuroattack.validation import check_fields, check_integer, check_number

__all__ = ["SDBN", "check_model", "forward_rates", "frozen_layers"]

_CHUNK = 2000


def frozen_layers(thing: str, layers: Sequence[ArrayLike], ndim: int) -> tuple[FloatArray, ...]:
    """Return read-only float32 copies of the weights (`ndim` 2) or biases (1) of all layers.

    Raises
    ------
    ValidationError
        If an array is empty, not finite, has another number of dimensions, or does not match the
        size of the layer below.
    """
    copies: list[FloatArray] = []
    for index, values in enumerate(layers):
        copy: FloatArray = np.array(values, dtype=np.float32, order="C")
        field = f"{thing} of layer {index + 1}"
        if copy.ndim != ndim or 0 in copy.shape:
            expected = "shape (inputs, units)" if ndim == 2 else "shape (units,)"
            raise ValidationError(field, f"shape {copy.shape}", expected)
        if ndim == 2 and copies and copies[-1].shape[1] != copy.shape[0]:
            raise ValidationError(
                field, f"{copy.shape[0]} inputs", f"{copies[-1].shape[1]}, as the layer below"
            )
        if not np.isfinite(copy).all():
            raise ValidationError(field, "NaN or infinity", "finite numbers")
        copy.setflags(write=False)
        copies.append(copy)
    if not copies:
        raise ValidationError(thing, "no layer", "at least one layer")
    return tuple(copies)


def check_model(thing: str, image_shape: tuple[int, ...], pixels: int, seed: int) -> None:
    """Check fields common to SDBN and MLP; raise ValidationError."""
    if not image_shape or min(image_shape) < 1 or math.prod(image_shape) != pixels:
        raise ValidationError(f"{thing} image_shape", image_shape, f"{pixels} pixels")
    check_integer(f"{thing} seed", seed, 0, 2**63 - 1)


def forward_rates(
    x: FloatArray,
    drive_weights: tuple[FloatArray, ...],
    transfer: Transfer,
    product: Product = np.matmul,
) -> FloatArray:
    """Return the normalized rates of the last layer (n, units), in chunks to limit memory.

    Input rates `x` (n, inputs) are normalized as well; weights (inputs, units) are in volts per
    second. `product` is the matrix product: with
    :func:`~neuroattack.training.products.ordered_product` rows do not depend on each other, to the
    last bit.
    """
    squared = [np.square(weights) for weights in drive_weights]
    out = np.empty((len(x), drive_weights[-1].shape[1]), np.float32)
    for start in range(0, len(x), _CHUNK):
        rates = x[start : start + _CHUNK]
        for weights, squares in zip(drive_weights, squared, strict=True):
            rates = transfer.layer(rates, weights, squares, product)
        out[start : start + _CHUNK] = rates
    return out


@dataclass(frozen=True, eq=False)
class SDBN:
    """Trained network of Siegert neurons, which can be converted to a spiking network.

    Parameters
    ----------
    weights : tuple of float32 arrays (inputs, units)
        Weights of each layer, in **volts per spike**; stored as read-only copies.
    siegert : SiegertParameters
        Neuron parameters of all layers.
    noise_factor : float
        Factor of the variance tau_m w^2 x / 2 of the SI diffusion approximation (w in volts per
        spike, x in hertz) in training and in :meth:`rates`. 1 is physically consistent; 1 / t_ref
        is the convention of the public implementation of O'Connor et al., with which the rates of
        the spiking network differ from those of the model.
    input_scale : float
        Rate of an input at full intensity, as a fraction of 1 / t_ref, in (0, 1]: 0.2 is 100 Hz.
    image_shape : tuple of int
        Height and width of an image.
    recipe, dataset, dataset_checksum : str
        Recipe and data set of the training.
    seed : int
        Random seed of the training.
    rate_accuracy : float or None
        Accuracy of :meth:`predict` on test images, in [0, 1], if measured.

    Raises
    ------
    ValidationError
        If shapes are inconsistent, or a value is outside its range.
    """

    weights: tuple[FloatArray, ...]
    siegert: SiegertParameters
    noise_factor: float
    image_shape: tuple[int, ...]
    recipe: str
    dataset: str
    dataset_checksum: str
    seed: int
    input_scale: float = 0.2
    rate_accuracy: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_layers("SDBN weights", self.weights, 2))
        check_model("SDBN", self.image_shape, len(self.weights[0]), self.seed)
        check_fields(self, "SDBN", input_scale="(0, 1]", noise_factor="[0, inf)")
        if self.rate_accuracy is not None:
            check_number("SDBN rate_accuracy", self.rate_accuracy, "[0, 1]")

    @property
    def classes(self) -> int:
        """Number of output units."""
        return int(self.weights[-1].shape[1])

    @property
    def transfer(self) -> Transfer:
        """Transfer function of the units."""
        return Transfer(self.siegert, self.noise_factor)

    def rates(self, images: ArrayLike) -> FloatArray:
        """Return output rates (n, classes), in units of 1 / t_ref, of images in [0, 1].

        Raises ValidationError if the images are invalid.
        """
        return self.outputs(validate_images(images, self.image_shape).astype(np.float32))

    def outputs(self, intensities: NDArray[np.floating[Any]]) -> FloatArray:
        """Return output rates (n, classes), in units of 1 / t_ref, also of noisy images.

        The rates of an image do not depend on other images in the batch or on the number of cores,
        to the last bit. Intensities (n, pixels) are relative to full scale; they are not checked
        and may be outside [0, 1].
        """
        scale = np.float32(self.input_scale)
        drive = tuple(w * np.float32(1 / self.siegert.t_ref_s) for w in self.weights)
        inputs = np.asarray(intensities, np.float32) * scale
        return forward_rates(inputs, drive, self.transfer, ordered_product)

    def predict(self, images: ArrayLike) -> NDArray[np.int64]:
        """Return the class with the highest output rate for each image; int64 array (n,).

        Raises ValidationError if the images are invalid.
        """
        classes: NDArray[np.int64] = self.rates(images).argmax(axis=1).astype(np.int64)
        return classes
