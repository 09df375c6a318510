"""Attacks of this package as attacks of the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.art.target import import_art
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import Attack
from neuroattack.errors import ValidationError
from neuroattack.targets.callable import target as black_box_of

__all__ = ["CountingEvasion"]

_EvasionAttack = import_art("art.attacks.attack").EvasionAttack
_estimators = import_art("art.estimators")


@dataclass(frozen=True)
class _Layout:
    """Shape of an image for the attack, and whether the estimator has its channels last."""

    shape: tuple[int, ...]
    channels_last: bool = False

    def of_target(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return images of the estimator in the shape for the attack."""
        if self.channels_last:
            return np.moveaxis(images, -1, 1)
        return images.reshape(len(images), *self.shape)

    def of_estimator(
        self, images: NDArray[np.float64], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Return images of the attack in the estimator's shape."""
        if self.channels_last:
            return np.moveaxis(images, 1, -1)
        return images.reshape(len(images), *shape)


class CountingEvasion(_EvasionAttack):  # type: ignore[misc, valid-type]  # ART is not typed
    """An attack of this package as an ART ``EvasionAttack``.

    The attack uses only predictions of the estimator. Probabilities are passed to the attack as
    counts in units of 1e-9; other outputs are treated as logits and converted by a softmax. The
    predictions for the images to attack decide which of the two applies.

    Parameters
    ----------
    estimator : ART classifier
        Classifier with ``predict``: scikit-learn, PyTorch, Keras or a function.
    attack : Attack
        Attack, such as
        :class:`~neuroattack.attacks.regression.count_regression.CountRegression`. Its bound is in
        intensities of [0, 1], to which the estimator's ``clip_values`` are mapped.
    targeted : bool, optional
        Whether `y` of :meth:`generate` contains target classes.

    Raises
    ------
    UnsupportedFeatureError
        If ART is not installed; raised when the module is imported.
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
        x : float array, shape (images, height, width), (images, features) or with channels
            Images in the estimator's range. Several channels are the first image axis, or the last
            one if the estimator's `channels_first` is False.
        y : int array, shape (images,) or (images, classes), optional
            True classes, or target classes if targeted; indices or one-hot. The default of an
            untargeted attack is the predicted classes.

        Raises
        ------
        ValidationError
            If a targeted attack has no `y`, `y` has the wrong shape, images have several channels
            but the estimator has no `channels_first`, or the estimator's range differs between
            features.
        """
        if kwargs:
            raise ValidationError("arguments of generate", sorted(kwargs), "x and y only")
        images = np.asarray(x)
        layout = self._layout(images.shape)
        outputs = np.asarray(self.estimator.predict(images), np.float64)
        logits = outputs.min() < 0 or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
        predicted = np.argmax(outputs, axis=1)
        if y is None:
            if self.targeted:
                raise ValidationError("y", "none", "target classes for a targeted attack")
            classes = predicted
        else:
            given = np.asarray(y)
            classes = given.argmax(axis=1) if given.ndim == 2 else given
            if classes.shape != (len(images),):
                raise ValidationError(
                    "y", f"shape {given.shape}", f"a class for each of {len(images)}"
                )
        adversarial = [
            self._attack_image(image, layout, int(aimed), int(before), logits=bool(logits))
            for image, aimed, before in zip(images, classes, predicted, strict=True)
        ]
        return np.asarray(adversarial, np.float32).reshape(images.shape)

    def _attack_image(
        self,
        image: NDArray[Any],
        layout: _Layout,
        aimed: int,
        predicted: int,
        *,
        logits: bool,
    ) -> NDArray[np.float64]:
        if self.targeted and aimed == predicted:
            return np.asarray(image, np.float64)
        low, high = self._range()
        goal = Goal(predicted, aimed) if self.targeted else Goal(aimed)
        (grid,) = (layout.of_target(np.asarray(image, np.float64)[None]) - low) / (high - low)

        def predict(rows: NDArray[np.float64]) -> Any:
            scaled = layout.of_estimator(low + rows * (high - low), image.shape)
            return self.estimator.predict(scaled.astype(np.float32))

        target = black_box_of(
            predict,
            image_shape=layout.shape,
            classes=int(self.estimator.nb_classes),
            response="logits" if logits else "probabilities",
        )
        found = self.attack.run(target, grid, goal).adversarial
        return np.asarray(layout.of_estimator(low + found[None] * (high - low), image.shape)[0])

    def _layout(self, shape: tuple[int, ...]) -> _Layout:
        """Return the layout of a batch's images; features without a grid form one row."""
        image = shape[1:]
        if len(image) == 1:
            return _Layout((1, image[0]))
        if len(image) == 2:
            return _Layout(image)
        if len(image) == 3 and image[0] == 1:
            return _Layout(image[1:])
        if len(image) == 3 and image[2] == 1:
            return _Layout(image[:2])
        channels_first = getattr(self.estimator, "channels_first", None)
        if len(image) != 3 or channels_first is None:
            raise ValidationError(
                "x",
                f"shape {shape}",
                "grayscale images, feature vectors, or images with channels for an estimator with "
                "channels_first",
            )
        if channels_first:
            return _Layout(image)
        return _Layout((image[2], *image[:2]), channels_last=True)

    def _range(self) -> tuple[float, float]:
        clip = self.estimator.clip_values
        if clip is None:
            return 0.0, 1.0
        low, high = (np.asarray(end, np.float64) for end in clip)
        if low.min() != low.max() or high.min() != high.max():
            raise ValidationError(
                "clip_values", "a range per feature", "one range for all features"
            )
        return float(low.min()), float(high.max())
