"""Vectors, and images with several channels: distances, effects of pixels and every attack."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroattack.attacks.bounds import L0, L2, LInf, LocalSD
from neuroattack.attacks.distances import DISTANCES, measure_distances, visibility_sd
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.imperceptibility import SD_FLOOR
from neuroattack.attacks.registry import attack_names, load_attack, make_attack
from neuroattack.attacks.regression.effects import EffectEstimator
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.encoding.images import planes_of
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.targets.callable import target

SHAPES = [(2, 4, 5), (3, 4, 4), (12,), (1, 12), (2, 2, 3, 3)]
INTENSITIES = st.floats(0, 1, width=16)


def pairs(shape):
    return st.tuples(
        arrays(np.float64, shape, elements=INTENSITIES),
        arrays(np.float64, shape, elements=INTENSITIES),
    )


def plainly_visible_sd(image):
    """Return the SD of the 3 x 3 neighborhood of every pixel, one loop per axis."""
    found = np.zeros(image.shape)
    for place in np.ndindex(*image.shape):
        *channel, row, column = place
        around = [
            float(image[(*channel, r, c)])
            for r in range(max(row - 1, 0), min(row + 2, image.shape[-2]))
            for c in range(max(column - 1, 0), min(column + 2, image.shape[-1]))
        ]
        mean = math.fsum(around) / len(around)
        variance = math.fsum((value - mean) ** 2 for value in around) / len(around)
        found[place] = max(math.sqrt(variance), SD_FLOOR)
    return found


@given(st.sampled_from(SHAPES).flatmap(pairs))
def test_distances_of_images_of_any_shape(images):
    before, after = images
    found = measure_distances(before, after)
    flat = list(zip(before.ravel().tolist(), after.ravel().tolist(), strict=True))
    assert found["l0"] == sum(abs(a - b) >= 1e-9 for a, b in flat)
    assert found["l2"] == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in flat)), abs=1e-7)
    assert found["linf"] == pytest.approx(max(abs(a - b) for a, b in flat), abs=1e-9)
    if before.ndim == 1:
        assert found["local_sd"] is None
        with pytest.raises(ValidationError, match="local standard deviation"):
            DISTANCES["local_sd"](before, after)
    else:
        sd = plainly_visible_sd(before)
        np.testing.assert_allclose(visibility_sd(before), sd, rtol=1e-6)
        plain = float((np.abs(after - before) / sd).sum())
        assert found["local_sd"] == pytest.approx(plain, rel=1e-6, abs=1e-6)


def test_channels_are_the_leading_axes():
    assert planes_of(np.zeros((4, 5))).shape == (1, 4, 5)
    assert planes_of(np.zeros((2, 4, 5))).shape == (2, 4, 5)
    assert planes_of(np.zeros((2, 3, 4, 5))).shape == (6, 4, 5)
    assert planes_of(np.zeros(7)).shape == (1, 1, 7)


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (25,)])
@pytest.mark.parametrize("lengths", [(0.0,), (1.0,)])
def test_effects_of_pixels_are_estimated_in_every_shape(shape, lengths):
    rng = np.random.default_rng(0)
    image = np.full(shape, 0.5)
    slopes = rng.normal(0, 1, (image.size, 3))
    estimator = EffectEstimator(image, lengths)
    images = image + rng.choice((-0.5, 0.5), (400, *shape))
    scores = (images - image).reshape(400, -1) @ slopes
    estimator.add(images, np.rint(1000 * scores).astype(np.int64))
    (found,) = estimator.fit("counts")
    assert np.corrcoef(found.slopes.ravel(), slopes.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("shape", [(2, 12, 12), (3, 12, 12), (96,)])
@pytest.mark.parametrize("bound", [L0(60), L2(2.0), LInf(0.3), LocalSD(60.0)], ids=str)
@pytest.mark.parametrize("name", [name for name in attack_names() if name != "white-box"])
def test_attacks_stay_within_the_bound_or_refuse_the_shape(name, bound, shape):
    if load_attack(name).__module__.startswith("neuroattack.attacks.art."):
        pytest.importorskip("art")
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 0.3, (math.prod(shape), 3))
    image = rng.random(shape)
    label = int((image.ravel() @ weights).argmax())
    queried = []

    def logits(images):
        assert images.shape[1:] == shape
        queried.append(len(images))
        return images.reshape(len(images), -1) @ weights

    box = target(logits, image_shape=shape, classes=3, response="logits")
    required = {}
    if name == "transfer":
        layer = weights.astype(np.float32)
        required["substitutes"] = Perceptron(shape, (layer,), (np.zeros(3, np.float32),))
    attack = make_attack(name, bound, 300, 0, required)
    is_vector = len(shape) == 1
    if name == "dvs-pattern":
        with pytest.raises(UnsupportedFeatureError, match="inserts events: got a bound on"):
            attack.run(box, image, Goal(label))
        assert not queried
        return
    if name == "greedy-window" or (is_vector and (name == "square" or bound.norm == "local_sd")):
        with pytest.raises(
            (UnsupportedFeatureError, ValidationError), match=r"got images of shape"
        ):
            attack.run(box, image, Goal(label))
        assert not queried
        return
    found = attack.run(box, image, Goal(label))
    assert 0 < found.queries <= 300
    assert found.adversarial.shape == shape
    assert bound.holds(image, found.adversarial)
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    if name in ("count-regression", "square", "sparse-rs") and bound.norm == "l0":
        assert (found.adversarial.ravel() @ weights).argmax() != label
