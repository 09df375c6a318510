"""Brian2 compiled: the executable of a network is built once and run for each query."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Recording, Workload
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from .builds import EXECUTABLE, Build, build
from .folders import scratch_folder
from .packing import LAST_STEP, PACKED_INPUT, pack, packed_shape
from .processes import run_in_group
from .simulator import BatchSimulator

__all__ = ["StandaloneSimulator"]

# A deadline is for what hangs, so it is generous: a start on a busy machine, and every synapse
# and neuron active at every step at a tenth of the usual speed.
_START_S = 30.0
_SYNAPSE_S = 5e-8
_NEURON_S = 1e-6


class StandaloneSimulator(BatchSimulator):
    """A network compiled with Brian2.

    Where the workload says how many steps an image is shown for, it is built at once, else with
    the first images. Raises UnsupportedFeatureError if Brian2 cannot hold the network exactly, and
    BackendUnavailableError if it cannot be built.
    """

    def __init__(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> None:
        super().__init__(network)
        self._builds: dict[int, Build] = {}
        if workload.steps:
            self._build(workload.steps)

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        try:
            return super().run(inputs, record_spikes=record_spikes)
        except (OSError, SimulationError) as error:
            # The next run looks whether the build is sound, and builds anew if it is not.
            self._builds.pop(inputs.steps, None)
            if isinstance(error, OSError):
                raise SimulationError(
                    f"the network built with Brian2 did not run: {error.strerror or error}"
                ) from error
            raise

    def close(self) -> None:
        """Give nothing back: builds are kept for the next time."""

    def _build(self, steps: int) -> Build:
        if steps not in self._builds:
            self._builds[steps] = build(self._network, steps)
        return self._builds[steps]

    def _run_part(self, inputs: SpikeTrains) -> dict[str, SpikeTrains]:
        built = self._build(inputs.steps)
        run_steps = inputs.images * built.timing.period
        with scratch_folder() as scratch:
            packed = scratch / "input"
            with packed.open("wb") as file:
                file.write(pack(inputs, built.timing).tobytes())
                # The executable takes the size it was built for only; a hole is zeros.
                rows, words = packed_shape(built.timing, built.images, inputs.size)
                file.truncate(8 * rows * words)
            results = scratch / "results"
            results.mkdir()
            ended = run_in_group(
                [
                    built.folder / EXECUTABLE,
                    "--results_dir",
                    f"{results}/",
                    f"{PACKED_INPUT}.values={packed}",
                    f"population_{INPUT}.{LAST_STEP}={run_steps - 1}",
                ],
                folder=built.folder,
                log=scratch / "log.txt",
                deadline_s=self._deadline_s(run_steps),
            )
            problem = ended.problem()
            if problem:
                raise SimulationError(f"the network built with Brian2 failed: {problem}")
            return {name: self._read(results, name, built, inputs.images) for name in built.spikes}

    def _read(self, results: Path, name: str, built: Build, images: int) -> SpikeTrains:
        """Return the spikes of a population; SimulationError if any is missing."""
        size = self._network.population(name).size
        indices, times, spikes = (results / file for file in built.spikes[name])
        neurons = np.fromfile(indices, np.int32)
        times_s = np.fromfile(times, np.float64)
        counts = np.fromfile(spikes, np.int32)
        # The executable does not notice a full disk.
        if counts.size != size or not neurons.size == times_s.size == counts.sum():
            raise SimulationError(
                "the network built with Brian2 could not write all of its results: is the disk "
                "full?"
            )
        run_steps = np.rint(times_s / self._network.dt_s).astype(np.int64)
        return built.timing.split(run_steps, neurons, images, size)

    def _deadline_s(self, run_steps: int) -> float:
        synapses = sum(int(p.fan_out().sum()) for p in self._network.projections)
        neurons = self._network.input.size + sum(p.size for p in self._network.populations)
        return _START_S + run_steps * (synapses * _SYNAPSE_S + neurons * _NEURON_S)
