"""Visibility of perturbations in the paper: window, local contrast SD (Eq. 1), D (Eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer

__all__ = ["Window", "distance", "image_sides", "standard_deviation"]


@dataclass(frozen=True)
class Window:
    """Square window of pixels, the paper's area A.

    Parameters
    ----------
    top, left : int
        Row and column of its first pixel.
    size : int
        Side N in pixels, at least 1.

    Raises
    ------
    ValidationError
        If a position is negative or the size is below 1.
    """

    top: int
    left: int
    size: int

    def __post_init__(self) -> None:
        check_integer("window size", self.size, 1)
        if self.top < 0 or self.left < 0:
            raise ValidationError(
                "window", f"row {self.top}, column {self.left}", "a position inside the image"
            )

    @classmethod
    def centered(
        cls, shape: tuple[int, ...], size: int, *, top: int | None = None, left: int | None = None
    ) -> Window:
        """Return a window in an image of a given shape, centered by default."""
        height, width = image_sides(shape)
        window = cls(
            max(height - size, 0) // 2 if top is None else top,
            max(width - size, 0) // 2 if left is None else left,
            size,
        )
        window.check_inside(shape)
        return window

    def check_inside(self, shape: tuple[int, ...]) -> None:
        """Raise ValidationError unless the window lies inside an image of this shape."""
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
        """Row and column slices for indexing an image."""
        return (
            slice(self.top, self.top + self.size),
            slice(self.left, self.left + self.size),
        )


def image_sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width; raise ValidationError unless the shape is two-dimensional."""
    if len(shape) != 2:
        raise ValidationError("image shape", shape, "(height, width)")
    return shape[0], shape[1]


def standard_deviation(area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the SD of every pixel of a window (Eq. 1 of the paper).

    ``SD(x_ij) = sqrt((sum_kl (x_kl - mu)^2 - (x_ij - mu)^2) / N^2)``. Unlike the usual standard
    deviation, it excludes the pixel's own deviation from the sum, but divides by N^2.

    Parameters
    ----------
    area : float64 array, shape (N, N)
        Intensities of the window.

    Returns
    -------
    float64 array, shape (N, N)
    """
    if area.min() == area.max():
        # Rounding in the mean of equal numbers would give a small positive SD.
        return np.zeros(area.shape)
    squares = (area - area.mean()) ** 2
    # Rounding can make the difference slightly negative.
    others: NDArray[np.float64] = np.maximum(squares.sum() - squares, 0.0)
    return np.sqrt(others / area.size)


def distance(
    adversarial: NDArray[np.float64], original: NDArray[np.float64], sd: NDArray[np.float64]
) -> float:
    """Return D(X*, X): absolute perturbation divided by SD, summed over the window (Eq. 2).

    Parameters
    ----------
    adversarial, original : float64 arrays, shape (N, N)
        Intensities of the window.
    sd : float64 array, shape (N, N)
        SD of every pixel.

    Returns
    -------
    float
        Distance; infinite if a pixel of SD 0 changed.
    """
    perturbation = np.abs(adversarial - original)
    moved = perturbation > 0
    if (sd[moved] == 0).any():
        return float("inf")
    return float((perturbation[moved] / sd[moved]).sum())
