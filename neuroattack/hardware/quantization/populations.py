"""Rounding of the parameters of populations to a chip's number formats."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.profiles.number_format import LEAK_BITS, CurrentFormat, NumberFormat
from neuroattack.hardware.quantization.scaling import too_far_apart
from neuroattack.ir.fixed_point import LEAK_ONE, FixedPopulation
from neuroattack.ir.network import Population

__all__ = ["PopulationRounding", "round_population"]


@dataclass(frozen=True)
class PopulationRounding:
    """Rounding of the parameters of one population.

    Parameters
    ----------
    name : str
        Name of the population.
    state_bit_v : float
        Last bit of the state in volts; in floating point, the unit of potentials in volts.
    tau_m_s, effective_tau_m_s : float
        Membrane time constant before rounding, and that of the rounded leak; the longest of the
        population if it has several.
    largest_threshold_error_v, largest_bias_error_v : float
        Largest error of a threshold and of a bias in volts.
    tau_syn_s, effective_tau_syn_s : float
        Time constant of the synaptic current before and after rounding, likewise; 0 for a current
        without memory.
    """

    name: str
    state_bit_v: float
    tau_m_s: float
    effective_tau_m_s: float
    largest_threshold_error_v: float
    largest_bias_error_v: float
    tau_syn_s: float = 0.0
    effective_tau_syn_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the rounding as JSON values; infinite time constants are None."""
        values = asdict(self)
        if not self.tau_syn_s:
            del values["tau_syn_s"], values["effective_tau_syn_s"]
        return {name: None if value == math.inf else value for name, value in values.items()}


def round_population(
    population: Population,
    original: Population,
    dt_s: float,
    scale: float,
    finest: int,
    number_format: NumberFormat,
) -> tuple[Population | FixedPopulation, PopulationRounding]:
    """Round a population without unsupported features.

    Parameters
    ----------
    population, original : Population
        Population to round, and the original, to which errors are relative.
    dt_s : float
        Length of a time step in seconds.
    scale : float
        Units of weight mantissas per volt at exponent 0.
    finest : int
        Lowest exponent of the incoming weights.
    number_format : NumberFormat
        Number formats of the chip.
    """
    state = number_format.state
    rounded: Population | FixedPopulation
    threshold: NDArray[Any]
    bias: NDArray[Any]
    tau_syn_s = float(population.tau_syn_s.max())
    if state is None:
        threshold, bias = population.threshold_v * scale, population.bias_v * scale
        rounded = replace(
            population,
            threshold_v=threshold,
            bias_v=bias,
            reset_v=population.reset_v * scale,
            current_bias_v=population.current_bias_v * scale,
        )
        per_v, tau_m_s = scale, float(population.tau_m_s.max())
    else:
        threshold = np.rint(population.threshold_v * scale).astype(np.int32) << state.shift
        if (threshold == 0).any():
            raise too_far_apart(f"a threshold of population {population.name!r}", number_format)
        per_v = scale * 2**state.shift
        bias = _round_bias(population.bias_v * per_v, number_format.bias_range[0])
        leak = _round_leak(float(population.decay(dt_s)[0]), state.leak_bits)
        current_leak = _round_current_leak(float(population.current_decay(dt_s)[0]), state.current)
        # Unless potentials are clipped, they are multiples of the unit of weights and thresholds.
        coarse = finest >= 0 and not leak and current_leak == LEAK_ONE
        coarse = coarse and not (bias % 2**state.shift).any()
        below = 0
        if population.comparison == "inclusive":
            below, threshold = _strict(threshold, state.shift, coarse=coarse)
        rounded = FixedPopulation(
            name=population.name,
            size=population.size,
            leak=leak,
            threshold=threshold,
            bias=bias,
            refractory_steps=int(population.refractory_steps[0]),
            lowest=state.lowest,
            highest=state.highest,
            current_leak=current_leak,
        )
        # Of an inclusive comparison.
        threshold = threshold + below
        tau_m_s, tau_syn_s = _time_constant_s(leak, dt_s), _time_constant_s(current_leak, dt_s)
    spiking = np.isfinite(original.threshold_v)
    error_v = (threshold[spiking] / per_v) - original.threshold_v[spiking]
    return rounded, PopulationRounding(
        name=original.name,
        state_bit_v=1 / per_v,
        tau_m_s=float(original.tau_m_s.max()),
        effective_tau_m_s=tau_m_s,
        largest_threshold_error_v=float(np.abs(error_v).max(initial=0.0)),
        largest_bias_error_v=float(np.abs(bias / per_v - original.bias_v).max()),
        tau_syn_s=float(original.tau_syn_s.max()),
        effective_tau_syn_s=tau_syn_s,
    )


def _strict(
    threshold: NDArray[np.int32], shift: int, *, coarse: bool
) -> tuple[int, NDArray[np.int32]]:
    """Return a threshold for a strict comparison, and its distance from the inclusive one.

    For integers, ``v >= threshold`` is ``v > threshold - 1``. If thresholds are multiples of
    ``2**shift``, this is exact only if potentials are as well (`coarse`); otherwise, the nearest
    threshold is that itself, which is exceeded by potentials of at least ``threshold + 1``.
    """
    if shift == 0 or coarse:
        unit = 2**shift
        return unit, threshold - np.int32(unit)
    return 1, threshold


def _round_bias(bias: NDArray[np.float64], largest: int) -> NDArray[np.int32]:
    """Round biases to ``mantissa * 2**exponent`` with the smallest exponent for which all fit."""
    exponent = 0
    reach = float(np.abs(bias).max())
    while np.rint(reach / 2**exponent) > largest:
        exponent += 1
    rounded: NDArray[np.int32] = np.rint(bias / 2**exponent).astype(np.int32) << exponent
    return rounded


def _round_leak(decay: float, bits: int | None) -> int:
    """Return the leak nearest to a decay, in units of 1/4096 per step; always below 4096."""
    bits = LEAK_BITS if bits is None else bits
    units = 1 << bits
    return min(round(units * (1 - decay)), units - 1) << (LEAK_BITS - bits)


def _round_current_leak(decay: float, current: CurrentFormat | None) -> int:
    """Return the leak of a synaptic current nearest to a decay, likewise; 4096 for no memory."""
    current = current or CurrentFormat(LEAK_BITS)
    units = 1 << current.leak_bits
    return max(round(units * (1 - decay)), current.least) << (LEAK_BITS - current.leak_bits)


def _time_constant_s(leak: int, dt_s: float) -> float:
    """Return the time constant of a leak in units of 1/4096 per step; 0 for no memory."""
    if leak == LEAK_ONE:
        return 0.0
    return -dt_s / math.log1p(-leak / LEAK_ONE) if leak else math.inf
