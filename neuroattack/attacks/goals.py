"""Goals of attacks: another class, or more of a resource that the network consumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import METERS
from neuroattack.validation import check_integer

__all__ = ["QUANTITIES", "Goal", "Quantity"]

Number = TypeVar("Number", np.int32, np.int64, np.float64)

Quantity = Literal[
    "output-spikes", "uncertainty", "spikes", "synaptic-operations", "energy", "latency"
]
"""Quantity to maximize: the first two follow from the output counts, the others are read from a
meter (:data:`neuroattack.targets.black_box.METERS`)."""

QUANTITIES: tuple[str, ...] = get_args(Quantity)

# A trial that loses the class counts as minus this multiple of its quantity: a plan that loses a
# tenth of the trials would have to gain two fifths.
_LOSS = 3.0


@dataclass(frozen=True)
class Goal:
    """Goal of an attack: any wrong class, a target class, or more of a quantity.

    Parameters
    ----------
    label : int
        True class of the image.
    target_class : int, optional
        Target class; None for an untargeted attack.
    maximize : {"output-spikes", "uncertainty", "spikes", "synaptic-operations", "energy", \
"latency"}, optional
        Quantity to maximize instead of a change of class. ``"output-spikes"`` is the sum of the
        output counts, and ``"uncertainty"`` the negative margin of the true class relative to this
        sum; both need no meter.
    keep_class : bool, optional
        With `maximize`: whether the true class must still be predicted, so that the attack is not
        noticed.

    Raises
    ------
    UnknownNameError
        If the quantity is unknown.
    ValidationError
        If both a target class and a quantity are given.
    """

    label: int
    target_class: int | None = None
    maximize: Quantity | None = None
    keep_class: bool = True

    def __post_init__(self) -> None:
        if self.maximize is None:
            return
        if self.maximize not in QUANTITIES:
            raise UnknownNameError("quantity to maximize", str(self.maximize), QUANTITIES)
        if self.target_class is not None:
            raise ValidationError(
                f"goal {self.maximize!r}", f"target class {self.target_class}", "no target class"
            )

    @property
    def kind(self) -> str:
        """``"untargeted"``, ``"targeted"``, or the quantity to maximize."""
        if self.maximize is not None:
            return self.maximize
        return "untargeted" if self.target_class is None else "targeted"

    @property
    def meter(self) -> str | None:
        """Name of the meter that the target must have, or None."""
        return self.maximize if self.maximize in METERS else None

    def check(self, n_classes: int) -> None:
        """Raise ValidationError unless the goal is valid for this number of classes."""
        check_integer("classes of the target", n_classes, 2)
        for thing, value in (("label", self.label), ("target class", self.target_class)):
            if value is not None and not 0 <= value < n_classes:
                raise ValidationError(thing, value, f"a class from 0 to {n_classes - 1}")
        if self.target_class == self.label:
            raise ValidationError(
                "target class", self.target_class, "a class other than the true class"
            )

    def check_responses(self, meter: str | None, response: str) -> None:
        """Raise an error unless a target with this meter and response measures the goal."""
        if self.maximize is not None and response == "labels":
            raise UnsupportedFeatureError(
                f"goal {self.maximize!r}: got a target that returns labels, expected counts"
            )
        if meter != self.meter:
            raise ValidationError(
                "meter of the target", meter or "none", f"{self.meter or 'none'}, for the goal"
            )

    def classes(self, scores: NDArray[Number]) -> NDArray[Number]:
        """Return the columns of the classes, without the reading of a meter."""
        return scores if self.meter is None else scores[:, :-1]

    def gap(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gap, the objective that attacks maximize (Eq. 3 of the paper).

        Parameters
        ----------
        scores : float64 array, shape (images, classes)
            Class scores; with a meter, its reading is in one more column.

        Returns
        -------
        float64 array, shape (images,)
            Targeted: score of the target class minus the largest other score. Untargeted (not
            defined in the paper): largest wrong score minus the score of the true class. With a
            quantity: its value; with `keep_class`, minus a penalty if another class is predicted.
        """
        if self.maximize is not None:
            values = self.quantity(scores)
            if not self.keep_class:
                return values
            lost = decide(self.classes(scores)) != self.label
            return np.asarray(values - lost * (1 + _LOSS) * np.abs(values))
        aimed = self.label if self.target_class is None else self.target_class
        best_other = np.delete(scores, aimed, axis=1).max(axis=1)
        gap: NDArray[np.float64] = scores[:, aimed] - best_other
        return -gap if self.target_class is None else gap

    def quantity(self, scores: NDArray[Number]) -> NDArray[np.float64]:
        """Return the quantity to maximize, shape (images,), from scores as for :meth:`gap`."""
        values = scores.astype(np.float64)
        if self.meter is not None:
            return np.asarray(values[:, -1])
        total: NDArray[np.float64] = values.sum(axis=1)
        if self.maximize == "output-spikes":
            return total
        others = np.delete(values, self.label, axis=1).max(axis=1)
        # Between 0 and 2; without output spikes, nothing speaks for the class.
        return np.asarray(1 - (values[:, self.label] - others) / np.maximum(total, 1.0))

    def reached(self, counts: NDArray[Number]) -> NDArray[np.bool_]:
        """Return for each image whether its counts reach the goal; ties and silence do not.

        With a quantity, the goal is reached if the class is kept, or need not be kept.

        Parameters
        ----------
        counts : int array, shape (images, classes)
            Spike counts of the readout population; with a meter, its reading is in one more column.
        """
        decided = decide(self.classes(counts))
        if self.maximize is not None:
            return np.asarray((decided == self.label) | (not self.keep_class))
        if self.target_class is not None:
            return np.asarray(decided == self.target_class)
        return np.asarray((decided != UNDECIDED) & (decided != self.label))
