"""Neuron models of populations in the language of Brian2.

They are in the form in which users of Brian2 would write them, except that state updaters have one
operation per statement: each is rounded, in the order of :mod:`neuroattack.ir.dynamics`, whereas
Brian2 may reorder sums of several terms to simplify them.
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

_RESETS = {"value": "v = v_reset", "subtract": "v = v - amount", "subtract_next": "owed = amount"}


@dataclass(frozen=True, eq=False)
class NeuronModel:
    """Arguments of a NeuronGroup, and its values.

    Parameters
    ----------
    equations : str
        Equations, with the parameters of neurons.
    update : str
        Statements of the state updater, as replaced for `method`.
    threshold, reset : str
        Condition of a spike, and statements after it.
    rest : str
        Statements that bring the neurons to rest, except I, in the first step of an image.
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
            name: float(values[0]) for name, values in self.values.items() if is_uniform(values)
        }

    @property
    def parameters(self) -> dict[str, NDArray[np.float64]]:
        """Values that differ between neurons."""
        return {name: values for name, values in self.values.items() if not is_uniform(values)}


def neuron_model(population: Population, dt_s: float, constant_input: str = "") -> NeuronModel:
    """Return the neuron model of a population.

    Parameters
    ----------
    population : Population
        Population in floating point.
    dt_s : float
        Length of a time step in seconds.
    constant_input : str, optional
        Expression for the input with direct coding; empty if there is none.
    """
    equations = ["dv/dt = -v / tau_m : 1 (unless refractory)  # volts from rest"]
    values = {"tau_m": population.tau_m_s, "decay": population.decay(dt_s)}
    at_rest = ["v = 0"]
    if population.has_current:
        equations.append("du/dt = -u / tau_syn : 1  # synaptic current, in volts")
        values["tau_syn"] = population.tau_syn_s
        values["current_decay"] = population.current_decay(dt_s)
        values["current_bias"] = population.current_bias_v
        current = ["I = I + current_bias", "u = u * current_decay", "u = u + I"]
        potential = ["drive = u + bias", "v = v * decay", "v = v + drive"]
        late = population.input_after_update
        update = [*potential, *current] if late else [*current, *potential]
        at_rest.append("u = 0")
    else:
        update = ["I = I + bias", "v = v * decay", "v = v + I"]
    equations.append("I : 1  # weights that have arrived since the last step")
    if constant_input:
        equations.append(f"I_constant = {constant_input} : 1")
        update.insert(0, "I = I + I_constant")
    if population.reset == "subtract_next":
        equations.append("owed : 1  # subtracted in the step after a spike")
        update += ["v = v - owed", "owed = 0"]
        at_rest.append("owed = 0")
    values |= {
        "bias": population.bias_v,
        "threshold": population.threshold_v,
        "v_reset" if population.reset == "value" else "amount": population.reset_v,
        "refractory_period": (population.refractory_steps + 1).astype(np.float64) * dt_s,
    }
    equations += [
        f"{name} : {'second' if name in SECONDS else '1'} (constant)"
        for name in values
        if not is_uniform(values[name])
    ]
    return NeuronModel(
        equations="\n".join(["", *equations, ""]),
        update="\n".join(["", *update, "I = 0", ""]),
        threshold=f"v {'>' if population.comparison == 'strict' else '>='} threshold",
        reset=_RESETS[population.reset],
        rest="\n".join(["", *at_rest, ""]),
        values=values,
    )
