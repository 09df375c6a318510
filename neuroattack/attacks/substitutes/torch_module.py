"""PyTorch networks as substitutes of the attacked network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Pullback
from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer

__all__ = ["TorchModule"]


class TorchModule:
    """Network in PyTorch that returns logits; a ``Differentiable``.

    Parameters
    ----------
    module : torch.nn.Module
        Network from images of shape (images, ...), in the data type and on the device of its
        parameters, to logits of shape (images, classes). It is put into evaluation mode.
    image_shape : sequence of int
        Shape of one image.
    n_classes : int
        Number of classes.

    Raises
    ------
    ValidationError
        If the network has no parameters, does not accept such images, or does not return one logit
        per class.
    """

    def __init__(self, module: Any, image_shape: Sequence[int], n_classes: int) -> None:
        self._module = module.eval()
        self._image_shape = tuple(check_integer("image_shape", side, 1) for side in image_shape)
        self._n_classes = check_integer("n_classes", n_classes, 2)
        parameters = list(module.parameters())
        if not parameters:
            raise ValidationError("module", "a network without parameters", "a trained network")
        self._like: Any = parameters[0]
        try:
            shape = self.log_scores(np.zeros((1, *self._image_shape))).shape
        except RuntimeError as error:
            raise ValidationError(
                "module", f"the error {error}", f"logits of images of shape {self._image_shape}"
            ) from error
        if shape != (1, self._n_classes):
            raise ValidationError(
                "module", f"an output of shape {shape} for one image", f"{(1, self._n_classes)}"
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._n_classes

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms of the softmax, shape (images, classes)."""
        return self._array(self._scores(self._tensor(images)))

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        """Return the scores and their gradients, as in the protocol ``Differentiable``."""
        import torch

        inputs = self._tensor(images).requires_grad_()
        scores = self._scores(inputs)

        def pullback(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            (gradient,) = torch.autograd.grad(
                scores, inputs, grad_outputs=self._tensor(weights), retain_graph=True
            )
            return self._array(gradient)

        return self._array(scores), pullback

    def _scores(self, inputs: Any) -> Any:
        return self._module(inputs).log_softmax(dim=1)

    def _tensor(self, values: NDArray[np.float64]) -> Any:
        return self._like.new_tensor(values)

    @staticmethod
    def _array(tensor: Any) -> NDArray[np.float64]:
        return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
