import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

pytest.importorskip("art", reason="needs the extra `attacks`")

from art.estimators.classification import BlackBoxClassifierNeuralNetwork, SklearnClassifier

from neuroattack.attacks.art.evasion import CountingEvasion
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.errors import ValidationError

BOUND = 1.5


@pytest.fixture(scope="module")
def model():
    digits = load_digits()
    return LogisticRegression(max_iter=500).fit(digits.data / 16, digits.target)


@pytest.fixture(scope="module")
def images(model):
    digits = load_digits()
    right = np.flatnonzero(model.predict(digits.data / 16) == digits.target)[:8]
    return digits.data[right] / 16, digits.target[right]


def test_untargeted_attack_on_a_scikit_learn_model(model, images):
    x, y = images
    classifier = SklearnClassifier(model, clip_values=(0.0, 1.0))
    ours = CountingEvasion(classifier, CountRegression(Bound("l2", BOUND), queries=300)).generate(
        x, y
    )
    noise = CountingEvasion(classifier, RandomNoise(Bound("l2", BOUND), queries=300)).generate(x, y)
    assert np.linalg.norm(ours - x, axis=1).max() <= BOUND * (1 + 1e-5)
    assert ours.min() >= 0
    assert ours.max() <= 1
    fooled = (model.predict(ours) != y).mean()
    assert fooled >= 0.9
    assert fooled > (model.predict(noise) != y).mean()
    np.testing.assert_array_equal(
        ours,
        CountingEvasion(classifier, CountRegression(Bound("l2", BOUND), queries=300)).generate(x),
    )


def test_targeted_with_one_hot_classes(model, images):
    x, y = images
    wanted = (y + 1) % 10
    classifier = SklearnClassifier(model, clip_values=(0.0, 1.0))
    attack = CountingEvasion(
        classifier, CountRegression(Bound("l2", 2.5), queries=300), targeted=True
    )
    assert (model.predict(attack.generate(x, np.eye(10)[wanted])) == wanted).mean() >= 0.75
    np.testing.assert_array_equal(attack.generate(x[:1], y[:1]), x[:1].astype(np.float32))
    with pytest.raises(ValidationError, match="target classes"):
        attack.generate(x)


def test_logits_of_images_in_another_range(model, images):
    x, y = images
    shown = (x * 255).reshape(-1, 1, 8, 8)

    def logits(batch):
        return model.decision_function(np.asarray(batch).reshape(-1, 64) / 255)

    classifier = BlackBoxClassifierNeuralNetwork(logits, (1, 8, 8), 10, clip_values=(0.0, 255.0))
    found = CountingEvasion(classifier, CountRegression(Bound("l2", BOUND), queries=300)).generate(
        shown, y
    )
    assert found.shape == shown.shape
    away = np.linalg.norm((found - shown).reshape(len(x), -1), axis=1)
    assert away.max() <= 255 * BOUND * (1 + 1e-5)
    assert (logits(found).argmax(axis=1) != y).mean() >= 0.9


def test_whether_outputs_are_logits_is_decided_once(model, images):
    x, y = images

    def scores(batch):
        # Nonnegative, but not summing to 1.
        return np.abs(model.decision_function(np.asarray(batch).reshape(-1, 64)))

    seen = []

    class Watching(RandomNoise):
        def run(self, target, image, goal):
            grid = np.array(image)[None]
            alone = target.query(grid)[0]
            beside = target.query(np.concatenate([grid, np.zeros_like(grid)]))[0]
            seen.append((alone, beside))
            return super().run(target, image, goal)

    classifier = BlackBoxClassifierNeuralNetwork(scores, (64,), 10, clip_values=(0.0, 1.0))
    CountingEvasion(classifier, Watching(Bound("l2", BOUND), queries=5)).generate(x, y)
    assert len(seen) == len(x)
    for alone, beside in seen:
        np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 8, 8, 3), (2, 2, 2, 2, 2)])
def test_several_channels_need_an_estimator_that_states_their_axis(model, shape):
    classifier = SklearnClassifier(model, clip_values=(0.0, 1.0))
    attack = CountingEvasion(classifier, RandomNoise(Bound("l2", BOUND), queries=5))
    with pytest.raises(ValidationError, match="shape"):
        attack.generate(np.zeros(shape))


@pytest.mark.parametrize("channels_first", [True, False])
def test_images_with_channels_keep_their_layout(channels_first):
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1, (3, 6, 5, 4))
    shape = (3, 6, 5) if channels_first else (6, 5, 3)

    def logits(batch):
        images = np.asarray(batch, np.float64)
        assert images.shape[1:] == shape
        images = images if channels_first else np.moveaxis(images, -1, 1)
        return np.einsum("ichw,chwk->ik", images, weights)

    x = rng.random((3, *shape)).astype(np.float32)
    y = logits(x).argmax(axis=1)
    classifier = BlackBoxClassifierNeuralNetwork(
        logits, shape, 4, channels_first=channels_first, clip_values=(0.0, 1.0)
    )
    attack = CountRegression(Bound("l2", BOUND), queries=300)
    found = CountingEvasion(classifier, attack).generate(x, y)
    assert found.shape == x.shape
    assert np.linalg.norm((found - x).reshape(3, -1), axis=1).max() <= BOUND * (1 + 1e-5)
    assert (logits(found).argmax(axis=1) != y).all()


def test_unknown_arguments_are_refused(model, images):
    classifier = SklearnClassifier(model, clip_values=(0.0, 1.0))
    attack = CountingEvasion(classifier, RandomNoise(Bound("l2", BOUND), queries=5))
    with pytest.raises(ValidationError, match="mask"):
        attack.generate(images[0], mask=None)
    with pytest.raises(ValidationError, match="a class for each"):
        attack.generate(images[0], images[1][:3])
