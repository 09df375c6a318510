"""Black box that returns spike counts, with a query counter and a query budget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import BudgetExceededError
from neuroattack.validation import check_integer

__all__ = ["METERS", "BlackBox", "Randomness", "Response", "Target"]

METERS = ("spikes", "synaptic-operations", "energy", "latency")
"""Meters that an attacker can read: spikes of all populations except the input, synaptic
operations, energy in nanojoules, the mean of the lower and the upper estimate of all terms with a
coefficient, and latency, the number of time steps until the decision with early exit."""

Response = Literal["counts", "labels"]
"""Whether a target returns spike counts for all classes, or a one-hot label.

Scores that are not spikes, such as probabilities in units of 1e-9, are counts in this sense.
"""

Randomness = Literal["independent", "shared"]
"""Whether the images of a batch have independent random numbers, or share them."""


class Target(Protocol):
    """Interface through which an attack queries a network."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        ...

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def response(self) -> Response:
        """Whether queries return spike counts or one-hot labels."""
        ...

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have independent or shared random numbers."""
        ...

    @property
    def meter(self) -> str | None:
        """Quantity whose reading is the last column of each response; None without a meter."""
        ...

    @property
    def queries(self) -> int:
        """Number of queries so far, one per image."""
        ...

    @property
    def remaining(self) -> int | None:
        """Number of queries left; None without a budget."""
        ...

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return the spike counts of a batch of images.

        Parameters
        ----------
        images : float array, shape (batch, ...) or (batch, pixels)
            Intensities in [0, 1].

        Returns
        -------
        int32 array, shape (batch, classes); with a meter (batch, classes + 1)

        Raises
        ------
        BudgetExceededError
            If the batch exceeds the budget; no image of it is run or counted.
        ValidationError
            If the images do not fit the network; no query is counted.
        """
        ...


class BlackBox:
    """Target that hides the network behind it.

    No public attribute gives access to the network or resets the query counter. This prevents
    mistakes, but not deliberate access through Python's internals. Thread-safe: queries run one at
    a time.

    Parameters
    ----------
    function : callable
        Function of images of shape (batch, pixels) that returns counts of shape (batch, classes).
    image_shape : tuple of int
        Shape of one image.
    n_classes : int
        Number of classes.
    budget : int, optional
        Maximum number of queries, at least 1; unlimited by default.
    randomness : {"independent", "shared"}, optional
        Whether the images of a batch have independent or shared random numbers.
    response : {"counts", "labels"}, optional
        Whether queries return spike counts or one-hot labels.
    meter : str, optional
        Quantity whose reading is the last column of what the function returns.

    Raises
    ------
    ValidationError
        If the budget is not positive.
    """

    __slots__ = (
        "__budget",
        "__function",
        "__image_shape",
        "__lock",
        "__meter",
        "__n_classes",
        "__queries",
        "__randomness",
        "__response",
    )

    def __init__(
        self,
        function: Callable[[NDArray[np.float64]], NDArray[np.int32]],
        image_shape: tuple[int, ...],
        n_classes: int,
        budget: int | None = None,
        randomness: Randomness = "independent",
        response: Response = "counts",
        meter: str | None = None,
    ) -> None:
        if budget is not None:
            check_integer("query budget", budget, 1)
        self.__function = function
        self.__response: Response = response
        self.__meter = meter
        self.__budget = budget
        self.__image_shape = image_shape
        self.__n_classes = n_classes
        self.__randomness = randomness
        self.__queries = 0
        self.__lock = threading.Lock()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.__image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.__n_classes

    @property
    def response(self) -> Response:
        """Whether queries return spike counts or one-hot labels."""
        return self.__response

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have independent or shared random numbers."""
        return self.__randomness

    @property
    def meter(self) -> str | None:
        """Quantity whose reading is the last column of each response; None without a meter."""
        return self.__meter

    @property
    def queries(self) -> int:
        """Number of queries so far, one per image."""
        return self.__queries

    @property
    def remaining(self) -> int | None:
        """Number of queries left; None without a budget."""
        return None if self.__budget is None else self.__budget - self.__queries

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; see :meth:`Target.query`."""
        rows = validate_images(images, self.__image_shape)
        with self.__lock:
            if self.remaining is not None and len(rows) > self.remaining:
                raise BudgetExceededError(len(rows), self.remaining)
            # Counted before the call, because a query that fails may have reached the network.
            self.__queries += len(rows)
            return self.__function(rows)
