"""Numbers published in the paper.

A. Marchisio, G. Nanfa, F. Khalid, M. A. Hanif, M. Martina, M. Shafique, "Is Spiking Secure? A
Comparative Study on the Security Vulnerabilities of Spiking and Deep Neural Networks", IJCNN 2020.
Probabilities and accuracies are in percent, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neuroattack.datasets.noise import Area, NoiseKind

__all__ = ["ATTACK_CASES", "CLEAN_ACCURACY", "CORNER", "DELTAS", "DNN_ACCURACY", "MIDDLE"]
__all__ += ["TABLE_I", "TABLE_II", "TABLE_III", "AttackRow", "Mode"]

Mode = Literal["train", "test", "train+test"]

CLEAN_ACCURACY = 96.2
"""Clean accuracy of the SDBN (Section III-B)."""

DNN_ACCURACY = 97.13
"""Clean accuracy of the DNN (Section V-A)."""

DELTAS = (0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Magnitudes of noise in Table I."""

TABLE_I: dict[NoiseKind, dict[Mode, tuple[float, ...]]] = {
    "normal": {
        "train": (96.65, 95.19, 92.99, 76.01, 24.61, 10.26, 10.31, 10.27),
        "test": (94.73, 94.42, 82.73, 77.07, 48.23, 33.34, 21.52, 17.05),
        "train+test": (96.54, 94.99, 73.64, 10.39, 10.32, 10.05, 9.88, 10.34),
    },
    "uniform": {
        "train": (96.8, 96.7, 95.89, 94.34, 47.03, 14.64, 9.59, 9.98),
        "test": (96.02, 95.64, 94.64, 93.36, 82.76, 60.79, 34.9, 23.16),
        "train+test": (96.81, 96.72, 95.56, 92.8, 10.51, 10.16, 10.16, 10.03),
    },
}
"""Accuracy under noise, for the magnitudes of :data:`DELTAS`."""

CORNER = Area(0, 0, 5, 4)
"""Window of 4 x 5 pixels at the top left in Figure 3."""

MIDDLE = Area(9, 13, 5, 4)
"""Window of 4 x 5 pixels in the middle in Figure 3: (x, y) = ([14 17], [10 14]), counted from 1,
with x as the column."""


@dataclass(frozen=True)
class AttackRow:
    """A row of Table II or III.

    Parameters
    ----------
    case : str
        Case, ``"I"`` or ``"II"``.
    iteration : int
        Iteration of the attack; 0 is the clean image.
    p_max_class, p_target : float
        P of the true class and of the target class.
    distance : float
        Distance D.
    """

    case: str
    iteration: int
    p_max_class: float
    p_target: float
    distance: float


ATTACK_CASES: dict[str, int] = {"I": 5, "II": 7}
"""Side N of the window in each case, in pixels."""

TABLE_II = (
    AttackRow("I", 0, 98.79, 0.89, 0.0),
    AttackRow("I", 14, 44.16, 55.74, 20.18),
    AttackRow("I", 15, 36.25, 63.67, 21.77),
    AttackRow("II", 0, 98.79, 0.89, 0.0),
    AttackRow("II", 10, 57.53, 42.01, 16.29),
    AttackRow("II", 11, 49.45, 50.32, 21.19),
)
"""The attack on the DNN."""

TABLE_III = (
    AttackRow("I", 0, 82.69, 7.64, 0.0),
    AttackRow("I", 20, 60.29, 31.08, 7.79),
    AttackRow("I", 21, 66.21, 11.80, 8.15),
    AttackRow("II", 0, 82.69, 7.64, 0.0),
    AttackRow("II", 9, 0.0, 50.60, 10.91),
    AttackRow("II", 10, 64.94, 12.03, 11.76),
)
"""The attack on the SDBN."""
