"""Black box from a Python function that returns counts, labels, probabilities or logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.readout import fractions_as_scores, logits_as_scores
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.targets.black_box import METERS, BlackBox
from neuroattack.validation import check_integer

__all__ = ["ResponseKind", "responses_as_counts", "target"]

ResponseKind = Literal["counts", "labels", "probabilities", "logits"]
"""Kind of a function's return value; labels have shape (batch,), all others (batch, classes)."""

# Above the rounding of a float16 softmax over a thousand classes.
_SUM_TOLERANCE = 1e-2
_MAX_COUNT = np.iinfo(np.int32).max


def target(
    function: Callable[[NDArray[np.float64]], Any],
    *,
    image_shape: Sequence[int],
    classes: int,
    response: ResponseKind | None = None,
    meter: str | None = None,
    budget: int | None = None,
) -> BlackBox:
    r"""Return a black box that queries a Python function.

    Parameters
    ----------
    function : callable
        Function of a float64 array of images, shape (batch, \*image_shape), intensities in [0, 1].
        It returns counts, probabilities or logits of shape (batch, classes), or labels of shape
        (batch,), as a NumPy array, nested lists, or a PyTorch tensor on any device.
    image_shape : sequence of int
        Shape of one image: (height, width), (channels, height, width), or (values,) for vectors.
    classes : int
        Number of classes, at least 2.
    response : {"counts", "labels", "probabilities", "logits"}, optional
        Kind of the return value. By default it is inferred from one call with two random images,
        which is not counted as queries: integers of shape (batch,) are labels, nonnegative
        integers (also as floats) of shape (batch, classes) are counts, rows of floats that sum to
        1 are probabilities, and other floats are logits.
    meter : str, optional
        Quantity that a meter reads in every query, such as ``"energy"`` or ``"latency"``. The
        function then returns a pair: counts, and nonnegative readings of shape (batch,), which are
        rounded to integers; choose the unit accordingly.
    budget : int, optional
        Maximum number of queries, including verification; unlimited by default.

    Returns
    -------
    BlackBox
        Black box. It returns probabilities, and logits after a softmax, as integers in units of
        1e-9, and labels as one-hot vectors, which only decision-based attacks accept.

    Raises
    ------
    ValidationError
        If an argument is out of range, or the return value has the wrong shape or kind or is not
        finite; also raised by queries.
    UnknownNameError
        If the kind of response is unknown.

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
    shape = tuple(check_integer("side of a target's image", side, 1) for side in image_shape)
    check_integer("classes of a target", classes, 2)
    if response is not None and response not in get_args(ResponseKind):
        raise UnknownNameError("kind of response", response, get_args(ResponseKind))
    if meter is not None and meter not in METERS:
        raise UnknownNameError("meter", str(meter), METERS)
    name = f"return value of {getattr(function, '__qualname__', type(function).__name__)}"

    def values_of(images: NDArray[np.float64]) -> NDArray[Any]:
        # Copy, so that a function that works in place cannot change the attack's images.
        return _as_array(name, function(images.reshape(-1, *shape).copy()))

    def with_readings(rows: NDArray[np.float64]) -> NDArray[np.int32]:
        returned = function(rows.reshape(-1, *shape).copy())
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValidationError(name, type(returned).__name__, "a pair of counts and readings")
        counts, readings = (_as_array(name, each) for each in returned)
        responses = responses_as_counts(name, counts, "counts", len(rows), classes)
        if readings.shape != (len(rows),) or not np.isfinite(readings).all():
            raise ValidationError(
                f"readings of {name}", f"shape {readings.shape}", f"{len(rows)} finite numbers"
            )
        if readings.min() < 0 or readings.max() > _MAX_COUNT:
            raise ValidationError(
                f"readings of {name}", f"{readings.min():g} to {readings.max():g}", "0 to 2**31 - 1"
            )
        return np.column_stack([responses, np.rint(readings).astype(np.int32)])

    if meter is not None:
        if response not in (None, "counts"):
            raise ValidationError("response of a target with a meter", response, "counts")
        return BlackBox(with_readings, shape, classes, budget, meter=meter)
    kind = response
    if kind is None:
        probe = np.random.default_rng(0).random((2, *shape))
        kind = _inferred(name, values_of(probe), 2, classes)

    def respond(rows: NDArray[np.float64]) -> NDArray[np.int32]:
        return responses_as_counts(name, values_of(rows), kind, len(rows), classes)

    return BlackBox(
        respond, shape, classes, budget, response="labels" if kind == "labels" else "counts"
    )


def responses_as_counts(
    name: str, values: NDArray[Any], kind: ResponseKind, images: int, classes: int
) -> NDArray[np.int32]:
    """Convert a response of any kind to nonnegative integers, shape (images, classes).

    Parameters
    ----------
    name : str
        Name of the values in error messages.
    values : array, shape (images, classes), or (images,) for labels
        Response.
    kind : {"counts", "labels", "probabilities", "logits"}
        Kind of the response.
    images, classes : int
        Expected numbers of images and classes.

    Raises
    ------
    ValidationError
        If the values have another shape or kind.
    """
    _check_shape(name, values, (images,) if kind == "labels" else (images, classes), kind)
    _check_finite(name, values)
    if kind in ("counts", "labels"):
        maximum = classes - 1 if kind == "labels" else _MAX_COUNT
        if not _are_integers(values) or values.min() < 0 or values.max() > maximum:
            raise ValidationError(
                name,
                f"{'floats' if not _are_integers(values) else 'integers'} from {values.min():g} to "
                f"{values.max():g}",
                f"{kind}, integers from 0 to {maximum} (or pass the correct `response`)",
            )
        if kind == "counts":
            return values.astype(np.int32)
        return np.eye(classes, dtype=np.int32)[values.astype(np.intp)]
    graded = values.astype(np.float64)
    if kind == "logits":
        return logits_as_scores(graded)
    if not _sum_to_one(graded):
        raise ValidationError(
            name,
            f"floats from {graded.min():g} to {graded.max():g}, in rows that sum to "
            f"{graded.sum(axis=1).min():g} to {graded.sum(axis=1).max():g}",
            "probabilities, which sum to 1 (or pass the correct `response`)",
        )
    # Rounding can make a probability slightly negative.
    graded = np.maximum(graded, 0.0)
    return fractions_as_scores(graded / graded.sum(axis=1, keepdims=True))


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
    # Sums of spikes in PyTorch are floats.
    if _are_integers(values) and values.min() >= 0:
        return "counts"
    if values.dtype.kind == "f":
        return "logits"
    raise ValidationError(name, "negative integers", "counts (or pass the kind of `response`)")


def _check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...], kind: str) -> None:
    if values.shape != shape:
        raise ValidationError(
            name,
            f"an array of shape {values.shape} for {shape[0]} images",
            f"{kind} of shape {shape}",
        )


def _check_finite(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        problem = "NaN" if np.isnan(values).any() else "infinite values"
        raise ValidationError(name, problem, "finite numbers")


def _are_integers(values: NDArray[Any]) -> bool:
    return bool((values == np.rint(values)).all())


def _sum_to_one(values: NDArray[Any]) -> bool:
    sums = values.sum(axis=1, dtype=np.float64)
    return bool(values.min() >= -_SUM_TOLERANCE and np.abs(sums - 1).max() <= _SUM_TOLERANCE)
