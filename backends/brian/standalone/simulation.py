"""Brian2 in standalone mode: the executable of a network is built once and run for each query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Recording, Workload
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import Network

from ..direct import direct_inputs
from ..simulator import BatchSimulator, Recorded
from .builds import EXECUTABLE, Build, build
from .folders import scratch_folder
from .packing import END_OF_RUN, LAST_STEP, PACKED_INPUT, pack, packed_shape
from .processes import run_in_group

__all__ = ["StandaloneSimulator"]

# The deadline detects processes that hang and is generous: a slow start, and all synapses and
# neurons active in every step at a tenth of the usual speed.
_START_S = 30.0
_SYNAPSE_S = 5e-8
_NEURON_S = 1e-6

_INCOMPLETE = (
    "the network built with Brian2 could not write all of its results; check whether the disk is "
    "full"
)


class StandaloneSimulator(BatchSimulator):
    """Network compiled with Brian2.

    If the workload specifies the number of steps, the network is built immediately, otherwise with
    the first batch. Raises BackendUnavailableError if it cannot be built.
    """

    def __init__(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> None:
        super().__init__(network)
        self._builds: dict[int, Build] = {}
        if workload.steps:
            self._build(workload.steps)

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        try:
            return super().run(inputs, record_spikes=record_spikes)
        except (OSError, SimulationError) as error:
            # The next run checks the build, and builds the network again if it is damaged.
            self._builds.pop(inputs.steps, None)
            if isinstance(error, OSError):
                raise SimulationError(
                    f"the network built with Brian2 did not run: {error.strerror or error}"
                ) from error
            raise

    def close(self) -> None:
        """Do nothing: builds are stored for later use."""

    def _build(self, steps: int) -> Build:
        if steps not in self._builds:
            self._builds[steps] = build(self._network, steps)
        return self._builds[steps]

    def _run_part(self, inputs: InputSignal) -> Recorded:
        built = self._build(inputs.steps)
        run_steps = inputs.images * built.timing.period
        with scratch_folder() as scratch:
            arrays = self._write_inputs(scratch, inputs, built)
            results = scratch / "results"
            results.mkdir()
            ended = run_in_group(
                [
                    built.folder / EXECUTABLE,
                    "--results_dir",
                    f"{results}/",
                    *(f"{name}.values={path}" for name, path in arrays.items()),
                    f"{END_OF_RUN}.{LAST_STEP}={run_steps - 1}",
                ],
                folder=built.folder,
                log=scratch / "log.txt",
                deadline_s=self._deadline_s(run_steps),
            )
            problem = ended.problem()
            if problem:
                raise SimulationError(f"the network built with Brian2 failed: {problem}")
            spikes = {
                name: self._read(results, name, built, inputs.images) for name in built.spikes
            }
            if not built.potentials:
                return Recorded(spikes, None)
            return Recorded(spikes, self._read_potentials(results, built, inputs.images))

    def _write_inputs(self, scratch: Path, inputs: InputSignal, built: Build) -> dict[str, Path]:
        """Write the arrays of inputs in the size of the build; return their files by name."""
        if isinstance(inputs, ConstantInput):
            arrays = {
                each.name: (each.values(inputs), built.images * each.size)
                for each in direct_inputs(self._network, built.timing)
            }
        else:
            rows, words = packed_shape(built.timing, built.images, inputs.size)
            arrays = {PACKED_INPUT: (pack(inputs, built.timing), rows * words)}
        for name, (values, size) in arrays.items():
            with (scratch / name).open("wb") as file:
                file.write(values.tobytes())
                # The executable requires the size it was built for; the rest of the file is zero.
                file.truncate(8 * size)
        return {name: scratch / name for name in arrays}

    def _read_potentials(self, results: Path, built: Build, images: int) -> NDArray[np.float64]:
        """Return the potentials of the readout, shape (images, steps, classes)."""
        values = np.fromfile(results / built.potentials, np.float64)
        if values.size != images * built.timing.period * self._network.classes:
            raise SimulationError(_INCOMPLETE)
        run = values.reshape(-1, self._network.classes)
        return built.timing.window(self._network.readout, run, images)

    def _read(self, results: Path, name: str, built: Build, images: int) -> SpikeTrains:
        """Return the spikes of a population; raise SimulationError if results are incomplete."""
        size = self._network.population(name).size
        indices, times, spikes = (results / file for file in built.spikes[name])
        neurons = np.fromfile(indices, np.int32)
        times_s = np.fromfile(times, np.float64)
        counts = np.fromfile(spikes, np.int32)
        # The executable does not detect a full disk.
        if counts.size != size or not neurons.size == times_s.size == counts.sum():
            raise SimulationError(_INCOMPLETE)
        run_steps = np.rint(times_s / self._network.dt_s).astype(np.int64)
        return built.timing.split(name, run_steps, neurons, images, size)

    def _deadline_s(self, run_steps: int) -> float:
        synapses = sum(int(p.fan_out().sum()) for p in self._network.projections)
        neurons = self._network.input.size + sum(p.size for p in self._network.populations)
        return _START_S + run_steps * (synapses * _SYNAPSE_S + neurons * _NEURON_S)
