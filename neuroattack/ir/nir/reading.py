"""What NIR leaves open: how its equations in continuous time become steps.

NIR writes ``tau dv/dt = (v_leak - v) + r I`` and says neither how long a step is, nor what unit
times are in, nor how the equation is solved within a step, nor whether a spike reaches the next
layer in the step in which it is fired. Frameworks differ in all of these, and a network read in
another way than it was trained is another network. Therefore nothing here has a default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from neuroattack.errors import ValidationError
from neuroattack.ir.parts import freeze
from neuroattack.validation import check_positive, check_whole

__all__ = ["Arrival", "Integration", "Reading"]

Integration = Literal["euler", "hold", "impulse"]
Arrival = Literal["same-step", "next-step"]

_WHOLE = 1e-6


@dataclass(frozen=True)
class Reading:
    """How a NIR file is to be read.

    Parameters
    ----------
    dt_s : float
        Length of a step in seconds.
    time_unit_s : float
        Seconds in a unit of the file's times (time constants and delays).
    integration : {'euler', 'hold', 'impulse'}
        How the equation is solved within a step. ``euler``: ``v += dt / tau * (-v + r I)``, a
        spike being ``I = weight`` for a step (snnTorch, Norse, SpikingJelly). ``hold``: exactly,
        with I held for the step, ``v <- v exp(-dt/tau) + (1 - exp(-dt/tau)) r I`` (Sinabs).
        ``impulse``: exactly, a spike being a Dirac impulse of its weight, in the file's unit of
        time, ``v <- v exp(-dt/tau) + r / tau * weight``: the equation as NIR writes it.
    arrival : {'same-step', 'next-step'}
        When a spike reaches the next neurons if no delay node is between: in the step in which it
        is fired, as where layers are called one after the other (snnTorch, Norse, SpikingJelly,
        Sinabs), or in the step after (Lava, Brian2 here).
    refractory_steps : int or None
        Whole steps after a spike in which a neuron holds its reset potential and ignores its
        input: 0 in snnTorch and Norse. None is what the file notes on each layer, as files
        written here do.

    Raises
    ------
    ValidationError
        Naming the field.
    """

    dt_s: float
    time_unit_s: float
    integration: Integration
    arrival: Arrival
    refractory_steps: int | None

    def __post_init__(self) -> None:
        freeze(
            self,
            dt_s=check_positive("dt", self.dt_s, "number of seconds"),
            time_unit_s=check_positive("time unit", self.time_unit_s, "number of seconds"),
        )
        for field, kinds in (("integration", Integration), ("arrival", Arrival)):
            value, known = getattr(self, field), get_args(kinds)
            if value not in known:
                raise ValidationError(field, repr(value), f"one of {', '.join(known)}")
        if self.refractory_steps is not None:
            check_whole("refractory steps", self.refractory_steps, 0)

    def steps(self, delay: float) -> tuple[int, bool]:
        """Return a delay, in the file's unit, in steps, and whether it is whole steps."""
        exact = delay * self.time_unit_s / self.dt_s
        steps = round(exact)
        return steps, abs(exact - steps) <= _WHOLE * max(1, steps)

    def stepping(self, thing: str, tau: float | None) -> tuple[float, float, float]:
        """Return how neurons of a time constant, in the file's unit, and resistance 1 move.

        Parameters
        ----------
        thing : str
            What they are, for messages.
        tau : float or None
            Positive; None for no leak.

        Returns
        -------
        tau_m_s : float
            Membrane time constant in seconds with which ``exp(-dt / tau_m)`` is the decay.
        gain, constant_gain : float
            What an input of 1 from a spike, and what a constant input of 1, adds in a step.

        Raises
        ------
        ValidationError
            If a step is too long for the time constant, so that the potential would swing.
        """
        dt = self.dt_s / self.time_unit_s
        impulse = self.integration == "impulse"
        if tau is None:
            return math.inf, 1.0 if impulse else dt, dt
        if self.integration == "euler":
            if tau < dt * (1 - _WHOLE):
                raise ValidationError(
                    f"{thing} time constant",
                    f"{tau:g} in the file's unit of {self.time_unit_s:g} s",
                    f"at least the step, {dt:g}, for Euler's method",
                )
            gain = dt / tau
            return _tau_m_s(max(0.0, 1 - gain), self.dt_s), gain, gain
        tau_m_s = tau * self.time_unit_s
        held = 1 - math.exp(-self.dt_s / tau_m_s)
        return tau_m_s, 1.0 / tau if impulse else held, held


def _tau_m_s(decay: float, dt_s: float) -> float:
    """Return the time constant for which exp(-dt / tau) is `decay`, or as near as it gets."""
    if decay == 0:
        # exp(-1000) is 0 in float64.
        return dt_s / 1000
    if decay == 1:
        return math.inf
    near = -dt_s / math.log(decay)
    candidates = [near]
    for towards in (0.0, math.inf):
        tau = near
        for _ in range(4):
            tau = math.nextafter(tau, towards)
            candidates.append(tau)
    return min(candidates, key=lambda tau: abs(math.exp(-dt_s / tau) - decay))
