"""Measures of the visibility of an adversarial image."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.perception import Window, distance, image_sides, standard_deviation
from neuroattack.encoding.images import planes_of, validate_images
from neuroattack.errors import ValidationError

__all__ = [
    "SD_FLOOR",
    "Imperceptibility",
    "local_standard_deviation",
    "measure_imperceptibility",
]

SD_FLOOR = 0.05
"""Smallest SD of a neighborhood in the floored distance: half of the paper's delta of 0.1.

Not part of Luo et al.: without it, any change in a uniform region, such as the black background of
a digit, has an infinite distance.
"""

_NEIGHBORHOOD = 3
_ROUNDING = 1e-9
# A Gaussian of sigma 1.5 pixels, truncated at 3.5 sigma, covers 11 x 11 pixels (Wang et al.).
_SSIM_WINDOW = 11


@dataclass(frozen=True)
class Imperceptibility:
    """Distances between an adversarial and a clean image; delta is their difference per pixel.

    Differences below 1e-9 are treated as 0.

    Parameters
    ----------
    distance : float
        D of Eq. 2 of the paper in a window, with the SD of Eq. 1 of the clean image; infinite if a
        pixel of SD 0 changed.
    l0 : int
        Number of changed pixels.
    l1, l2, linf : float
        L1, L2 and maximum norm of delta.
    ssim : float or None
        Mean structural similarity, 1 for equal images, after Wang et al. 2004: Gaussian weights
        of sigma 1.5 over 11 x 11 pixels, K1 = 0.01, K2 = 0.03, dynamic range 1, covariances
        divided by N, averaged over positions where the weights lie inside the image. None if a
        side is shorter than 11 pixels.
    local_sd_distance : float
        The distance of Luo et al. 2018 ("Towards imperceptible and robust adversarial example
        attacks against neural networks", AAAI): sum of ``|delta|`` divided by the standard
        deviation of the pixel's 3 x 3 neighborhood in the clean image, including the pixel and
        clipped at the border. Independent of the window. Infinite if a pixel in a uniform
        neighborhood changed.
    floored_local_sd_distance : float
        The same with the SD limited to at least :data:`SD_FLOOR`; always finite.
    """

    distance: float
    l0: int
    l1: float
    l2: float
    linf: float
    ssim: float | None
    local_sd_distance: float
    floored_local_sd_distance: float

    def as_json(self) -> dict[str, Any]:
        """Return the distances as JSON values; None if infinite."""
        return {
            name: None if value is None or math.isinf(value) else value
            for name, value in asdict(self).items()
        }


def measure_imperceptibility(
    original: ArrayLike, adversarial: ArrayLike, window: Window
) -> Imperceptibility:
    """Measure the distances between an adversarial and a clean image.

    Parameters
    ----------
    original, adversarial : float arrays, shape (height, width)
        Intensities in [0, 1].
    window : Window
        Window that contains all changes: area A of the paper's D. May cover a whole square image.

    Raises
    ------
    ValidationError
        If an image is invalid, the shapes differ, the window exceeds the image, or a pixel
        outside the window differs.
    """
    before = _image(original)
    after = _image(adversarial)
    if after.shape != before.shape:
        raise ValidationError("adversarial image", f"shape {after.shape}", f"{before.shape}")
    window.check_inside(before.shape)
    # Moves up and down that cancel leave rounding errors.
    after = np.where(np.abs(after - before) < _ROUNDING, before, after)
    delta = np.abs(after - before)
    outside = np.count_nonzero(delta) - np.count_nonzero(delta[window.slices])
    if outside:
        raise ValidationError(
            "adversarial image",
            f"{outside} changed pixels outside the window",
            "changes inside the window only",
        )
    area = before[window.slices]
    sd = local_standard_deviation(before)
    return Imperceptibility(
        distance=distance(after[window.slices], area, standard_deviation(area)),
        l0=int(np.count_nonzero(delta)),
        l1=float(delta.sum()),
        l2=float(np.sqrt((delta**2).sum())),
        linf=float(delta.max()),
        ssim=_ssim(before, after),
        local_sd_distance=distance(after, before, sd),
        floored_local_sd_distance=distance(after, before, np.maximum(sd, SD_FLOOR)),
    )


def local_standard_deviation(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of every pixel's 3 x 3 neighborhood (Luo et al. 2018).

    Parameters
    ----------
    image : float64 array, shape (height, width) or (channels, height, width)
        Intensities; neighborhoods are in one channel and clipped at the border.

    Returns
    -------
    float64 array, same shape
        Exactly 0 in uniform neighborhoods.

    Raises
    ------
    ValidationError
        If the image is a vector, whose values have no neighborhoods.
    """
    if image.ndim < 2:
        raise ValidationError(
            "local standard deviation",
            f"images of shape {image.shape}",
            "(height, width) or (channels, height, width)",
        )
    return np.stack([_local_sd(plane) for plane in planes_of(image)]).reshape(image.shape)


def _local_sd(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(plane, _NEIGHBORHOOD // 2, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (_NEIGHBORHOOD, _NEIGHBORHOOD))
    # Rounding in the mean of equal numbers would give a small positive SD.
    flat = np.nanmax(around, axis=(2, 3)) == np.nanmin(around, axis=(2, 3))
    return np.where(flat, 0.0, np.nanstd(around, axis=(2, 3)))


def _image(image: ArrayLike) -> NDArray[np.float64]:
    shape = image_sides(np.shape(image))
    return validate_images(np.asarray(image)[None], shape).reshape(shape)


def _ssim(before: NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    if min(before.shape) < _SSIM_WINDOW:
        return None
    from skimage.metrics import structural_similarity

    similarity = structural_similarity(
        before,
        after,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)
