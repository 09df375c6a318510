"""NEST kernel in the worker, with one network: built once, then used for all queries.

The time of NEST is in time steps (resolution 1 ms). The update of ``iaf_psc_delta`` is
``V <- P33 * V + (sum of weights)`` with ``P33 = exp(-1 / tau_m)``: its products and sums are those
of :mod:`neuroattack.ir.dynamics`. A neuron that spikes in time step k has the spike time k + 1
after the beginning of the image. Images follow each other in one simulation, with gaps in which
spikes on their way arrive and refractory periods end; potentials are then set to 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT

from ..workers.serving import ServedError
from .plan import NestPlan, PopulationPlan, ProjectionPlan, Query, Response

__all__ = ["Kernel", "time_constant"]

# Time constants without decay, and without memory.
_ENDLESS, _NONE = 1e300, 1e-4
_NEIGHBORS = 16


def time_constant(decay: float) -> float:
    """Return a time constant tau in time steps with ``exp(-1 / tau) == decay``.

    Raises
    ------
    ServedError
        If there is none near the real one.
    """
    if decay == 1:
        return _ENDLESS
    if decay == 0:
        return _NONE
    below = above = -1 / math.log(decay)
    for _ in range(_NEIGHBORS):
        for tau in (below, above):
            if math.exp(-1 / tau) == decay:
                return tau
        below, above = math.nextafter(below, 0), math.nextafter(above, math.inf)
    raise ServedError(f"no time constant has the decay factor {decay!r} per time step")


class Kernel:
    """Network in NEST, built from a plan."""

    def __init__(self, plan: NestPlan) -> None:
        import nest

        self._nest: Any = nest
        self._plan = plan
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.ResetKernel()
        nest.set(resolution=1.0, local_num_threads=1)
        self._input = nest.Create("spike_generator", plan.input_size)
        sizes = [population.size for population in plan.populations]
        ends = np.cumsum(sizes)
        self._neurons = nest.Create("iaf_psc_delta", int(ends[-1]))
        self._slices = {
            population.name: slice(int(end) - population.size, int(end))
            for population, end in zip(plan.populations, ends, strict=True)
        }
        self._first = int(self._neurons[0].global_id)
        self._thresholds = np.concatenate([each.threshold_v for each in plan.populations])
        self._lags = np.concatenate([np.full(each.size, each.lag) for each in plan.populations])
        self._set_parameters()
        for projection in plan.projections:
            self._connect(projection)
        self._biases = [
            (population, self._bias_of(population))
            for population in plan.populations
            if population.bias_v.any()
        ]
        self._recorder = nest.Create("spike_recorder")
        nest.Connect(self._neurons, self._recorder)
        self._check_decay()

    def query(self, query: Query, abandon: Any) -> Response:
        """Simulate a batch; NEST cannot be interrupted, so `abandon` is not used."""
        del abandon
        inputs, plan = query.inputs, self._plan
        images, steps = inputs.images, inputs.steps
        last_lag = int(self._lags.max())
        period = plan.gap_steps + steps + last_lag
        starts = self._now() + plan.gap_steps + period * np.arange(images)
        self._schedule(inputs, starts)
        self._recorder.n_events = 0
        for start in starts.tolist():
            if plan.silenced:
                self._neurons.V_th = math.inf
            self._run_until(start)
            self._neurons.V_m = 0.0
            if plan.silenced:
                self._restore_thresholds(start)
            self._run_until(start + steps + last_lag)
        return self._response(query, starts, period)

    def _set_parameters(self) -> None:
        populations = self._plan.populations
        decay = np.concatenate([each.decay for each in populations])
        self._decay = decay
        refractory = np.concatenate([each.refractory_steps for each in populations])
        time_constants = {value: time_constant(value) for value in np.unique(decay).tolist()}
        # One after the other, because NEST checks thresholds against resets at once.
        self._neurons.set({"E_L": 0.0, "V_m": 0.0, "C_m": 1.0, "I_e": 0.0, "V_th": math.inf})
        self._neurons.V_reset = np.concatenate([each.reset_v for each in populations]).tolist()
        self._neurons.V_th = self._thresholds.tolist()
        self._neurons.t_ref = refractory.astype(float).tolist()
        self._neurons.tau_m = [time_constants[value] for value in decay.tolist()]

    def _nodes(self, name: str) -> NDArray[np.int64]:
        """Return the identifiers of a population's neurons, or those of the input."""
        if name == INPUT:
            first, size = int(self._input[0].global_id), self._plan.input_size
        else:
            own = self._slices[name]
            first, size = self._first + own.start, own.stop - own.start
        return first + np.arange(size)

    def _connect(self, projection: ProjectionPlan) -> None:
        synapses = len(projection.weights_v)
        self._nest.Connect(
            self._nodes(projection.source)[projection.sources],
            self._nodes(projection.target)[projection.targets],
            "one_to_one",
            {
                "synapse_model": "static_synapse",
                "weight": projection.weights_v,
                "delay": np.full(synapses, float(projection.delay_steps)),
            },
        )

    def _bias_of(self, population: PopulationPlan) -> Any:
        """Return a generator of which each spike adds the bias to a population."""
        generator = self._nest.Create("spike_generator")
        biased = np.flatnonzero(population.bias_v)
        self._nest.Connect(
            np.full(len(biased), int(generator[0].global_id)),
            self._nodes(population.name)[biased],
            "one_to_one",
            {
                "synapse_model": "static_synapse",
                "weight": population.bias_v[biased],
                "delay": np.ones(len(biased)),
            },
        )
        return generator

    def _check_decay(self) -> None:
        """Compare a step of NEST with one multiplication, on this machine."""
        self._neurons.set({"V_th": math.inf, "V_m": 1.0})
        self._nest.Simulate(1.0)
        # A number instead of a list if there is one neuron.
        found = np.atleast_1d(np.array(self._neurons.V_m, dtype=np.float64))
        if not np.array_equal(found, self._decay):
            raise ServedError("the potentials of NEST decay by other factors than the reference")
        self._neurons.V_m = 0.0
        self._neurons.V_th = self._thresholds.tolist()

    def _now(self) -> int:
        return round(float(self._nest.biological_time))

    def _run_until(self, time: int) -> None:
        if (left := time - self._now()) > 0:
            self._nest.Simulate(float(left))

    def _restore_thresholds(self, start: int) -> None:
        """Restore the thresholds of each population at the beginning of its first step."""
        for lag in np.unique(self._lags).tolist():
            self._run_until(start + lag)
            for own in self._slices.values():
                if self._lags[own.start] == lag:
                    self._neurons[own].V_th = self._thresholds[own].tolist()

    def _schedule(self, inputs: SpikeTrains, starts: NDArray[np.int64]) -> None:
        """Set the spike times of all images of a batch."""
        image, step, neuron = inputs.events()
        times = (starts[image] + step + 1).astype(np.float64)
        order = np.lexsort((times, neuron))
        ends = np.cumsum(np.bincount(neuron, minlength=inputs.size))[:-1]
        parts = np.split(times[order], ends)
        self._input.set([{"spike_times": part} for part in parts])
        every = (starts[:, None] + np.arange(inputs.steps)).ravel().astype(np.float64)
        for population, generator in self._biases:
            generator.spike_times = every + population.lag

    def _response(self, query: Query, starts: NDArray[np.int64], period: int) -> Response:
        events = self._recorder.events
        sender = np.asarray(events["senders"], np.int64) - self._first
        since = np.rint(events["times"]).astype(np.int64) - starts[0] - 1 - self._lags[sender]
        image, step = np.divmod(since, period)
        images, steps = query.inputs.images, query.inputs.steps
        kept = (image >= 0) & (step < steps)
        counts, spikes = {}, {}
        for name, own in self._slices.items():
            mine = kept & (sender >= own.start) & (sender < own.stop)
            size = own.stop - own.start
            neuron = sender[mine] - own.start
            flat = np.bincount(image[mine] * size + neuron, minlength=images * size)
            counts[name] = flat.reshape(images, size).astype(np.int32)
            if query.record:
                spikes[name] = SpikeTrains.from_events(
                    image[mine], step[mine], neuron, (images, steps, size)
                )
        return Response(counts, spikes if query.record else None)
