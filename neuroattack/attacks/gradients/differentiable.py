"""The interface of models whose class scores can be differentiated with respect to the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Differentiable", "Pullback"]

Pullback = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Function of weights, shape (images, classes), that returns the gradient of the weighted sum of
each image's scores, shape (images, ...)."""


class Differentiable(Protocol):
    """Model of class scores, such as a substitute of the attacked network."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        ...

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        ...

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms of the class scores, up to a constant per image.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Intensities in [0, 1].

        Returns
        -------
        float64 array, shape (images, classes)
        """
        ...

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        """Return :meth:`log_scores` of images, and the function that gives their gradients."""
        ...
