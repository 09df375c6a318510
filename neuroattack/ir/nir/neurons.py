"""Nodes of neurons as populations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.network import Population
from neuroattack.ir.nir.graph.nodes import Neurons, Threshold
from neuroattack.ir.nir.settings.metadata import node_numbers
from neuroattack.ir.nir.settings.reading import tau_of_decay
from neuroattack.ir.nir.settings.settings import Settings

__all__ = ["Cells", "cells_of", "integrator", "threshold_cells"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Population, and the change of potential (or current) by a spike of weight 1 per neuron."""

    population: Population
    gains: Values

    def with_unit_gains(self) -> Cells | None:
        """Return the same neurons in units in which all gains are 1, or None if there are none.

        Their spikes are the same for all inputs, but not their potentials.
        """
        p = self.population
        if not p.spikes or self.gains.min() <= 0:
            return None
        scaled = Population(
            p.name,
            p.size,
            p.tau_m_s,
            p.threshold_v / self.gains,
            p.bias_v / self.gains,
            p.reset_v / self.gains,
            p.refractory_steps,
            p.reset,
            p.comparison,
            p.tau_syn_s,
            p.current_bias_v / self.gains,
            p.input_after_update,
        )
        return Cells(scaled, np.ones(p.size))


def cells_of(node: Neurons, name: str, constant: Values, settings: Settings) -> Cells:
    """Return the population of a node that receives a constant input of shape (size,)."""
    size = constant.size
    discrete = settings.discretize(node)

    def each(field: str, values: Values | float) -> Values:
        flat = np.ravel(values)
        if flat.size not in (1, size):
            raise ValidationError(
                f"{node.words} {field}",
                f"shape {np.shape(values)}",
                f"{size} neurons, as in its input",
            )
        return np.broadcast_to(flat, (size,))

    rest = settings.rest(node)
    gains = each("r", discrete.gain)
    constant_gains = each("r", discrete.constant_gain)
    parameters: dict[str, object] = {}
    if discrete.tau_syn_s is None:
        parameters["bias_v"] = constant * constant_gains
    else:
        gains = gains * each("w_in", discrete.current_gain)
        constant_gains = constant_gains * each("w_in", discrete.constant_current_gain)
        parameters["tau_syn_s"] = each("tau_syn", discrete.tau_syn_s)
        parameters["current_bias_v"] = constant * constant_gains
        parameters["input_after_update"] = settings.choice(node, "input_order") == "after"
    if node.spiking:
        parameters |= _spiking(node, rest, settings)
        parameters["refractory_steps"] = settings.refractory_steps(node)
    elif (rest != rest.flat[0]).any():
        raise UnsupportedFeatureError(
            f"{node.words} has neurons with different values of v_leak, to which potentials are "
            "relative; expected one value, so that the potentials of classes can be compared"
        )
    threshold = each("v_threshold", node.v_threshold - rest)
    parameters = {
        field: each(field, value) if isinstance(value, np.ndarray) else value
        for field, value in parameters.items()
    }
    if parameters.get("reset") == "value" and (node.v_threshold <= node.v_reset).any():
        raise ValidationError(
            f"{node.words} v_threshold",
            f"{node.v_threshold.min():g}",
            f"above v_reset, {node.v_reset.max():g}",
        )
    population = Population(
        name,
        size,
        each("tau", discrete.tau_m_s),
        threshold,
        **parameters,  # type: ignore[arg-type]
    )
    return Cells(population, gains)


def _spiking(node: Neurons, rest: Values, settings: Settings) -> dict[str, object]:
    reset = settings.choice(node, "reset")
    if reset == "value":
        amount = node.v_reset - rest
    else:
        own = node_numbers(node, "subtracted")
        amount = node.v_threshold if own is None else own.astype(np.float64)
        if (amount <= 0).any():
            raise ValidationError(
                f"{node.words} v_threshold",
                f"{amount.min():g}",
                "positive numbers for a reset by subtraction",
            )
    return {
        "reset": reset,
        "reset_v": np.asarray(amount),
        "comparison": settings.choice(node, "comparison"),
    }


def threshold_cells(node: Threshold, name: str, constant: Values, settings: Settings) -> Cells:
    """Return a node without memory as a population whose potential decays within a step."""
    if node.threshold.size not in (1, constant.size):
        raise ValidationError(
            f"{node.words} threshold",
            f"shape {node.threshold.shape}",
            f"{constant.size} neurons, as in its input",
        )
    threshold = np.broadcast_to(node.threshold.ravel(), constant.shape)
    population = Population(
        name,
        constant.size,
        tau_of_decay(np.zeros(()), settings.reading.dt_s),
        threshold,
        constant,
        np.minimum(0.0, threshold - 1),
        comparison=settings.choice(node, "comparison"),
    )
    return Cells(population, np.ones(constant.size))


def integrator(name: str, constant: Values) -> Cells:
    """Return neurons that add up their input."""
    population = Population(name, constant.size, np.inf, np.inf, constant)  # type: ignore[arg-type]
    return Cells(population, np.ones(constant.size))
