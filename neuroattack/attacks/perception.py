"""What the eye notices, after the paper: window, local contrast SD (Eq. 1), distance D (Eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_whole

__all__ = ["Window", "distance", "image_sides", "standard_deviation"]


@dataclass(frozen=True)
class Window:
    """A square of pixels, the paper's area A.

    Parameters
    ----------
    top, left : int
        Row and column of its first pixel.
    size : int
        Side N in pixels, at least 1.

    Raises
    ------
    ValidationError
        If it starts outside the image or has no pixels.
    """

    top: int
    left: int
    size: int

    def __post_init__(self) -> None:
        check_whole("window size", self.size, 1)
        if self.top < 0 or self.left < 0:
            raise ValidationError(
                "window", f"row {self.top}, column {self.left}", "a place inside the image"
            )

    @classmethod
    def centred(
        cls, shape: tuple[int, ...], size: int, *, top: int | None = None, left: int | None = None
    ) -> Window:
        """Return the window of that size in an image of that shape, centred where not placed."""
        height, width = image_sides(shape)
        window = cls(
            max(height - size, 0) // 2 if top is None else top,
            max(width - size, 0) // 2 if left is None else left,
            size,
        )
        window.check_inside(shape)
        return window

    def check_inside(self, shape: tuple[int, ...]) -> None:
        """Raise ValidationError unless the window lies in an image of that shape."""
        height, width = image_sides(shape)
        if self.top + self.size > height or self.left + self.size > width:
            raise ValidationError(
                "window",
                f"rows {self.top} to {self.top + self.size - 1}, "
                f"columns {self.left} to {self.left + self.size - 1}",
                f"rows 0 to {height - 1} and columns 0 to {width - 1}",
            )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the window, to index an image."""
        return (
            slice(self.top, self.top + self.size),
            slice(self.left, self.left + self.size),
        )


def image_sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width; ValidationError if an image of that shape is not flat."""
    if len(shape) != 2:
        raise ValidationError("image shape", shape, "(height, width)")
    return shape[0], shape[1]


def standard_deviation(area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the SD of every pixel of a window (Eq. 1 of the paper).

    ``SD(x_ij) = sqrt((sum_kl (x_kl - mu)^2 - (x_ij - mu)^2) / N^2)``: the pixel's own deviation
    is left out of the sum, and not of the N^2, so this is not the usual standard deviation.

    Parameters
    ----------
    area : float64 array, shape (N, N)
        Intensities of the window.

    Returns
    -------
    float64 array, shape (N, N)
    """
    if area.min() == area.max():
        # The mean of equal numbers may be off by a rounding, and would make contrast of it.
        return np.zeros(area.shape)
    squares = (area - area.mean()) ** 2
    # Rounding may leave a difference of equal sums just below 0.
    others: NDArray[np.float64] = np.maximum(squares.sum() - squares, 0.0)
    return np.sqrt(others / area.size)


def distance(
    adversarial: NDArray[np.float64], original: NDArray[np.float64], sd: NDArray[np.float64]
) -> float:
    """Return D(X*, X), the perturbation over the SD, summed over the window (Eq. 2).

    Parameters
    ----------
    adversarial, original : float64 arrays, shape (N, N)
        Intensities of the window.
    sd : float64 array, shape (N, N)
        SD of every pixel.

    Returns
    -------
    float
        Infinite if a pixel of SD 0 was moved.
    """
    perturbation = np.abs(adversarial - original)
    moved = perturbation > 0
    if (sd[moved] == 0).any():
        return float("inf")
    return float((perturbation[moved] / sd[moved]).sum())
