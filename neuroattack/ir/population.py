"""Populations of leaky integrate-and-fire neurons in floating point.

Units are SI: seconds, volts. Membrane potentials are relative to the resting potential, which is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.ir.values import (
    ByValue,
    check_population,
    freeze,
    per_neuron,
    span,
    steps_per_neuron,
)

__all__ = ["Comparison", "Population", "Reset"]

Reset = Literal["value", "subtract", "subtract_next"]
"""Reset to a value; by subtraction at the spike; or by subtraction in the next step's update."""

Comparison = Literal["strict", "inclusive"]
"""Whether a neuron spikes if its potential is above the threshold, or also if it is equal."""

_FINITE = "finite volts"


@dataclass(frozen=True, eq=False)
class Population(ByValue):
    """Leaky integrate-and-fire neurons, with an optional synaptic current (current-based LIF).

    All parameters but `name`, `size`, `reset`, `comparison` and `input_after_update` are one number
    for all neurons or one per neuron, and are stored per neuron. Equations are in
    :mod:`neuroattack.ir.dynamics`.

    Parameters
    ----------
    name : str
        Identifier, unique in the network.
    size : int
        Number of neurons, at least 1.
    tau_m_s : float or float array, shape (size,)
        Membrane time constant in seconds; infinite for no leak.
    threshold_v : float or float array, shape (size,)
        Spike threshold in volts; infinite for a leaky integrator, which never spikes. Like all
        potentials, relative to rest.
    bias_v : float or float array, shape (size,), optional
        Constant added to the potential in every non-refractory step, in volts.
    reset_v : float or float array, shape (size,), optional
        Reset potential in volts, below the threshold; by default 0. With a reset by subtraction,
        the amount that is subtracted, 0 for neurons without a reset; by default the threshold.
    refractory_steps : int or int array, shape (size,), optional
        Number of time steps after a spike in which the potential of the neuron does not change.
    reset : {"value", "subtract", "subtract_next"}, optional
        Reset of a neuron that spikes: its potential becomes `reset_v`; `reset_v` is subtracted
        immediately; or `reset_v` is subtracted in the next time step, after leak and input.
        The last requires a refractory period of 0.
    comparison : {"strict", "inclusive"}, optional
        Whether a neuron spikes if its potential is above its threshold, or also if it is equal.
    tau_syn_s : float or float array, shape (size,), optional
        Time constant of the synaptic current in seconds; 0 for a current without memory.
    current_bias_v : float or float array, shape (size,), optional
        Constant added to the synaptic current in every step, in volts.
    input_after_update : bool, optional
        Whether input enters the synaptic current after the potential is updated with the current
        of the previous step, or before.

    Raises
    ------
    UnknownNameError, ValidationError
        If a value is invalid; the message names the population and the field.
    """

    name: str
    size: int
    tau_m_s: NDArray[np.float64]
    threshold_v: NDArray[np.float64]
    bias_v: NDArray[np.float64] = 0.0  # type: ignore[assignment]  # an array once checked
    reset_v: NDArray[np.float64] = None  # type: ignore[assignment]
    refractory_steps: NDArray[np.int64] = 0  # type: ignore[assignment]
    reset: Reset = "value"
    comparison: Comparison = "strict"
    tau_syn_s: NDArray[np.float64] = 0.0  # type: ignore[assignment]
    current_bias_v: NDArray[np.float64] = 0.0  # type: ignore[assignment]
    input_after_update: bool = False

    def __post_init__(self) -> None:
        me = check_population(self)
        for field, known in (("reset", get_args(Reset)), ("comparison", get_args(Comparison))):
            if getattr(self, field) not in known:
                raise UnknownNameError(f"{me} {field}", str(getattr(self, field)), known)
        if not isinstance(self.input_after_update, bool):
            raise ValidationError(
                f"{me} input_after_update", repr(self.input_after_update), "True or False"
            )
        threshold_v = self._checked("threshold_v", self.threshold_v, "volts, finite or infinite")
        freeze(
            self,
            tau_m_s=self._checked("tau_m_s", self.tau_m_s, "a positive number of seconds"),
            threshold_v=threshold_v,
            bias_v=self._finite("bias_v", self.bias_v),
            refractory_steps=steps_per_neuron(
                f"{me} refractory_steps", self.refractory_steps, self.size
            ),
            tau_syn_s=self._finite("tau_syn_s", self.tau_syn_s, "seconds, 0 for no memory"),
            current_bias_v=self._finite("current_bias_v", self.current_bias_v),
        )
        if (self.tau_m_s <= 0).any():
            raise ValidationError(
                f"{me} tau_m_s", f"{self.tau_m_s.min():g}", "a positive number of seconds"
            )
        if (self.tau_syn_s < 0).any():
            raise ValidationError(
                f"{me} tau_syn_s", f"{self.tau_syn_s.min():g} s", "0 or more seconds"
            )
        if np.isneginf(threshold_v).any():
            raise ValidationError(f"{me} threshold_v", "-inf V", "volts, finite or infinite")
        self._check_reset(me)

    def _checked(self, field: str, value: ArrayLike, expected: str) -> NDArray[np.float64]:
        return per_neuron(f"population {self.name!r} {field}", value, self.size, expected)

    def _finite(self, field: str, value: ArrayLike, expected: str = _FINITE) -> NDArray[np.float64]:
        values = self._checked(field, value, expected)
        if not np.isfinite(values).all():
            raise ValidationError(
                f"population {self.name!r} {field}", "an infinite value", expected
            )
        return values

    def _check_reset(self, me: str) -> None:
        given = self.reset_v
        if self.reset == "value":
            freeze(self, reset_v=self._finite("reset_v", 0.0 if given is None else given))
            if (self.threshold_v <= self.reset_v).any():
                raise ValidationError(
                    f"{me} threshold_v",
                    f"{self.threshold_v.min():g} V",
                    f"above reset_v, {span(self.reset_v)} V",
                )
            return
        if given is None:
            # Neurons that never spike need no amount.
            given = np.where(np.isfinite(self.threshold_v), self.threshold_v, 1.0)
        freeze(self, reset_v=self._finite("reset_v", given))
        if (self.reset_v < 0).any():
            raise ValidationError(
                f"{me} reset_v",
                f"{self.reset_v.min():g} V",
                "0 V or more for a reset by subtraction",
            )
        if self.reset == "subtract_next" and self.refractory_steps.any():
            raise ValidationError(
                f"{me} refractory_steps",
                span(self.refractory_steps),
                "0 with the reset 'subtract_next'",
            )

    @property
    def has_current(self) -> bool:
        """Whether input enters a synaptic current, and not the potential directly."""
        return bool(self.input_after_update or self.tau_syn_s.any() or self.current_bias_v.any())

    @property
    def spikes(self) -> bool:
        """Whether any neuron has a finite threshold."""
        return bool(np.isfinite(self.threshold_v).any())

    def most_spikes(self, steps: int) -> int:
        """Return the maximum number of spikes of the population in a number of time steps."""
        return int((-(-steps // (self.refractory_steps + 1))).sum())

    @property
    def strict_threshold_v(self) -> NDArray[np.float64]:
        """Thresholds with which ``v > threshold`` is the population's comparison.

        ``v >= threshold`` is the same as ``v > x`` for the largest float64 x below the threshold.
        """
        if self.comparison == "strict":
            return self.threshold_v
        # An infinite threshold stays: no potential is infinite.
        below = np.nextafter(self.threshold_v, -np.inf)
        return np.where(np.isfinite(self.threshold_v), below, self.threshold_v)

    def decay(self, dt_s: float) -> NDArray[np.float64]:
        """Return exp(-dt / tau_m), the factor of the potential in one step, shape (size,)."""
        return _decay(self.tau_m_s, dt_s)

    def current_decay(self, dt_s: float) -> NDArray[np.float64]:
        """Return exp(-dt / tau_syn), the factor of the current in one step, shape (size,)."""
        return _decay(self.tau_syn_s, dt_s)

    def describe(self) -> str:
        """Return the neuron model with its parameters, in one line."""
        leak = "no leak"
        if np.isfinite(self.tau_m_s).any():
            leak = f"tau_m {span(1e3 * self.tau_m_s)} ms"
        current = []
        if self.has_current:
            order = "after" if self.input_after_update else "before"
            current = [
                f"tau_syn {span(1e3 * self.tau_syn_s)} ms, input {order} the update",
                *(
                    [f"current bias {span(self.current_bias_v)} V"]
                    if self.current_bias_v.any()
                    else []
                ),
            ]
        if not self.spikes:
            biased = [f"bias {span(self.bias_v)} V"] if self.bias_v.any() else []
            return ", ".join(["LI (no spikes)", leak, *current, *biased])
        sign = "" if self.comparison == "strict" else ">= "
        resets = {
            "value": [f"reset {span(self.reset_v)} V"] if self.reset_v.any() else [],
            "subtract": [f"reset by subtraction of {span(self.reset_v)} V"],
            "subtract_next": [f"reset by subtraction of {span(self.reset_v)} V in the next step"],
        }
        return ", ".join(
            [
                f"LIF, {leak}, threshold {sign}{span(self.threshold_v)} V",
                *current,
                *([f"bias {span(self.bias_v)} V"] if self.bias_v.any() else []),
                *resets[self.reset],
                f"refractory period {span(self.refractory_steps)} dt",
            ]
        )


def _decay(tau_s: NDArray[np.float64], dt_s: float) -> NDArray[np.float64]:
    # math.exp, because vectorized exponentials differ in the last bit between machines.
    distinct, where = np.unique(tau_s, return_inverse=True)
    factors = [0.0 if tau == 0 else math.exp(-dt_s / tau) for tau in distinct.tolist()]
    decay: NDArray[np.float64] = np.array(factors)[where.reshape(-1)]
    return decay
