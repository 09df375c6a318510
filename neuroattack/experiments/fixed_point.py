"""What rounding a network to whole numbers changes in its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.datasets import Labels
from neuroattack.encoding.readout import decide
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.quantization.quantization import Quantized

__all__ = ["FixedPointComparison", "compare_fixed_point"]


@dataclass(frozen=True)
class FixedPointComparison:
    """What fixed point, or a chip's numbers, change, by the plain dynamics of both.

    Parameters
    ----------
    numbers : str
        What the network was rounded to: "Loihi's fixed point", or the chip's name.
    accuracy_floating, accuracy_fixed, accuracy_drop : float
        Shares of the images classified correctly, and how much of it rounding costs.
    count_correlation : float or None
        Pearson's, between the output counts of both; None where either never changes.
    equal_counts : float
        Share of the output counts that are equal.
    class_agreement : float
        Share of the images of which both say the same class.
    populations, projections : list of dict
        What rounding did to each, as :mod:`neuroattack.hardware.quantization.quantization`
        reports it.
    """

    numbers: str
    accuracy_floating: float
    accuracy_fixed: float
    accuracy_drop: float
    count_correlation: float | None
    equal_counts: float
    class_agreement: float
    populations: list[dict[str, Any]]
    projections: list[dict[str, Any]]


def compare_fixed_point(
    readout: str,
    numbers: str,
    rounding: Quantized | None,
    truths: Sequence[Mapping[str, SpikeTrains]],
    labels: Labels,
) -> FixedPointComparison:
    """Compare spikes of the plain dynamics.

    Parameters
    ----------
    readout : str
        Population whose spikes are the answer.
    numbers : str
        What the network was rounded to.
    rounding : Quantized or None
        What that did, where it is known.
    truths : (mapping, mapping) of str to SpikeTrains
        Spikes of the network as it is, and rounded.
    labels : int array, shape (images,)
        True classes.
    """
    floating, fixed = (spikes[readout].counts() for spikes in truths)
    varies = floating.std() > 0 and fixed.std() > 0
    decided = decide(floating), decide(fixed)
    accuracies = [float((classes == labels).mean()) for classes in decided]
    return FixedPointComparison(
        numbers=numbers,
        accuracy_floating=accuracies[0],
        accuracy_fixed=accuracies[1],
        accuracy_drop=accuracies[0] - accuracies[1],
        count_correlation=(
            float(np.corrcoef(floating.ravel(), fixed.ravel())[0, 1]) if varies else None
        ),
        equal_counts=float((floating == fixed).mean()),
        class_agreement=float((decided[0] == decided[1]).mean()),
        **(rounding.roundings_as_json() if rounding else {"populations": [], "projections": []}),
    )
