"""Validation of the input of both trainings."""

import numpy as np
import pytest
from support.trainings import TRAININGS

from neuroattack.errors import ValidationError

IMAGES = np.zeros((4, 5, 5), np.float32)
LABELS = np.array([0, 1, 2, 3], np.uint8)


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (IMAGES[:0], LABELS[:0], {}, "images"),
        (np.full_like(IMAGES, np.nan), LABELS, {}, "NaN"),
        (IMAGES + 2, LABELS, {}, "from 2 to 2"),
        (IMAGES.reshape(4, 25), LABELS, {}, "shape"),
        (np.zeros((4, 0, 5), np.float32), LABELS, {}, "images"),
        ([["a"]], LABELS, {}, "shape"),
        (IMAGES, LABELS[:3], {}, "labels"),
        (IMAGES, LABELS.astype(float), {}, "labels"),
        (IMAGES, LABELS + 7, {}, "labels"),
        (IMAGES, LABELS.astype(int) - 1, {}, "labels"),
        (IMAGES, LABELS, {"hidden": ()}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 0)}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 2.5)}, "hidden"),
        (IMAGES, LABELS % 1, {"classes": 1}, "classes"),
        (IMAGES, LABELS, {"seed": -1}, "seed"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :4], LABELS)}, "test images"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 7)}, "test labels"),
    ],
)
def test_bad_input_is_refused_by_name(name, images, labels, options, message):
    with pytest.raises(ValidationError, match=message):
        TRAININGS[name].train(images, labels, **options)
