"""A Python function as a black box: counts, labels, probabilities or logits, counted queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.rates import fractions_as_counts
from neuroattack.validation import check_whole

__all__ = ["ResponseKind", "responses_as_counts", "target"]

ResponseKind = Literal["counts", "labels", "probabilities", "logits"]
"""What a function returns for a batch of images; labels have shape (batch,), all others
(batch, classes)."""

# Above the rounding of a float16 softmax over a thousand classes.
_SUM_TOLERANCE = 1e-2
_MOST_COUNTS = np.iinfo(np.int32).max


def target(
    function: Callable[[NDArray[np.float64]], Any],
    *,
    image_shape: Sequence[int],
    classes: int,
    response: ResponseKind | None = None,
    budget: int | None = None,
) -> BlackBox:
    r"""Return a Python function as a black box that counts its queries.

    Parameters
    ----------
    function : callable
        Takes images, a float64 array of shape (batch, \*image_shape) with intensities in [0, 1].
        Returns counts, probabilities or logits of shape (batch, classes), or labels of shape
        (batch,): a NumPy array, nested lists, or a PyTorch tensor on any device.
    image_shape : sequence of int
        Shape of one image; attacks take images of shape (height, width).
    classes : int
        Number of classes, at least 2.
    response : {"counts", "labels", "probabilities", "logits"}, optional
        Kind of the function's answers. By default it is inferred from one call of the function
        with two random images, which is not counted: integers of shape (batch,) are labels,
        nonnegative whole numbers of shape (batch, classes) are counts, rows of floats that sum
        to 1 are probabilities, and other floats are logits.
    budget : int, optional
        Maximum number of queries, of searches and verification together; unlimited by default.

    Returns
    -------
    BlackBox
        Probabilities, and logits after a softmax, are returned as integers in parts of
        10**9; labels as a one for the class, to decision-based attacks only.

    Raises
    ------
    ValidationError
        If an argument is out of range, or the function's answer has another shape, is not
        finite, or is not of its kind; queries raise it too.
    UnknownNameError
        If there is no such kind of answers.

    Examples
    --------
    >>> box = target(
    ...     lambda images: images.reshape(-1, 4)[:, :2], image_shape=(2, 2), classes=2,
    ...     response="logits",
    ... )
    >>> box.query([[[1.0, 0.0], [0.0, 0.0]]])
    array([[731058579, 268941421]], dtype=int32)
    """
    if not callable(function):
        raise ValidationError("target", repr(function), "a function of a batch of images")
    shape = tuple(check_whole("side of a target's image", side, 1) for side in image_shape)
    check_whole("classes of a target", classes, 2)
    if response is not None and response not in get_args(ResponseKind):
        raise UnknownNameError("kind of response", response, get_args(ResponseKind))
    name = f"answer of {getattr(function, '__qualname__', type(function).__name__)}"

    def values_of(images: NDArray[np.float64]) -> NDArray[Any]:
        # A copy: a function that works in place must not change the attack's images.
        return _as_array(name, function(images.reshape(-1, *shape).copy()))

    kind = response
    if kind is None:
        probe = np.random.default_rng(0).random((2, *shape))
        kind = _inferred(name, values_of(probe), 2, classes)

    def answer(rows: NDArray[np.float64]) -> NDArray[np.int32]:
        return responses_as_counts(name, values_of(rows), kind, len(rows), classes)

    return BlackBox(
        answer, shape, classes, budget, response="labels" if kind == "labels" else "counts"
    )


def responses_as_counts(
    name: str, values: NDArray[Any], kind: ResponseKind, images: int, classes: int
) -> NDArray[np.int32]:
    """Return answers of any kind as nonnegative integers, shape (images, classes).

    Parameters
    ----------
    name : str
        What they are called in errors.
    values : array, shape (images, classes) or, of labels, (images,)
        What came back.
    kind : {"counts", "labels", "probabilities", "logits"}
        What they are.
    images, classes : int
        How many there should be.

    Raises
    ------
    ValidationError
        If the values are not of that shape or kind.
    """
    _check_shape(name, values, (images,) if kind == "labels" else (images, classes), kind)
    _check_finite(name, values)
    if kind in ("counts", "labels"):
        most = classes - 1 if kind == "labels" else _MOST_COUNTS
        if not _whole(values) or values.min() < 0 or values.max() > most:
            raise ValidationError(
                name,
                f"{'floats' if not _whole(values) else 'integers'} from {values.min():g} to "
                f"{values.max():g}",
                f"{kind}, integers from 0 to {most} (or state another kind of `response`)",
            )
        if kind == "counts":
            return values.astype(np.int32)
        return np.eye(classes, dtype=np.int32)[values.astype(np.intp)]
    graded = values.astype(np.float64)
    if kind == "logits":
        graded = np.exp(graded - graded.max(axis=1, keepdims=True))
    elif not _sum_to_one(graded):
        raise ValidationError(
            name,
            f"floats from {graded.min():g} to {graded.max():g}, in rows that sum to "
            f"{graded.sum(axis=1).min():g} to {graded.sum(axis=1).max():g}",
            "probabilities, which sum to 1 (or state another kind of `response`)",
        )
    # Rounding may leave a probability just below 0.
    graded = np.maximum(graded, 0.0)
    return fractions_as_counts(graded / graded.sum(axis=1, keepdims=True))


def _as_array(name: str, values: Any) -> NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise ValidationError(name, f"a {type(values).__name__}", "an array of numbers")
    return array


def _inferred(name: str, values: NDArray[Any], images: int, classes: int) -> ResponseKind:
    if values.dtype.kind in "iu" and values.ndim == 1:
        _check_shape(name, values, (images,), "labels")
        return "labels"
    _check_shape(name, values, (images, classes), "counts, probabilities or logits")
    _check_finite(name, values)
    if values.dtype.kind == "f" and _sum_to_one(values):
        return "probabilities"
    # Spikes that PyTorch summed up are floats.
    if _whole(values) and values.min() >= 0:
        return "counts"
    if values.dtype.kind == "f":
        return "logits"
    raise ValidationError(
        name, "negative integers", "counts, or the kind of `response` to be stated"
    )


def _check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...], kind: str) -> None:
    if values.shape != shape:
        raise ValidationError(
            name,
            f"an array of shape {values.shape} for {shape[0]} images",
            f"{kind} of shape {shape}",
        )


def _check_finite(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        kind = "NaN" if np.isnan(values).any() else "infinite values"
        raise ValidationError(name, kind, "finite numbers")


def _whole(values: NDArray[Any]) -> bool:
    return bool((values == np.rint(values)).all())


def _sum_to_one(values: NDArray[Any]) -> bool:
    sums = values.sum(axis=1, dtype=np.float64)
    return bool(values.min() >= -_SUM_TOLERANCE and np.abs(sums - 1).max() <= _SUM_TOLERANCE)
