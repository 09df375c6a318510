"""Populations of all neuron models in the native backend, with any incoming projections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, AnyProjection, FixedPopulation, Network, Population
from neuroattack.ir.values import is_uniform

from .events import Events, merge
from .general_kernels import RESETS, advance_fixed, advance_floating
from .incoming import VECTOR, Incoming, Order
from .vectors import EIGHT, aligned

__all__ = ["GeneralLayer", "Run"]


@dataclass
class Run:
    """State and results of a population for a batch of images."""

    spikes: SpikeTrains
    counts: NDArray[np.int32]
    room: int
    state: tuple[NDArray[Any], ...]
    values: NDArray[np.int32]
    potentials: NDArray[np.float64]


class GeneralLayer:
    """Population with all projections into it.

    Parameters
    ----------
    network : Network
        Network of the population.
    population : Population or FixedPopulation
        Population.
    orders : mapping of str to Order
        Orders in which the neurons of all populations are simulated.
    """

    def __init__(
        self,
        network: Network,
        population: Population | FixedPopulation,
        orders: Mapping[str, Order],
    ) -> None:
        self.population = population
        self.order = orders[population.name]
        constant: list[AnyProjection] = []
        spiking: list[AnyProjection] = []
        encoder = network.input.encoder
        for projection in network.incoming(population.name):
            is_constant = projection.source == INPUT and isinstance(encoder, DirectEncoder)
            (constant if is_constant else spiking).append(projection)
        self.sources = [projection.source for projection in spiking]
        self.delays = [projection.delay_steps for projection in spiking]
        self._fixed = isinstance(population, FixedPopulation)
        self._incoming = Incoming.of(spiking, orders, wraps=self._fixed)
        self._constants: tuple[Any, ...] = ()
        self._quantity = "spike_count"
        if network.readout == population.name:
            self._quantity = network.readout_quantity
        if isinstance(population, FixedPopulation):
            self._parameters = self._fixed_parameters(population)
        else:
            bits = encoder.bits if isinstance(encoder, DirectEncoder) else 0
            self._constants = self._constant_wiring(constant, orders, bits)
            self._parameters = self._floating_parameters(population, network.dt_s)

    def _ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        # A copy, because code for read-only arrays would be compiled separately.
        return values.copy() if self.order is None else values[self.order]

    @staticmethod
    def _constant_wiring(
        projections: list[AnyProjection], orders: Mapping[str, Order], bits: int
    ) -> tuple[Any, ...]:
        # Every projection has its own unit: its products with the values are added in volts.
        aligned = [projection.with_grid(projection.grid, 0) for projection in projections]
        incoming = Incoming.of(aligned, orders, wraps=True)
        return (
            _wiring(incoming),
            incoming.first_rows,
            np.array([projection.delay_steps for projection in projections], np.int64),
            np.array([math.ldexp(1.0, p.exponent - bits) for p in projections], np.float64),
        )

    def _floating_parameters(self, population: Population, dt_s: float) -> tuple[Any, ...]:
        decay, threshold = population.decay(dt_s), population.strict_threshold_v
        uniform = (
            not population.has_current
            and not population.refractory_steps.any()
            and threshold[0] >= 0
            and all(map(is_uniform, (decay, threshold, population.reset_v)))
        )
        return (
            uniform,
            population.has_current,
            population.input_after_update,
            RESETS[population.reset],
            *map(
                self._ordered,
                (
                    decay,
                    threshold,
                    population.reset_v,
                    population.bias_v,
                    population.refractory_steps,
                    population.current_decay(dt_s),
                    population.current_bias_v,
                ),
            ),
        )

    def _fixed_parameters(self, population: FixedPopulation) -> tuple[Any, ...]:
        return (
            population.leak,
            population.current_leak,
            self._ordered(population.threshold),
            self._ordered(population.bias),
            population.refractory_steps,
            population.lowest,
            population.highest,
        )

    def start(
        self, images: int, steps: int, constant: ConstantInput | None, *, stepwise: bool
    ) -> Run:
        """Return the state before the first step.

        Parameters
        ----------
        images, steps : int
            Numbers of images and of steps per image.
        constant : ConstantInput or None
            Input of the network, if it does not spike.
        stepwise : bool
            Whether the steps are simulated one by one, or all at once.
        """
        size = self.population.size
        # The compiled loops write up to eight entries past the end.
        room = self.population.most_spikes(steps) + EIGHT
        spikes = SpikeTrains(
            size,
            np.zeros((images, steps + 1), np.int64),
            np.empty(images * room, np.int32),
        )
        rows = images if stepwise else 1
        number: Any = np.int64 if self._fixed else np.float64
        # Weights are added in blocks, which may end behind the last neuron.
        padded = -(-size // VECTOR) * VECTOR
        constants = [] if self._fixed else [np.zeros((rows, padded))]
        numbers = [np.zeros((rows, size), number) for _ in range(2)]
        # The compiled loops test the spikes of eight neurons at once.
        fired = np.zeros((rows, -(-size // 8) * 8), np.uint8)
        current = aligned(np.zeros(padded, self._incoming.weights.dtype))
        state = *constants, *numbers, np.zeros((rows, size), np.int64), fired, current
        reads = images if self._quantity != "spike_count" else 0
        values = np.empty((0, 0), np.int32) if constant is None else constant.values.copy()
        return Run(
            spikes,
            np.zeros((images, size), np.int32),
            room if stepwise else 0,
            state,
            values,
            np.zeros((reads, size), np.float64),
        )

    def advance(self, run: Run, first_step: int, steps: int, given: list[Events]) -> None:
        """Simulate steps.

        Parameters
        ----------
        run : Run
            State and results, which are updated.
        first_step, steps : int
            Number of the first step, and number of steps.
        given : list of Events
            Events that arrive from each source, in these steps.
        """
        incoming = self._incoming
        shape = len(run.spikes.offsets), steps
        events = merge(given, incoming.first_rows.tolist(), shape)
        spikes = run.spikes.offsets, run.spikes.neurons, run.counts
        if self._fixed:
            # Weights with an exponent of 24 or more wrap to 0.
            unit = 2**incoming.exponent if incoming.exponent < 24 else 0
            advance_fixed(
                first_step,
                events,
                _wiring(incoming),
                np.int32(unit),
                self._parameters,
                run.state,
                run.room,
                spikes,
            )
            return
        advance_floating(
            first_step,
            events,
            _wiring(incoming),
            2.0**incoming.exponent,
            run.values,
            self._constants,
            self._parameters,
            run.state,
            run.room,
            spikes,
            run.potentials,
            self._quantity == "max_potential",
        )


def _wiring(incoming: Incoming) -> tuple[Any, ...]:
    return incoming.weights, incoming.rows, incoming.shapes, incoming.blocks
