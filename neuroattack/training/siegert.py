r"""Siegert transfer function: the mean rate of a LIF neuron with Poisson input.

With tau_m the membrane time constant, the mean free membrane potential ``Y`` (the *drive*, in
volts) and its standard deviation ``G`` (the *spread*, in volts), a leaky integrate-and-fire
neuron with threshold theta, reset and rest at 0 fires at

.. math::

    \nu = \Big[ t_{ref} + \frac{\tau_m}{G} \sqrt{\frac{\pi}{2}}
          \int_{\kappa G}^{\theta + \kappa G}
          \mathrm{erfcx}\Big(\frac{Y - u}{G\sqrt 2}\Big) \, du \Big]^{-1},
    \qquad \kappa = |\zeta(1/2)| \sqrt{\tau_{syn} / \tau_m}

(Siegert 1951; the scaled complementary error function makes it numerically stable: Jug et al.
2012). The integral is approximated by Simpson's rule on 3 points, which is accurate unless G is
small compared with theta and Y is near theta. Rates are normalized: 1.0 is ``1 / t_ref``, by
default 500 Hz.

Weights in this module are *drive weights* ``W``, in volts per second at full rate: a neuron whose
inputs fire at the normalized rates ``x`` has Y = tau_m W x. A spike then contributes ``W * t_ref``
volts, and the diffusion approximation gives G^2 = tau_m t_ref W^2 x / 2. The public implementation
of O'Connor et al. omits this ``t_ref``, which makes the variance 500 times larger; the parameter
``noise_factor`` reproduces this.

In time steps dt, a neuron with a refractory period of R steps that spikes in step k can spike
again in step k + R + 1. A converted neuron therefore has the maximum rate 1 / t_ref with
R = t_ref / dt - 1: one step for t_ref = 2 ms and dt = 1 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfcx

from neuroattack.errors import ValidationError
from neuroattack.validation import check_number, check_positive

__all__ = ["SiegertParameters", "Transfer", "fast_rates", "fast_slopes", "siegert_rates"]

_ABS_ZETA_HALF = 1.4603545088095868

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class SiegertParameters:
    """Parameters of the LIF neuron in the transfer function; reset and rest are 0.

    Parameters
    ----------
    tau_m_s, tau_syn_s, t_ref_s : float
        Membrane time constant, synaptic time constant and refractory period, in seconds.
    threshold_v : float
        Threshold, in volts above rest.

    Raises
    ------
    ValidationError
        If a value is not positive and finite, or tau_syn_s is not below tau_m_s.
    """

    tau_m_s: float = 5.0
    tau_syn_s: float = 1e-3
    t_ref_s: float = 2e-3
    threshold_v: float = 5e-3

    def __post_init__(self) -> None:
        for name in ("tau_m_s", "tau_syn_s", "t_ref_s", "threshold_v"):
            check_positive(f"Siegert parameter {name}", getattr(self, name))
        if self.tau_syn_s >= self.tau_m_s:
            raise ValidationError(
                "Siegert parameter tau_syn_s", self.tau_syn_s, f"less than tau_m_s, {self.tau_m_s}"
            )

    @property
    def shift(self) -> float:
        """Shift of threshold and reset by colored synaptic noise, relative to the spread."""
        return _ABS_ZETA_HALF * math.sqrt(self.tau_syn_s / self.tau_m_s)


def siegert_rates(
    drive_v: ArrayLike, spread_v: ArrayLike, parameters: SiegertParameters
) -> NDArray[np.float64]:
    """Return rates of LIF neurons in float64; reference implementation for :func:`fast_rates`.

    Parameters
    ----------
    drive_v : array_like, any shape
        Mean free membrane potential Y, in volts.
    spread_v : array_like, same shape or broadcastable
        Its standard deviation G, in volts, not negative. For 0 the limit is used: rate 0 for a
        drive at or below the threshold, Simpson's rule on 1 / (Y - u) above it.
    parameters : SiegertParameters
        Neuron parameters.

    Returns
    -------
    float64 array, broadcast shape
        Rates in units of 1 / t_ref, in [0, 1].
    """
    drive, spread = np.broadcast_arrays(
        np.asarray(drive_v, np.float64), np.asarray(spread_v, np.float64)
    )
    theta = parameters.threshold_v
    noisy = spread > 0
    scale = np.where(noisy, spread, 1.0)
    passage = np.zeros(drive.shape)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for weight, level in ((1, 0.0), (4, theta / 2), (1, theta)):
            above = drive - (level + parameters.shift * spread)
            noise_term = math.sqrt(math.pi / 2) / scale * erfcx(above / (scale * math.sqrt(2)))
            passage += weight / 6 * theta * np.where(noisy, noise_term, 1 / above)
        rates = 1 / (1 + parameters.tau_m_s / parameters.t_ref_s * passage)
    silent = ~noisy & (drive <= theta)
    return np.where(silent, 0.0, rates)


# erfcx(x) for x >= 0 is approximated by t * P(2 t - 1) with t = 2.5 / (2.5 + x), which maps
# [0, inf) to (0, 1] and decays like erfcx. P has degree 8, fitted to scipy.special.erfcx in the
# relative maximum norm; the error is within 1.3e-7.
_T = np.float32(2.5)
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8 = (
    np.float32(c)
    for c in (
        0.421612691,
        0.321861098,
        0.181567895,
        0.0684951683,
        0.0113241153,
        -0.00333590829,
        -0.00186304419,
        0.000141773724,
        0.000196336452,
    )
)
# exp on [0, 36 / 64], degree 5, within 2.2e-8; squared six times it gives exp(x^2), |x| <= 6.
_E1, _E2, _E3, _E4, _E5 = (
    np.float32(c) for c in (1.0000021, 0.499945033, 0.167127574, 0.040008823, 0.0109597895)
)
_ONE = np.float32(1)
_TWO = np.float32(2)
# Below this argument erfcx exceeds 8e15, and the rate is 0 in float32 for any practical spread.
_LOWEST = np.float32(-6)
_TINY_VARIANCE = np.float32(1e-24)


@numba.njit(inline="always")
def _erfcx32(x: Any) -> Any:
    """Return erfcx(x) in float32 for x >= -6; relative error 4e-6, no branches."""
    magnitude = abs(x)
    t = _T / (_T + magnitude)
    s = t + t - _ONE
    p = _P7 + s * _P8
    p = _P6 + s * p
    p = _P5 + s * p
    p = _P4 + s * p
    p = _P3 + s * p
    p = _P2 + s * p
    p = _P1 + s * p
    p = t * (_P0 + s * p)
    q = min(magnitude, -_LOWEST)
    q = q * q * np.float32(1 / 64)
    e = _E4 + q * _E5
    e = _E3 + q * e
    e = _E2 + q * e
    e = _E1 + q * e
    e = _ONE + q * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    return _TWO * e - p if x < np.float32(0) else p


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rates32(mean: Any, power: Any, out: Any, constants: Any) -> None:
    drive_gain, variance_gain, theta, shift, passage_gain = constants
    for i in range(mean.size):
        drive = drive_gain * mean[i]
        spread = math.sqrt(max(variance_gain * power[i], _TINY_VARIANCE))
        to_z = np.float32(math.sqrt(0.5)) / spread
        reset_level = drive - shift * spread
        z_reset = reset_level * to_z
        z_half = (reset_level - np.float32(0.5) * theta) * to_z
        z_threshold = (reset_level - theta) * to_z
        integral = _erfcx32(z_reset) + np.float32(4) * _erfcx32(z_half) + _erfcx32(z_threshold)
        rate = _ONE / (_ONE + passage_gain * integral / spread)
        out[i] = rate if z_threshold > _LOWEST else np.float32(0)


def fast_rates(
    mean: FloatArray,
    power: FloatArray,
    parameters: SiegertParameters,
    drive_gain: float = 1.0,
    variance_gain: float = 1.0,
) -> FloatArray:
    """Return rates of LIF neurons in float32, compiled; within 1e-5 of :func:`siegert_rates`.

    `mean` and `power`, C-contiguous float32 arrays of the same shape, are the drive Y and the
    variance G^2 divided by their gains: ``Y = drive_gain * mean`` in volts and
    ``G^2 = variance_gain * power`` in volts squared. Returns a float32 array of that shape, in
    units of 1 / t_ref, in [0, 1]; never NaN for finite input.
    """
    out = np.empty(mean.shape, np.float32)
    _rates32(
        mean.reshape(-1),
        power.reshape(-1),
        out.reshape(-1),
        _constants(parameters, drive_gain, variance_gain),
    )
    return out


# Beyond this argument the difference in the derivative of erfcx cancels in float32, and its
# asymptotic series, of which three terms are used, is within 1e-4.
_ASYMPTOTIC = np.float32(8)


@numba.njit(inline="always")
def _erfcx_slope32(x: Any, value: Any) -> Any:
    """Return the derivative of erfcx at x >= -6, given ``value = erfcx(x)``."""
    if x < _ASYMPTOTIC:
        return _TWO * x * value - np.float32(2 / math.sqrt(math.pi))
    inverse = _ONE / (x * x)
    series = _ONE - np.float32(1.5) * inverse + np.float32(3.75) * inverse * inverse
    return np.float32(-1 / math.sqrt(math.pi)) * inverse * series


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _slopes32(mean: Any, power: Any, by_mean: Any, by_power: Any, constants: Any) -> None:
    drive_gain, variance_gain, theta, shift, passage_gain = constants
    for i in range(mean.size):
        by_mean[i] = by_power[i] = np.float32(0)
        drive = drive_gain * mean[i]
        spread = math.sqrt(max(variance_gain * power[i], _TINY_VARIANCE))
        to_z = np.float32(math.sqrt(0.5)) / spread
        integral = slope = weighted = np.float32(0)
        for point in range(3):
            weight = np.float32(4 if point == 1 else 1)
            distance = drive - np.float32(0.5) * point * theta
            z = (distance - shift * spread) * to_z
            if point == 2 and z <= _LOWEST:
                break
            value = _erfcx32(z)
            derivative = weight * _erfcx_slope32(z, value)
            integral += weight * value
            slope += derivative
            weighted += derivative * distance
        else:
            rate = _ONE / (_ONE + passage_gain * integral / spread)
            factor = rate * rate * passage_gain / (spread * spread)
            by_mean[i] = -drive_gain * factor * np.float32(math.sqrt(0.5)) * slope
            by_spread = factor * (integral + to_z * weighted)
            by_power[i] = np.float32(0.5) * variance_gain * by_spread / spread


def fast_slopes(
    mean: FloatArray,
    power: FloatArray,
    parameters: SiegertParameters,
    drive_gain: float = 1.0,
    variance_gain: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Return the derivatives of :func:`fast_rates` with respect to `mean` and `power`.

    Arguments as there; both derivatives are float32 arrays of the shape of `mean`.
    """
    by_mean, by_power = np.empty(mean.shape, np.float32), np.empty(mean.shape, np.float32)
    _slopes32(
        mean.reshape(-1),
        power.reshape(-1),
        by_mean.reshape(-1),
        by_power.reshape(-1),
        _constants(parameters, drive_gain, variance_gain),
    )
    return by_mean, by_power


