"""Neuron models of populations in the language of Brian2.

They are in the form in which users of Brian2 would write them. Their state updaters keep the order
of operations of :mod:`neuroattack.ir.dynamics`, one operation per statement, as each is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.population import Population
from neuroattack.ir.values import is_uniform

__all__ = ["SECONDS", "NeuronModel", "neuron_model"]

SECONDS = frozenset({"tau_m", "tau_syn", "refractory_period"})
"""Names of values that are times; the others have no dimension in Brian2."""

# Values that are parameters of the neurons also if all have the same.
_ALWAYS_PER_NEURON = ("bias", "threshold")


@dataclass(frozen=True, eq=False)
class NeuronModel:
    """Arguments of a NeuronGroup, and its values.

    Parameters
    ----------
    equations : str
        Equations, without the parameters of neurons.
    update : str
        Statements of the state updater, as replaced for `method`.
    threshold, reset : str
        Condition of a spike, and statements after it.
    rest : str
        Statements that bring the neurons to rest, in the first step of an image.
    values : dict of str to float64 array, shape (size,)
        Values by name: constants of the group, or parameters of the neurons if they differ.
    """

    equations: str
    update: str
    threshold: str
    reset: str
    rest: str
    values: dict[str, NDArray[np.float64]]

    @property
    def constants(self) -> dict[str, float]:
        """Values that all neurons have in common."""
        return {
            name: float(values[0])
            for name, values in self.values.items()
            if name not in self.parameters
        }

    @property
    def parameters(self) -> dict[str, NDArray[np.float64]]:
        """Values that are parameters of each neuron."""
        return {
            name: values
            for name, values in self.values.items()
            if name in _ALWAYS_PER_NEURON or not is_uniform(values)
        }

    @property
    def all_equations(self) -> str:
        """Equations, with the parameters of neurons."""
        lines = [
            f"{name} : {'second' if name in SECONDS else '1'} (constant)\n"
            for name in self.parameters
        ]
        return self.equations + "".join(lines)


def neuron_model(population: Population, dt_s: float, *, constant_input: bool) -> NeuronModel:
    """Return the neuron model of a population; with `constant_input`, it has direct coding."""
    equations = ["dv/dt = -v / tau_m : 1 (unless refractory)  # volts from rest"]
    arriving = ["I : 1  # weights that have arrived since the last step"]
    values = {"tau_m": population.tau_m_s, "decay": population.decay(dt_s)}
    reset_value = "v_reset" if population.reset == "value" else "amount"
    update = ["v = v * decay", f"v = v + ({'u' if population.has_current else 'I'} + bias)"]
    reset = {"value": "v = v_reset", "subtract": "v = v - amount", "subtract_next": "owed = amount"}
    at_rest = ["v = 0", "I = 0"]
    if population.reset == "subtract_next":
        equations.append("owed : 1  # subtracted from v in the step after a spike")
        update += ["v = v - owed", "owed = 0"]
        at_rest.append("owed = 0")
    if population.has_current:
        equations.append("du/dt = -u / tau_syn : 1  # synaptic current, in volts")
        current = ["u = u * current_decay", "u = u + (I + current_bias)"]
        update = update + current if population.input_after_update else current + update
        at_rest.append("u = 0")
        values["tau_syn"] = population.tau_syn_s
        values["current_decay"] = population.current_decay(dt_s)
        values["current_bias"] = population.current_bias_v
    if constant_input:
        # Arriving weights are added to the constant input.
        arriving.append("I_constant : 1  # constant input in every step")
        at_rest.append("I_constant = 0")
    values |= {
        "bias": population.bias_v,
        "threshold": population.threshold_v,
        reset_value: population.reset_v,
        "refractory_period": (population.refractory_steps + 1).astype(np.float64) * dt_s,
    }
    return NeuronModel(
        equations="\n".join(["", *equations, *arriving, ""]),
        update="\n".join([*update, f"I = {'I_constant' if constant_input else '0'}", ""]),
        threshold=f"v {'>' if population.comparison == 'strict' else '>='} threshold",
        reset=reset[population.reset],
        rest="\n".join(at_rest),
        values=values,
    )
