"""Settings with which frameworks simulate the networks that they export to NIR.

Each preset follows the equations of one framework, as its own simulation evaluates them, and the
conventions of its exporter: how the file's numbers follow from the parameters of the layers.
Constants that the exporter rounded are restored, so that decays and gains are those of the layers.
``tests/peers`` compares the spikes of every preset with the framework's.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import lambertw

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.ir.nir.graph.graph import Graph
from neuroattack.ir.nir.graph.nodes import Neurons
from neuroattack.ir.nir.settings.reading import (
    Arrival,
    Discrete,
    InputOrder,
    Integration,
    Reading,
    decay_of,
    tau_of_decay,
)
from neuroattack.ir.nir.settings.restoring import betas, restored
from neuroattack.ir.population import Comparison, Reset

__all__ = ["PRESETS", "Preset", "preset_of"]

_ROUNDING = 1e-5

Values = NDArray[np.float64]


class Preset(abc.ABC):
    """Conventions of one framework and of its exporter to NIR.

    Attributes
    ----------
    name : str
        Name of the framework, as users give it.
    integration, arrival, reset, comparison, input_order
        Values of the settings of :class:`~neuroattack.ir.nir.reading.Reading`. `reset` is the
        framework's default where the file does not contain it.
    dt_s : float
        Length of a time step in seconds: the framework's default, or, for frameworks that only
        count steps, a conventional one.
    note : str
        What a file may lack without a sign of it, or nothing.
    """

    name: ClassVar[str]
    integration: ClassVar[Integration]
    arrival: ClassVar[Arrival] = "same-step"
    reset: ClassVar[Reset]
    comparison: ClassVar[Comparison]
    input_order: ClassVar[InputOrder] = "before"
    dt_s: ClassVar[float] = 1e-3
    kinds: ClassVar[tuple[str, ...]]
    note: ClassVar[str] = ""

    def file_dt_s(self, graph: Graph) -> float | None:
        """Return the time step that the file contains, or None."""
        del graph
        return None

    @abc.abstractmethod
    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return the unit of the times in the file, in seconds."""

    def refractory_steps(self, node: Neurons, reset: Reset, recurrent: bool) -> int:
        """Return the refractory period of neurons, which may be part of a loop."""
        del node, reset, recurrent
        return 0

    def rest(self, node: Neurons) -> Values:
        """Return the potential at which neurons start."""
        return node.v_leak

    def check(self, graph: Graph, reading: Reading) -> None:
        """Raise ValidationError if the exporter cannot have written the file."""
        for node in _neurons(graph):
            if node.kind not in self.kinds:
                raise self._contradiction(node, "type", node.kind, " or ".join(self.kinds))
            # Ratios that are not finite are no expected ones.
            with np.errstate(all="ignore"):
                self._check_node(node, reading.dt)

    @abc.abstractmethod
    def _check_node(self, node: Neurons, dt: float) -> None:
        """Raise ValidationError if the exporter cannot have written the node."""

    @abc.abstractmethod
    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return the update of neurons in a time step, as the framework computes it."""

    def _contradiction(
        self, node: Neurons, field: str, got: object, expected: str
    ) -> ValidationError:
        return ValidationError(
            f"{node.words} {field}", got, f"{expected}, as written by the exporter of {self.name}"
        )

    def _check_close(
        self, node: Neurons, field: str, values: Values, expected: Values | float
    ) -> None:
        """Check a combination of a node's numbers, described by `field`."""
        wrong = ~np.isclose(values, expected, rtol=_ROUNDING, atol=0)
        if wrong.any():
            shown = np.broadcast_to(expected, wrong.shape)[wrong].flat[0]
            raise self._contradiction(
                node,
                field,
                f"{np.broadcast_to(values, wrong.shape)[wrong].flat[0]:g}",
                f"{shown:g}",
            )


def _neurons(graph: Graph) -> Iterable[Neurons]:
    return (node for node in graph.nodes.values() if isinstance(node, Neurons))


def _ones() -> Values:
    return np.ones(())


