"""The black box: images in, spike counts out, every query counted and none beyond the budget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import BudgetExceededError
from neuroattack.validation import check_whole

__all__ = ["BlackBox", "Randomness", "Response", "Target"]

Response = Literal["counts", "labels"]
"""Whether a target tells the spikes of every class, or a one for the class it decides for."""

Randomness = Literal["independent", "shared"]
"""Whether the images of a batch of queries have a draw of input spikes each, or one in common."""


class Target(Protocol):
    """What an attack may know of the network it attacks."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        ...

    @property
    def n_classes(self) -> int:
        """Classes it tells apart."""
        ...

    @property
    def response(self) -> Response:
        """What it tells of an image."""
        ...

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have a draw of input spikes each."""
        ...

    @property
    def queries(self) -> int:
        """Images answered so far."""
        ...

    @property
    def remaining(self) -> int | None:
        """Images still answered; None where there is no budget."""
        ...

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return the spike counts of a batch of images.

        Parameters
        ----------
        images : float array, shape (batch, height, width) or (batch, pixels)
            Intensities in [0, 1].

        Returns
        -------
        int32 array, shape (batch, classes)

        Raises
        ------
        BudgetExceededError
            If the batch would overrun the budget; nothing of it is answered or counted.
        ValidationError
            If the images are not what the network takes; nothing is counted.
        """
        ...


class BlackBox:
    """A target that hides what answers it.

    It keeps honest attacks honest: no public name leads to the network or resets the count. It
    is no wall against code that goes through Python's internals to cheat. Safe to share between
    threads; their queries are answered one after the other.

    Parameters
    ----------
    answer : callable
        Takes valid images of shape (batch, pixels), returns counts of shape (batch, classes).
    image_shape : tuple of int
        Shape of one image.
    n_classes : int
        Classes it tells apart.
    budget : int, optional
        Images it answers at most, at least 1; unlimited by default.
    randomness : {"independent", "shared"}, optional
        Whether each image of a batch has a draw of its own.
    response : {"counts", "labels"}, optional
        Whether it returns counts, or a one for the predicted class.

    Raises
    ------
    ValidationError
        If the budget is not positive.
    """

    __slots__ = (
        "__answer",
        "__budget",
        "__draws",
        "__image_shape",
        "__lock",
        "__n_classes",
        "__queries",
        "__response",
    )

    def __init__(
        self,
        answer: Callable[[NDArray[np.float64]], NDArray[np.int32]],
        image_shape: tuple[int, ...],
        n_classes: int,
        budget: int | None = None,
        randomness: Randomness = "independent",
        response: Response = "counts",
    ) -> None:
        if budget is not None:
            check_whole("query budget", budget, 1)
        self.__answer = answer
        self.__response: Response = response
        self.__budget = budget
        self.__image_shape = image_shape
        self.__n_classes = n_classes
        self.__draws = randomness
        self.__queries = 0
        self.__lock = threading.Lock()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.__image_shape

    @property
    def n_classes(self) -> int:
        """Classes it tells apart."""
        return self.__n_classes

    @property
    def response(self) -> Response:
        """What it tells of an image."""
        return self.__response

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have a draw of input spikes each."""
        return self.__draws

    @property
    def queries(self) -> int:
        """Images answered so far."""
        return self.__queries

    @property
    def remaining(self) -> int | None:
        """Images still answered; None where there is no budget."""
        return None if self.__budget is None else self.__budget - self.__queries

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; see :meth:`Target.query`."""
        rows = validate_images(images, self.__image_shape)
        asked = len(rows)
        with self.__lock:
            if self.remaining is not None and asked > self.remaining:
                raise BudgetExceededError(asked, self.remaining)
            # Charged first: a query that fails midway has reached the network all the same.
            self.__queries += asked
            return self.__answer(rows)
