"""How visible an adversarial image is, by the paper's distance and by those of other authors."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.perception import Window, distance, image_sides, standard_deviation
from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError

__all__ = [
    "SD_FLOOR",
    "Imperceptibility",
    "local_standard_deviation",
    "measure_imperceptibility",
]

SD_FLOOR = 0.05
"""Least SD of a neighbourhood in the floored distance: half of the paper's delta of 0.1.

Ours, not Luo et al.'s: on black, where most of a digit's image is, no move has a finite distance.
"""

_NEIGHBOURHOOD = 3
_ROUNDING = 1e-9
# What 3.5 standard deviations of 1.5 pixels cut a Gaussian window to: 11 x 11, as in Wang et al.
_SSIM_WINDOW = 11


@dataclass(frozen=True)
class Imperceptibility:
    """Distances of an adversarial image from its original; delta is their difference by pixel.

    A pixel that differs by less than 1e-9 is taken as unchanged.

    Parameters
    ----------
    distance : float
        D of Eq. 2 of the paper in a window, with the SD of Eq. 1 of the original; infinite if a
        pixel of SD 0 moved.
    l0 : int
        Pixels that differ at all.
    l1, l2, linf : float
        Sum of ``|delta|``, root of the sum of its squares, and its maximum.
    ssim : float or None
        Mean structural similarity, 1 for equal images, after Wang et al. 2004: Gaussian weights
        of sigma 1.5 over 11 x 11 pixels, K1 = 0.01, K2 = 0.03, dynamic range 1, covariances
        divided by N, over the places where the weights lie inside the image. None where a side is
        shorter than 11.
    local_sd_distance : float
        The distance of Luo et al. 2018 ("Towards imperceptible and robust adversarial example
        attacks against neural networks", AAAI): sum of ``|delta|`` over the ordinary SD of the
        original's 3 x 3 neighbourhood of the pixel, itself included; on the border only the
        pixels that exist. It depends on no window. Infinite if a pixel moved that no
        neighbour differs from.
    floored_local_sd_distance : float
        The same with no SD below :data:`SD_FLOOR`; always finite.
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
        """Return the distances as JSON values; an infinite one is None."""
        return {
            name: None if value is None or math.isinf(value) else value
            for name, value in asdict(self).items()
        }


def measure_imperceptibility(
    original: ArrayLike, adversarial: ArrayLike, window: Window
) -> Imperceptibility:
    """Return how far an adversarial image is from its original.

    Parameters
    ----------
    original, adversarial : float arrays, shape (height, width)
        Intensities in [0, 1].
    window : Window
        Where pixels were moved: the area A of the paper's D. The whole of a square image is one.

    Raises
    ------
    ValidationError
        If an image is not one, the shapes differ, the window does not lie inside, or a pixel
        outside of it differs: D would not see it.
    """
    before = _image(original)
    after = _image(adversarial)
    if after.shape != before.shape:
        raise ValidationError("adversarial image", f"shape {after.shape}", f"{before.shape}")
    window.check_inside(before.shape)
    # Moves up and down that cancel leave roundings, which are no change of a pixel.
    after = np.where(np.abs(after - before) < _ROUNDING, before, after)
    delta = np.abs(after - before)
    outside = np.count_nonzero(delta) - np.count_nonzero(delta[window.slices])
    if outside:
        raise ValidationError(
            "adversarial image",
            f"{outside} pixels that differ outside of the window",
            "changes inside of it only",
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
    """Return the ordinary SD of every pixel's 3 x 3 neighbourhood, as Luo et al. 2018 take it.

    Parameters
    ----------
    image : float64 array, shape (height, width)
        On its border a neighbourhood is of the pixels that exist.

    Returns
    -------
    float64 array, shape (height, width)
        Exactly 0 where a neighbourhood is flat.
    """
    padded = np.pad(image, _NEIGHBOURHOOD // 2, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (_NEIGHBOURHOOD, _NEIGHBOURHOOD))
    # The mean of equal numbers may be off by a rounding, and would make contrast of it.
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