class SnnTorch(Preset):
    """snnTorch: ``mem = beta mem + input``, with tau = 1e-4 / (1 - beta) and r = tau / 1e-4."""

    name = "snntorch"
    integration = "euler"
    reset = "subtract_next"
    comparison = "strict"
    kinds = ("LIF", "CubaLIF")

    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return the unit with which the exporter's step of 1e-4 is the time step."""
        del graph
        return dt_s / 1e-4

    def refractory_steps(self, node: Neurons, reset: Reset, recurrent: bool) -> int:
        """Return 1 for layers whose reset to zero discards the input of the next step."""
        return int(reset == "value" and (recurrent or node.has_current))

    def _check_node(self, node: Neurons, dt: float) -> None:
        if node.v_leak.any():
            raise self._contradiction(node, "v_leak", f"{node.v_leak.max():g}", "0")
        finite = np.isfinite(node.tau) & np.isfinite(node.r)
        self._check_close(
            node,
            "r * dt / tau",
            np.where(finite, node.r, 1) * dt / np.where(finite, node.tau, dt),
            1.0,
        )
        if node.has_current:
            self._check_close(node, "w_in * dt / tau_syn", node.w_in * dt / node.tau_syn, 1.0)

    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return decays beta and alpha, and gains of 1."""
        tau_m_s = tau_of_decay(betas(node.tau, reading.dt), reading.dt_s)
        if not node.has_current:
            return Discrete(tau_m_s, _ones(), _ones())
        tau_syn_s = tau_of_decay(betas(node.tau_syn, reading.dt), reading.dt_s)
        return Discrete(tau_m_s, _ones(), _ones(), tau_syn_s)


class Norse(Preset):
    """Norse: ``v += dt tau_mem_inv (v_leak - v + i)``, with tau = dt / tau_mem_inv and r = 1."""

    name = "norse"
    integration = "euler"
    reset = "value"
    comparison = "strict"
    kinds = ("LIF", "CubaLIF", "LI", "CubaLI", "IF")

    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return the unit that undoes the exporter's product of times and time step."""
        del graph
        return 1 / dt_s

    def _check_node(self, node: Neurons, dt: float) -> None:
        self._check_close(node, "r", node.r, 1.0)
        self._check_close(node, "w_in", node.w_in, 1.0)
        synapses = [("tau_syn", node.tau_syn)] if node.has_current else []
        for field, tau in [("tau", node.tau), *synapses]:
            if tau.min() < dt * (1 - _ROUNDING):
                raise self._contradiction(node, field, f"{tau.min():g}", f"at least {dt:g}")

    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return Euler's method for the potential, and a gain of 1 into the current."""
        if not node.leaky:
            return Discrete(np.array(np.inf), _ones(), _ones())
        gain = _rates(node.tau, reading)
        tau_m_s = tau_of_decay(1 - gain, reading.dt_s)
        if not node.has_current:
            return Discrete(tau_m_s, gain, gain)
        tau_syn_s = tau_of_decay(1 - _rates(node.tau_syn, reading), reading.dt_s)
        return Discrete(tau_m_s, gain, gain, tau_syn_s)


class SpikingJelly(Preset):
    """SpikingJelly: ``v += (x - (v - v_reset)) / tau``, with tau in units of the exporter's dt."""

    name = "spikingjelly"
    integration = "euler"
    reset = "value"
    comparison = "inclusive"
    kinds = ("IF", "LIF", "CubaLIF")

    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return the unit for the exporter's dt: 1e-4, unless a resistance contains another."""
        for node in _neurons(graph):
            r = float(node.r.flat[0]) if node.r.size else 0.0
            # Leaky neurons whose input decays too have a resistance of 1.
            if r > 0 and not (node.kind == "LIF" and np.isclose(r, 1, rtol=_ROUNDING)):
                dt = 1 / r if node.kind == "IF" else float(node.tau.flat[0]) / r
                if dt > 0 and np.isfinite(dt):
                    return dt_s / float(f"{dt:.12g}")
        return dt_s / 1e-4

    def rest(self, node: Neurons) -> Values:
        """Return the reset potential, at which neurons start, or 0 for CUBALIFNode."""
        return node.v_leak if node.kind == "CubaLIF" else node.v_reset

    def _check_node(self, node: Neurons, dt: float) -> None:
        if node.kind == "IF":
            self._check_close(node, "r * dt", node.r * dt, 1.0)
            return
        synapses = [("tau_syn", node.tau_syn)] if node.has_current else []
        for field, tau in [("tau", node.tau), *synapses]:
            if not dt * (1 - _ROUNDING) <= tau.min() <= tau.max() < np.inf:
                shown = f"{tau.min():g} to {tau.max():g}"
                raise self._contradiction(node, field, shown, f"finite numbers of at least {dt:g}")
        rest = node.v_reset if node.kind == "LIF" else np.zeros(())
        self._check_close(node, "v_leak", node.v_leak, rest)
        if node.kind == "CubaLIF":
            self._check_close(node, "r * dt / tau", node.r * dt / node.tau, 1.0)
            self._check_close(node, "w_in * dt / tau_syn", node.w_in * dt / node.tau_syn, 1.0)
            if node.v_reset.any():
                raise UnsupportedFeatureError(
                    f"{node.words} starts at its reset potential, {node.v_reset.flat[0]:g}, which "
                    "is not its rest; expected a reset potential of 0"
                )
        elif not np.isclose(node.r, 1, rtol=_ROUNDING).all():
            self._check_close(node, "r * dt / tau", node.r * dt / node.tau, 1.0)

    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return Euler's method, with a gain of 1 unless the input decays too."""
        if not node.leaky:
            return Discrete(np.array(np.inf), _ones(), _ones())
        dt = reading.dt
        if node.has_current:
            tau_m_s = tau_of_decay(betas(node.tau, dt), reading.dt_s)
            return Discrete(
                tau_m_s, _ones(), _ones(), tau_of_decay(betas(node.tau_syn, dt), reading.dt_s)
            )
        steps = restored(node.tau, node.tau / dt, lambda tau: tau * dt)
        tau_m_s = tau_of_decay(1 - 1 / steps, reading.dt_s)
        decays_input = bool(np.isclose(node.r, 1, rtol=_ROUNDING).all())
        gain = 1 / steps if decays_input else _ones()
        return Discrete(tau_m_s, gain, gain)


