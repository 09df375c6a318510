"""Activity of a network on a chip, collected over recordings."""

from __future__ import annotations

from typing import Any

from neuroattack.deployment.backend import Recording
from neuroattack.hardware.energy.activity import Activity
from neuroattack.hardware.fitting import Fitted

__all__ = ["ActivityMeter"]


class ActivityMeter:
    """Collect the event counts of recordings.

    Parameters
    ----------
    fitted : Fitted
        Network fitted to the chip.
    steps : int
        Number of time steps T of the recordings.
    """

    def __init__(self, fitted: Fitted, steps: int) -> None:
        self._fitted = fitted
        self._steps = steps
        self._parts: list[Activity] = []

    def __call__(self, recording: Recording) -> None:
        """Count the events of a recording."""
        self._parts.append(
            self._fitted.activity(
                recording.counts, self._steps, recording.spikes, recording.decision_steps
            )
        )

    @property
    def activity(self) -> Activity:
        """Event counts of all images so far, in order."""
        return Activity.concatenate(self._parts)

    def as_json(self) -> dict[str, Any]:
        """Return the fitted network and the energy estimate as JSON values."""
        return self._fitted.as_json() | self._fitted.estimate(self.activity).as_json()