def _constants(
    parameters: SiegertParameters, drive_gain: float, variance_gain: float
) -> tuple[np.float32, ...]:
    theta = parameters.threshold_v
    passage_gain = parameters.tau_m_s / parameters.t_ref_s * math.sqrt(math.pi / 2) * theta / 6
    constants = (drive_gain, variance_gain, theta, parameters.shift, passage_gain)
    return tuple(np.float32(constant) for constant in constants)


@dataclass(frozen=True)
class Transfer:
    """Transfer function of a fully connected layer of Siegert neurons.

    Parameters
    ----------
    siegert : SiegertParameters
        Neuron parameters.
    noise_factor : float
        Factor of the variance of the SI diffusion approximation: 1 is physically consistent;
        1 / t_ref is the convention of the public implementation of O'Connor et al.

    Raises
    ------
    ValidationError
        If noise_factor is negative or not finite.
    """

    siegert: SiegertParameters
    noise_factor: float = 1.0

    def __post_init__(self) -> None:
        check_number("noise_factor", self.noise_factor, "[0, inf)")

    @property
    def drive_gain(self) -> float:
        """Drive Y per unit of ``W x``: tau_m."""
        return self.siegert.tau_m_s

    @property
    def variance_gain(self) -> float:
        """Variance G^2 per unit of ``W^2 x``: noise_factor * tau_m * t_ref / 2."""
        return self.noise_factor * self.siegert.tau_m_s * self.siegert.t_ref_s / 2

    def rates(self, mean: FloatArray, power: FloatArray) -> FloatArray:
        """Return normalized rates, given ``x @ W`` and ``x @ W**2`` with W in volts per second."""
        return fast_rates(mean, power, self.siegert, self.drive_gain, self.variance_gain)

    def slopes(self, mean: FloatArray, power: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of :meth:`rates` with respect to `mean` and `power`."""
        return fast_slopes(mean, power, self.siegert, self.drive_gain, self.variance_gain)

    def layer(
        self,
        x: FloatArray,
        weights: FloatArray,
        squared: FloatArray,
        product: Callable[[FloatArray, FloatArray], FloatArray] = np.matmul,
    ) -> FloatArray:
        """Return the rates of a layer, shape (n, units), given input rates (n, inputs).

        Weights, in volts per second, and their squares have the shape (inputs, units). `product`
        is the matrix product.
        """
        return self.rates(product(x, weights), product(x, squared))
