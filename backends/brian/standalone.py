"""Brian2 compiled: the executable of a network is built once and run for each query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Recording, Workload, check_inputs
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from .builds import build
from .folders import scratch_folder
from .manifest import EXECUTABLE, Build, SpikeFiles
from .model import check_supported
from .packing import LAST_STEP, PACKED_INPUT, pack, packed_shape
from .processes import run_in_group
from .recording import empty_recording, make_recording

__all__ = ["StandaloneSimulator"]

# A deadline is for what hangs, so it is generous: a start on a busy machine, and every synapse
# and neuron active at every step at a tenth of the usual speed.
_START_S = 30.0
_SYNAPSE_S = 5e-8
_NEURON_S = 1e-6


class StandaloneSimulator:
    """A network compiled with Brian2.

    Parameters
    ----------
    network : Network
        What to run.
    workload : Workload, optional
        Where it says how many steps an image is shown for, the network is built at once, else
        with the first images.

    Raises
    ------
    UnsupportedFeatureError
        If Brian2 cannot hold the network exactly.
    BackendUnavailableError
        If it cannot be built.
    """

    def __init__(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> None:
        check_supported(network)
        self._network = network
        self._builds: dict[int, Build] = {}
        if workload.steps:
            self._build(workload.steps)

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if inputs.steps == 0:
            return empty_recording(self._network, inputs, record_spikes)
        built = self._build(inputs.steps)
        try:
            return Recording.concatenate(
                [
                    make_recording(
                        self._run_part(built, inputs[start : start + built.images]), record_spikes
                    )
                    for start in range(0, inputs.images, built.images)
                ]
            )
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

    def _run_part(self, built: Build, inputs: SpikeTrains) -> dict[str, SpikeTrains]:
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
            spikes = {INPUT: inputs}
            for name, files in built.spikes.items():
                size = self._network.population(name).size
                steps, neurons = self._read(results, files, size)
                spikes[name] = built.timing.split(steps, neurons, inputs.images, size)
            return spikes

    def _read(
        self, results: Path, files: SpikeFiles, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return step of the run and neuron of every spike; SimulationError if any is missing."""
        neurons = np.fromfile(results / files.neurons, np.int32)
        times_s = np.fromfile(results / files.times, np.float64)
        counts = np.fromfile(results / files.counts, np.int32)
        # The executable does not notice a full disk.
        if counts.size != size or not neurons.size == times_s.size == counts.sum():
            raise SimulationError(
                "the network built with Brian2 could not write all of its results: is the disk "
                "full?"
            )
        return np.rint(times_s / self._network.dt_s).astype(np.int64), neurons

    def _deadline_s(self, run_steps: int) -> float:
        synapses = sum(int(p.fan_out().sum()) for p in self._network.projections)
        neurons = self._network.input.size + sum(p.size for p in self._network.populations)
        return _START_S + run_steps * (synapses * _SYNAPSE_S + neurons * _NEURON_S)
