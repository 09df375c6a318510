"""Scaled conjugate gradients: minimization without a line search.

M. F. Møller, "A scaled conjugate gradient algorithm for fast supervised learning", Neural
Networks 6:525-533, 1993. Numbers in comments are steps of the paper's algorithm. Notation: E is
the objective, w the point, p the direction, r = -E'(w), and

- delta = p^T H p, from a finite difference of the gradient along p (step 2), plus lambda |p|^2;
- lambda scales the curvature so that the step stays within the range of the quadratic model;
- Delta compares actual and predicted decrease (step 6): 1 if E is quadratic.

Three cases are not specified in the paper. Here, a trial point where E is not finite counts as a
failure and quadruples lambda; a new direction orthogonal to r is replaced by r, as at a restart
(step 5 would otherwise divide by a step size of zero later); and "r = 0" in step 9 means
``|r|^2 = 0`` in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_fields

__all__ = ["Objective", "SCGParameters", "SCGState", "initial_state", "scg_step"]

Vector = NDArray[np.floating[Any]]

Objective = Callable[[Vector], tuple[float, Vector]]
"""Objective: function of a point (n,) that returns the value and the gradient (n,)."""

_LAMBDA_AFTER_OVERFLOW = 4.0


@dataclass(frozen=True)
class SCGParameters:
    """Constants of the algorithm.

    Parameters
    ----------
    sigma : float
        Step length of the finite difference of the gradient, in (0, 1e-4] (step 1).
    initial_lambda : float
        Initial lambda, in (0, 1e-6] (step 1).

    Raises
    ------
    ValidationError
        If a value is outside the range given in the paper.
    """

    sigma: float = 1e-4
    initial_lambda: float = 1e-6

    def __post_init__(self) -> None:
        check_fields(self, "SCG", sigma="(0, 1e-4]", initial_lambda="(0, 1e-6]")


@dataclass(frozen=True, eq=False)
class SCGState:
    """State of a minimization between steps.

    Attributes
    ----------
    weights : float array (n,)
        Point w, the best so far.
    value : float
        Objective E(w).
    residual : float array (n,)
        Negative gradient r at w.
    direction : float array (n,)
        Direction p.
    curvature : float
        delta of the last step, scaled further after a failure; unused after a success.
    scale, scale_bar : float
        lambda, and the lambda that is already included in `curvature`.
    success : bool
        Whether the last step did not increase E.
    iterations : int
        Number of steps including failures: k - 1.
    """

    weights: Vector
    value: float
    residual: Vector
    direction: Vector
    curvature: float
    scale: float
    scale_bar: float
    success: bool
    iterations: int

    @property
    def converged(self) -> bool:
        """Whether the gradient is zero, so that further steps change nothing."""
        return _dot(self.residual, self.residual) == 0


def initial_state(
    weights: Vector, objective: Objective, parameters: SCGParameters | None = None
) -> SCGState:
    """Return the initial state (step 1); evaluates the objective once.

    The vectors of all states have the type of `weights`, float32 or float64.

    Raises
    ------
    ValidationError
        If the weights are not such a vector, or the objective is not finite for them.
    """
    if weights.ndim != 1 or weights.size == 0 or weights.dtype not in (np.float32, np.float64):
        raise ValidationError(
            "SCG weights",
            f"{weights.dtype} of shape {weights.shape}",
            "a float32 or float64 vector",
        )
    value, gradient = objective(weights)
    if not (math.isfinite(value) and np.isfinite(gradient).all()):
        raise ValidationError(
            "objective at the initial weights", value, "a finite value and gradient"
        )
    residual = _minus(gradient, weights.dtype)
    first = (parameters or SCGParameters()).initial_lambda
    return SCGState(weights.copy(), value, residual, residual, 0.0, first, 0.0, True, 0)


def scg_step(
    state: SCGState, objective: Objective, parameters: SCGParameters | None = None
) -> SCGState:
    """Return the state after one iteration (steps 2 to 9); a converged state stays the same.

    The objective is evaluated twice after a success, at w + sigma_k p and at the trial point, and
    once after a failure; never again at w.
    """
    if state.converged:
        return state
    w, r, p = state.weights, state.residual, state.direction
    scale, scale_bar = state.scale, state.scale_bar
    p_squared = _dot(p, p)
    # 2. Second-order information, if the point is new.
    if state.success:
        sigma_k = (parameters or SCGParameters()).sigma / math.sqrt(p_squared)
        delta = _dot(p, objective(_along(w, p, sigma_k))[1] + r) / sigma_k
    else:
        delta = state.curvature
    # 3. Scale the curvature.
    delta += (scale - scale_bar) * p_squared
    # 4. Make it positive.
    if delta <= 0:
        scale_bar = 2 * (scale - delta / p_squared)
        delta = -delta + scale * p_squared
        scale = scale_bar
    # 5. Step size.
    mu = _dot(p, r)
    alpha = mu / delta
    # 6. Comparison parameter.
    trial = _along(w, p, alpha)
    value, gradient = objective(trial)
    k = state.iterations + 1
    if not (math.isfinite(value) and np.isfinite(gradient).all()):
        return replace(
            state,
            curvature=delta,
            scale=scale * _LAMBDA_AFTER_OVERFLOW,
            scale_bar=scale,
            success=False,
            iterations=k,
        )
    comparison = 2 * delta * (state.value - value) / mu / mu
    # 7. Accept the trial point if E is not higher, and compute a new direction.
    success = comparison >= 0
    if success:
        before = r
        w, r, scale_bar = trial, _minus(gradient, w.dtype), 0.0
        if k % w.size == 0:
            p = r
        else:
            beta = (_dot(r, r) - _dot(r, before)) / mu
            p = _along(r, p, beta)
            if _dot(p, r) == 0:
                p = r
    else:
        value, scale_bar = state.value, scale
    # 7 and 8. Adapt the scale to the quality of the model.
    if comparison >= 0.75:
        scale /= 4
    elif comparison < 0.25:
        scale += delta * (1 - comparison) / p_squared
    # 9. The next step checks whether r is zero.
    return SCGState(w, value, r, p, delta, scale, scale_bar, success, k)


def _dot(one: Vector, other: Vector) -> float:
    # In float64, and not with BLAS, whose sums depend on the number of threads.
    return float(np.multiply(one, other, dtype=np.float64).sum())


def _along(origin: Vector, direction: Vector, length: float) -> Vector:
    point: Vector = (origin + np.multiply(direction, length, dtype=np.float64)).astype(origin.dtype)
    return point


def _minus(gradient: Vector, dtype: np.dtype[Any]) -> Vector:
    residual: Vector = (-gradient).astype(dtype)
    return residual
