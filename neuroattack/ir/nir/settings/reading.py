"""Discretization of NIR's equations in continuous time, which NIR does not define.

NIR specifies ``tau dv/dt = (v_leak - v) + r I``, but neither the time step, the unit of times, the
integration method, the reset by subtraction that many frameworks use, nor whether a spike reaches
the next layer in the step in which it is emitted. Frameworks differ in all of these, and with other
settings than in training the network behaves differently. Therefore no setting has a default.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.nir.graph.nodes import Neurons
from neuroattack.ir.population import Comparison, Reset
from neuroattack.ir.values import freeze
from neuroattack.validation import check_integer, check_positive

__all__ = [
    "Arrival",
    "Discrete",
    "InputOrder",
    "Integration",
    "Reading",
    "decay_of",
    "tau_of_decay",
]

Integration = Literal["euler", "hold", "impulse", "unit-gain"]
Arrival = Literal["same-step", "next-step"]
InputOrder = Literal["before", "after"]

_CHOICES = {
    "integration": Integration,
    "arrival": Arrival,
    "reset": Reset,
    "comparison": Comparison,
    "input_order": InputOrder,
}

_TOLERANCE = 1e-6

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Discrete:
    """Update of neurons in a time step: ``v <- v exp(-dt / tau_m) + gain I``.

    With a synaptic current, its update is ``I <- I exp(-dt / tau_syn) + current_gain S``; otherwise
    `tau_syn_s` is None. Constant input has gains of its own, because a spike may be an impulse.
    Arrays have one element, or one per neuron.
    """

    tau_m_s: Values
    gain: Values
    constant_gain: Values
    tau_syn_s: Values | None = None
    current_gain: Values | float = 1.0
    constant_current_gain: Values | float = 1.0


@dataclass(frozen=True)
class Reading:
    """Settings that NIR leaves open.

    Parameters
    ----------
    dt_s : float
        Length of a time step in seconds.
    time_unit_s : float
        Unit of the file's times (time constants and delays) in seconds.
    integration : {'euler', 'hold', 'impulse', 'unit-gain'}
        Integration method. ``euler``: ``v += dt / tau * (-v + r I)``, where a spike is
        ``I = weight`` for one step. ``hold``: exact solution with constant I during the step,
        ``v <- v exp(-dt/tau) + (1 - exp(-dt/tau)) r I``. ``impulse``: exact solution where a spike
        is a Dirac impulse with the area ``weight`` in the file's time unit,
        ``v <- v exp(-dt/tau) + r / tau * weight``, as in NIR's equation. ``unit-gain``: exact decay
        and input without a factor, ``v <- v exp(-dt/tau) + weight``. A synaptic current is
        integrated in the same way, and is constant during a step of the potential.
    arrival : {'same-step', 'next-step'}
        Step in which a spike reaches the next neurons if there is no delay node between: the step
        in which it is emitted, as if layers are called one after the other, or the next step (Lava,
        and Brian2 as used here). Feedback arrives in the next step in either case.
    reset : {'value', 'subtract', 'subtract_next'} or None
        Reset to the file's reset potential; or by subtraction of the threshold, immediately or in
        the next step. None uses the metadata of each layer, which only files exported by
        neuroattack have.
    comparison : {'strict', 'inclusive'} or None
        Whether neurons spike above the threshold, or also at the threshold; None as for `reset`.
    input_order : {'before', 'after'} or None
        Whether input enters the synaptic current before or after the potential is updated; None as
        for `reset`, or if there are no synaptic currents.
    refractory_steps : int or None
        Number of time steps after a spike in which a neuron stays at its reset potential and
        ignores its input; None as for `reset`.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the field.
    """

    dt_s: float
    time_unit_s: float
    integration: Integration
    arrival: Arrival
    reset: Reset | None = None
    comparison: Comparison | None = None
    input_order: InputOrder | None = None
    refractory_steps: int | None = None

    def __post_init__(self) -> None:
        freeze(
            self,
            dt_s=check_positive("dt", self.dt_s, "number of seconds"),
            time_unit_s=check_positive("time unit", self.time_unit_s, "number of seconds"),
        )
        for field, kinds in _CHOICES.items():
            value, known = getattr(self, field), get_args(kinds)
            needed = field in ("integration", "arrival")
            if value not in known and (needed or value is not None):
                raise ValidationError(
                    field.replace("_", " "), repr(value), f"one of {', '.join(known)}"
                )
        if self.refractory_steps is not None:
            check_integer("refractory steps", self.refractory_steps, 0)

    @property
    def dt(self) -> float:
        """Length of a time step in the file's time unit."""
        exact = self.dt_s / self.time_unit_s
        # Without the error of two divisions where the unit is given as a multiple of the step.
        short = float(f"{exact:.12g}")
        return short if math.isclose(exact, short, rel_tol=1e-14) else exact

    def steps(self, delay: float) -> tuple[int, bool]:
        """Return a delay in the file's time unit as steps, and whether it is an integer number."""
        exact = delay * self.time_unit_s / self.dt_s
        steps = round(exact)
        return steps, abs(exact - steps) <= _TOLERANCE * max(1, steps)

    def discretize(self, node: Neurons, late_input: bool = False) -> Discrete:
        """Return the update of neurons in a time step.

        A synaptic current without memory is none, unless input enters it after the potential is
        updated.

        Raises
        ------
        ValidationError
            If a parameter is invalid, or the time step exceeds a time constant with Euler's method,
            so that the potential would oscillate.
        """
        if not np.isfinite(node.r).all():
            raise ValidationError(f"{node.words} r", "infinite values", "finite numbers")
        current = node.has_current and (late_input or bool(node.tau_syn.any()))
        resistance = node.r * node.w_in
        tau = node.tau if node.leaky else None
        tau_m_s, gain, constant_gain = self._stepping(node, "tau", tau, current)
        if not current:
            if self.integration == "unit-gain":
                resistance = node.w_in
            return Discrete(tau_m_s, _gain(gain * resistance), _gain(constant_gain * resistance))
        resistance = node.r if self.integration != "unit-gain" else np.ones(())
        tau_syn_s, to_current, constant = self._stepping(node, "tau_syn", node.tau_syn, False)
        return Discrete(
            tau_m_s,
            _gain(gain * resistance),
            _gain(gain * resistance),
            tau_syn_s,
            _gain(to_current * node.w_in),
            _gain(constant * node.w_in),
        )

    def _stepping(
        self, node: Neurons, field: str, tau: Values | None, held: bool
    ) -> tuple[Values, Values, Values]:
        """Return time constants in seconds, and gains of spikes and of constant input.

        If `held`, the input is not spikes, but constant during a step.
        """
        dt, impulse = self.dt, self.integration == "impulse" and not held
        if self.integration == "unit-gain":
            one = np.ones(())
            seconds = np.array(np.inf) if tau is None else _checked(node, field, tau)
            return seconds * self.time_unit_s, one, one
        if tau is None:
            return np.array(np.inf), np.array(1.0 if impulse else dt), np.array(dt)
        tau = _checked(node, field, tau)
        if self.integration == "euler":
            if tau[tau > 0].min(initial=np.inf) < dt * (1 - _TOLERANCE):
                raise ValidationError(
                    f"{node.words} {field}",
                    f"{tau.min():g} in the file's unit of {self.time_unit_s:g} s",
                    f"at least the step, {dt:g}, for Euler's method",
                )
            gain = np.where(tau == 0, 1.0, dt / np.where(tau == 0, dt, tau))
            decay = np.where(np.abs(1 - gain) <= _TOLERANCE, 0.0, 1 - gain)
            return tau_of_decay(decay, self.dt_s), gain, gain
        tau_s = tau * self.time_unit_s
        gain = 1 - decay_of(tau_s, self.dt_s)
        if impulse:
            if (tau == 0).any():
                raise ValidationError(
                    f"{node.words} {field}",
                    "0 for some neurons only",
                    "positive times, for an impulse",
                )
            return tau_s, 1 / tau, gain
        return tau_s, gain, gain