class Sinabs(Preset):
    """Sinabs: ``v = alpha v + (1 - alpha) input`` with alpha = exp(-1 / tau), tau in steps.

    The file contains neither `norm_input`, without which the gain is 1 (integration
    ``unit-gain``), nor the number of spikes per step: the default, several, has no counterpart.
    """

    name = "sinabs"
    integration = "hold"
    reset = "subtract"
    comparison = "inclusive"
    kinds = ("IF", "LIF", "LI")
    note = (
        "sinabs: the file does not tell how many spikes a neuron fires per step; exact for one "
        "(spike_fn=SingleSpike), not for several (MultiSpike, the default of sinabs)"
    )

    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return one step."""
        del graph
        return dt_s

    def _check_node(self, node: Neurons, dt: float) -> None:
        self._check_close(node, "r", node.r, 1.0)
        if node.tau.min() < 0.02 * dt:
            raise self._contradiction(node, "tau", f"{node.tau.min():g}", "a number of time steps")

    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return the exact decay, and the gain 1 - decay for LIF, otherwise 1."""
        if not node.leaky:
            return Discrete(np.array(np.inf), _ones(), _ones())
        decay = decay_of(node.tau, reading.dt)
        gain = 1 - decay if node.kind == "LIF" else _ones()
        return Discrete(tau_of_decay(decay, reading.dt_s), gain, gain)


class Rockpool(Preset):
    """Rockpool: exact decays of potential and current, which input enters before it decays."""

    name = "rockpool"
    integration = "unit-gain"
    reset = "subtract"
    comparison = "inclusive"
    kinds = ("LIF", "CubaLIF")
    note = (
        "rockpool: the file contains neither the number of spikes per step nor recurrent weights "
        "and biases of neurons; exact for one spike (max_spikes_per_dt=1) and without those"
    )

    def file_dt_s(self, graph: Graph) -> float | None:
        """Return the time step, which follows from r = tau exp(-dt/tau) / dt."""
        for node in _neurons(graph):
            if node.leaky and node.r.min() > 0:
                ratio = float(lambertw(1 / node.r.flat[0]).real)
                return float(f"{ratio * node.tau.flat[0]:.6g}")
        return None

    def time_unit_s(self, graph: Graph, dt_s: float) -> float:
        """Return a second."""
        del graph, dt_s
        return 1.0

    def _check_node(self, node: Neurons, dt: float) -> None:
        if node.tau.min() <= 0:
            raise ValidationError(f"{node.words} tau", f"{node.tau.min():g}", "positive numbers")
        self._check_close(node, "r * dt / tau", node.r * dt / node.tau, decay_of(node.tau, dt))

    def discretize(self, node: Neurons, reading: Reading) -> Discrete:
        """Return exact decays, gains of 1, and that of the current's decay into the current."""
        tau_m_s = tau_of_decay(decay_of(node.tau, reading.dt), reading.dt_s)
        if not node.has_current:
            return Discrete(tau_m_s, _ones(), _ones())
        decay = decay_of(node.tau_syn, reading.dt)
        return Discrete(tau_m_s, _ones(), _ones(), tau_of_decay(decay, reading.dt_s), decay, decay)


PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (SnnTorch(), Norse(), SpikingJelly(), Sinabs(), Rockpool())
}
"""Presets by the name of the framework."""


def preset_of(exporter: str) -> Preset:
    """Return the preset of a framework.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    UnsupportedFeatureError
        For lava-dl, which does not export to NIR.
    """
    if exporter == "lava-dl":
        raise UnsupportedFeatureError(
            "lava-dl has no NIR exporter, and thus no preset: give the settings one by one"
        )
    if exporter not in PRESETS:
        raise UnknownNameError("exporter", exporter, PRESETS)
    return PRESETS[exporter]


def _rates(tau: Values, reading: Reading) -> Values:
    """Return dt * tau_inv for which Norse wrote tau = dt / tau_inv, in single precision."""
    step = np.float32(1 / reading.time_unit_s)
    inverse = restored(
        tau,
        1 / (tau * reading.time_unit_s),
        lambda rate: step / rate,
        np.float32,
    )
    return inverse * reading.dt_s
