"""Discretization of NIR's equations in continuous time, which NIR does not define.

NIR specifies ``tau dv/dt = (v_leak - v) + r I``, but neither the time step, the unit of times,
the integration method, nor whether a spike reaches the next layer in the step in which it is
emitted. Frameworks differ in all of these, and with other settings than in training the network
behaves differently. Therefore none of the settings has a default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from neuroattack.errors import ValidationError
from neuroattack.ir.values import freeze
from neuroattack.validation import check_integer, check_positive

__all__ = ["Arrival", "Integration", "Reading"]

Integration = Literal["euler", "hold", "impulse"]
Arrival = Literal["same-step", "next-step"]

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Reading:
    """Discretization of a NIR file.

    Parameters
    ----------
    dt_s : float
        Length of a time step in seconds.
    time_unit_s : float
        Unit of the file's times (time constants and delays) in seconds.
    integration : {'euler', 'hold', 'impulse'}
        Integration method. ``euler``: ``v += dt / tau * (-v + r I)``, where a spike is
        ``I = weight`` for one step (snnTorch, Norse, SpikingJelly). ``hold``: exact solution with
        constant I during the step, ``v <- v exp(-dt/tau) + (1 - exp(-dt/tau)) r I`` (Sinabs).
        ``impulse``: exact solution where a spike is a Dirac impulse with the area ``weight`` in the
        file's time unit, ``v <- v exp(-dt/tau) + r / tau * weight``, as in NIR's equation.
    arrival : {'same-step', 'next-step'}
        Step in which a spike reaches the next neurons if there is no delay node between: the step
        in which it is emitted, as if layers are called one after the other (snnTorch, Norse,
        SpikingJelly, Sinabs), or the next step (Lava, and Brian2 as used here).
    refractory_steps : int or None
        Number of time steps after a spike in which a neuron stays at its reset potential and
        ignores its input: 0 in snnTorch and Norse. None uses the metadata of each layer, which
        only files exported by neuroattack have.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the field.
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
            check_integer("refractory steps", self.refractory_steps, 0)

    def steps(self, delay: float) -> tuple[int, bool]:
        """Return a delay in the file's time unit as steps, and whether it is an integer number."""
        exact = delay * self.time_unit_s / self.dt_s
        steps = round(exact)
        return steps, abs(exact - steps) <= _TOLERANCE * max(1, steps)

    def stepping(self, thing: str, tau: float | None) -> tuple[float, float, float]:
        """Return the discrete dynamics of neurons with a time constant and resistance 1.

        Parameters
        ----------
        thing : str
            Name of the neurons in messages.
        tau : float or None
            Time constant in the file's time unit, positive; None for no leak.

        Returns
        -------
        tau_m_s : float
            Membrane time constant in seconds for which ``exp(-dt / tau_m)`` is the decay.
        gain, constant_gain : float
            Change of the potential in a step by a spike of weight 1, and by a constant input of 1.

        Raises
        ------
        ValidationError
            If the time step exceeds the time constant with Euler's method, so that the potential
            would oscillate.
        """
        dt = self.dt_s / self.time_unit_s
        impulse = self.integration == "impulse"
        if tau is None:
            return math.inf, 1.0 if impulse else dt, dt
        if self.integration == "euler":
            if tau < dt * (1 - _TOLERANCE):
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
    """Return the time constant for which exp(-dt / tau) is nearest to `decay`."""
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