def _gain(gain: Values) -> Values:
    """Return gains with those that rounding keeps from 1 set to 1."""
    return np.where(np.abs(gain - 1) < 4 * np.finfo(np.float64).eps, 1.0, gain)


def _checked(node: Neurons, field: str, tau: Values) -> Values:
    """Return time constants; raise ValidationError unless they are positive."""
    least = 0.0 if field == "tau_syn" else math.ulp(0.0)
    if tau.min() < least:
        expected = "no negative times" if field == "tau_syn" else "positive numbers"
        raise ValidationError(f"{node.words} {field}", f"{tau.min():g}", expected)
    return tau


def decay_of(tau: Values, dt: float) -> Values:
    """Return exp(-dt / tau), and 0 for tau = 0."""
    # math.exp, because vectorized exponentials differ in the last bit between machines.
    return _each(tau, lambda value: 0.0 if value == 0 else math.exp(-dt / value))


def tau_of_decay(decay: Values, dt_s: float) -> Values:
    """Return the time constants for which exp(-dt / tau) is nearest to the decay factors."""
    return _each(decay, lambda value: _tau_of_decay(value, dt_s))


def _each(values: Values, function: Callable[[float], float]) -> Values:
    distinct, where = np.unique(values, return_inverse=True)
    results = np.array([function(value) for value in distinct.tolist()])
    found: Values = results[where.reshape(values.shape)]
    return found


def _tau_of_decay(decay: float, dt_s: float) -> float:
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
