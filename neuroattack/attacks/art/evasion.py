"""Our attacks for users of the Adversarial Robustness Toolbox (ART), on models of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.art.target import import_art
from neuroattack.attacks.protocol import Attack
from neuroattack.attacks.result import Goal
from neuroattack.errors import ValidationError
from neuroattack.targets.callable import target as black_box_of

__all__ = ["CountingEvasion"]

_EvasionAttack = import_art("art.attacks.attack").EvasionAttack
_estimators = import_art("art.estimators")


class CountingEvasion(_EvasionAttack):  # type: ignore[misc, valid-type]  # ART is not typed
    """An attack of this toolkit as an ART ``EvasionAttack``.

    The estimator is asked for nothing but predictions, each of which is a query. Probabilities
    are given to the attack as counts, in parts of 10**9; other outputs (logits) after a softmax.
    Which of the two they are is decided once, by what it predicts for the images to attack.

    Parameters
    ----------
    estimator : ART classifier
        With ``predict``; of scikit-learn, PyTorch, Keras or a function.
    attack : Attack
        Attack, such as :class:`~neuroattack.attacks.count_regression.CountRegression`. Its bound
        is in intensities of [0, 1], to which the estimator's ``clip_values`` are mapped.
    targeted : bool, optional
        Whether the `y` of :meth:`generate` is what images are to be taken for.

    Raises
    ------
    UnsupportedFeatureError
        If ART is not installed; already when the module is imported.
    """

    attack_params = [*_EvasionAttack.attack_params, "attack", "targeted"]  # noqa: RUF012  # ART's
    _estimator_requirements = (_estimators.BaseEstimator,)

    def __init__(self, estimator: Any, attack: Attack, targeted: bool = False) -> None:
        super().__init__(estimator=estimator)
        self.attack = attack
        self.targeted = targeted

    def generate(
        self, x: NDArray[Any], y: ArrayLike | None = None, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Return adversarial images.

        Parameters
        ----------
        x : float array, shape (images, height, width), (images, features) or with a channel
            In the estimator's range. One channel only, the first or the last axis of an image.
        y : int array, shape (images,) or (images, classes), optional
            True classes, or target classes if targeted; indices or one-hot. Untargeted, by default
            what the estimator takes the images for.

        Raises
        ------
        ValidationError
            If there is no `y` where it is targeted, `y` has another shape, images have channels,
            or the estimator's range differs between features.
        """
        if kwargs:
            raise ValidationError("arguments of generate", sorted(kwargs), "x and y only")
        images = np.asarray(x)
        grid = _grid_of(images.shape)
        outputs = np.asarray(self.estimator.predict(images), np.float64)
        logits = outputs.min() < 0 or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
        predicted = np.argmax(outputs, axis=1)
        if y is None:
            if self.targeted:
                raise ValidationError("y", "none", "target classes, for a targeted attack")
            wanted = predicted
        else:
            given = np.asarray(y)
            wanted = given.argmax(axis=1) if given.ndim == 2 else given
            if wanted.shape != (len(images),):
                raise ValidationError(
                    "y", f"shape {given.shape}", f"a class for each of {len(images)}"
                )
        found = [
            self._attacked(image, grid, int(one), int(now), logits=bool(logits))
            for image, one, now in zip(images, wanted, predicted, strict=True)
        ]
        return np.asarray(found, np.float32).reshape(images.shape)

    def _attacked(
        self,
        image: NDArray[Any],
        shape: tuple[int, int],
        wanted: int,
        predicted: int,
        *,
        logits: bool,
    ) -> NDArray[np.float64]:
        if self.targeted and wanted == predicted:
            return np.asarray(image, np.float64)
        low, high = self._range()
        goal = Goal(predicted, wanted) if self.targeted else Goal(wanted)
        grid = (np.asarray(image, np.float64).reshape(shape) - low) / (high - low)

        def predict(rows: NDArray[np.float64]) -> Any:
            shown = (low + rows * (high - low)).reshape(-1, *image.shape)
            return self.estimator.predict(shown.astype(np.float32))

        target = black_box_of(
            predict,
            image_shape=shape,
            classes=int(self.estimator.nb_classes),
            response="logits" if logits else "probabilities",
        )
        return low + self.attack.run(target, grid, goal).adversarial * (high - low)

    def _range(self) -> tuple[float, float]:
        clip = self.estimator.clip_values
        if clip is None:
            return 0.0, 1.0
        low, high = (np.asarray(end, np.float64) for end in clip)
        if low.min() != low.max() or high.min() != high.max():
            raise ValidationError("clip_values", "a range for each feature", "one range for all")
        return float(low.min()), float(high.max())


def _grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of images of a batch's shape; plain features are one row."""
    one = shape[1:]
    if len(one) == 1:
        return 1, one[0]
    if len(one) == 2:
        return one[0], one[1]
    if len(one) == 3 and one[0] == 1:
        return one[1], one[2]
    if len(one) == 3 and one[2] == 1:
        return one[0], one[1]
    raise ValidationError("x", f"shape {shape}", "greyscale images, or plain features")
