"""Python functions as black boxes: valid and invalid responses."""

import numpy as np
import pytest

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.sparse_rs import SparseRS
from neuroattack.errors import (
    BudgetExceededError,
    UnknownNameError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.targets.callable import target as make_target

SHAPE, CLASSES = (2, 3), 4
IMAGES = np.random.default_rng(5).random((7, *SHAPE))
WEIGHTS = np.random.default_rng(6).normal(size=(6, CLASSES))


def logits(images):
    assert images.shape[1:] == SHAPE
    assert images.dtype == np.float64
    return images.reshape(len(images), -1) @ WEIGHTS


def softmax(images):
    raised = np.exp(logits(images))
    return raised / raised.sum(axis=1, keepdims=True)


def spikes(images):
    return np.rint(20 * softmax(images)).astype(np.int64)


def labels(images):
    return logits(images).argmax(axis=1)


class Tensor:
    """Minimal `torch.Tensor` that must be detached before conversion to NumPy."""

    def __init__(self, values, *, on_cpu=False):
        self.values, self.on_cpu = values, on_cpu

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.values, on_cpu=True)

    def __array__(self, dtype=None, copy=None):
        if not self.on_cpu:
            raise TypeError("cannot convert a device tensor")
        return self.values


def target(function, **settings):
    return make_target(function, image_shape=SHAPE, classes=CLASSES, **settings)


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: x.tolist(), Tensor, lambda x: x.astype(np.float32)]
)
@pytest.mark.parametrize("stated", [True, False])
def test_responses_of_each_kind_become_counts(wrap, stated):
    for kind, function in (("logits", logits), ("probabilities", softmax)):
        box = target(lambda x, f=function: wrap(f(x)), response=kind if stated else None)
        assert box.response == "counts"
        np.testing.assert_allclose(box.query(IMAGES) / 1e9, softmax(IMAGES), atol=1e-6)
    box = target(lambda x: wrap(spikes(x)), response="counts" if stated else None)
    np.testing.assert_array_equal(box.query(IMAGES), spikes(IMAGES))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.tolist(), Tensor])
def test_labels_are_one_hot_for_decision_based_attacks_only(wrap):
    box = target(lambda images: wrap(labels(images)))
    np.testing.assert_array_equal(box.query(IMAGES), np.eye(CLASSES)[labels(IMAGES)])
    assert box.response == "labels"
    bound = Bound("l2", 1.0)
    assert RandomNoise(bound, queries=3).run(box, IMAGES[0], Goal(0)).queries == 3
    with pytest.raises(UnsupportedFeatureError, match="sparse-rs"):
        SparseRS(bound).run(box, IMAGES[0], Goal(0))


def test_queries_are_counted_but_the_inference_is_not():
    box = target(softmax, budget=10)
    assert (box.queries, box.remaining) == (0, 10)
    box.query(IMAGES)
    assert (box.queries, box.remaining) == (7, 3)
    with pytest.raises(BudgetExceededError):
        box.query(IMAGES)
    assert box.queries == 7


def test_a_given_kind_needs_no_call():
    calls = []
    target(lambda images: calls.append(len(images)), response="logits")
    assert calls == []


def test_a_function_that_works_in_place_does_not_change_the_images():
    def fading(images):
        images *= 0.5
        return softmax(images)

    before = IMAGES.copy()
    target(fading).query(IMAGES)
    np.testing.assert_array_equal(IMAGES, before)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (lambda x: softmax(x)[:, :3], "probabilities", r"\(7, 3\) for 7 images.*\(7, 4\)"),
        (lambda x: softmax(x)[:1], "probabilities", r"\(1, 4\)"),
        (softmax, "labels", r"labels of shape \(7,\)"),
        (labels, "counts", r"counts of shape \(7, 4\)"),
        (lambda x: labels(x) + 1, "labels", "integers from 0 to 3"),
        (lambda x: -spikes(x), "counts", "integers from 0"),
        (lambda x: spikes(x) + 2**40, "counts", "integers from 0 to 2147483647"),
        (logits, "counts", "got floats"),
        (logits, "probabilities", "sum to 1"),
        (lambda x: logits(x) * np.nan, "logits", "got NaN"),
        (lambda x: np.full((7, 4), np.inf), "logits", "got infinite"),
        (lambda x: None, "logits", "got a NoneType"),
        (lambda x: [[1.0], [1.0, 2.0]], "logits", "got a list"),
        (lambda x: np.full((7, 4), "a"), "logits", "got a ndarray"),
    ],
)
def test_invalid_responses_are_refused(answer, kind, message):
    with pytest.raises(ValidationError, match=message):
        target(answer, response=kind).query(IMAGES)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: softmax(x)[:, :3], r"shape \(2, 4\)"),
        (lambda x: -spikes(x), "negative integers.*`response`"),
        (lambda x: softmax(x) * np.nan, "NaN"),
        (lambda x: labels(x)[:1], "labels of shape"),
        (lambda x: labels(x).astype(float), r"\(2,\)"),
    ],
)
def test_responses_of_unknown_kind_are_refused_at_once(answer, message):
    with pytest.raises(ValidationError, match=message):
        target(answer)


def test_errors_name_the_function():
    with pytest.raises(ValidationError, match=r"^return value of logits: "):
        target(logits, response="counts").query(IMAGES)


@pytest.mark.parametrize(
    ("function", "settings", "error"),
    [
        ("logits", {}, ValidationError),
        (logits, {"classes": 1}, ValidationError),
        (logits, {"image_shape": (2, 0)}, ValidationError),
        (logits, {"budget": 0}, ValidationError),
        (logits, {"response": "logit"}, UnknownNameError),
    ],
)
def test_arguments_out_of_range_are_refused(function, settings, error):
    with pytest.raises(error):
        make_target(function, **{"image_shape": SHAPE, "classes": CLASSES, **settings})
