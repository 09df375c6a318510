"""Program that compiles a network to an executable, run in a separate process.

Brian2's standalone mode uses a device that is global to the process and would affect other uses of
Brian2 in it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count

from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.storage import load_network

from ..direct import is_direct
from ..importing import import_brian2
from ..model import CLOCK, build_model, make_clock
from ..timing import Timing
from .builds import EXECUTABLE, Build, write_manifest
from .packing import BITS, END_OF_RUN, LAST_STEP, PACKED_INPUT, packed_shape

__all__ = ["main"]

# No fused multiply-add and no fast-math: v * decay + input is rounded twice, as in the reference
# dynamics, and small potentials are not flushed to zero.
_FLAGS = ("-O2", "-ffp-contract=off", "-std=c++11", "-w")

_READS_INPUT = f"int({PACKED_INPUT}(t_in_timesteps * second, word) * place) % 2 == 1"

# Ends the run after this step, by changing its interval; Brian2's stop function is newer than 2.8.
_STOP_AFTER = f"""
double stop_after(const int64_t step, const int last_step)
{{
    if (step >= last_step)
    {{
        const double dt = brian::{CLOCK}.dt[0];
        brian::{CLOCK}.set_interval(step * dt, (step + 1) * dt);
    }}
    return 0;
}}
"""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Build the network in a folder: ``compiling FOLDER STEPS IMAGES PARENT``.

    Reads ``network.h5`` in the folder and writes ``build``, with an executable for up to IMAGES
    images of STEPS steps.
    """
    folder, steps, images = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _end_with_parent(int(sys.argv[4]))
    network = load_network(folder / "network.h5")
    timing = Timing.of(network, steps)
    project, finished = folder / "project", folder / "build"
    spikes, potentials = _write_project(network, timing, images, project)
    _compile_project(project)
    finished.mkdir()
    for part in (EXECUTABLE, "static_arrays"):
        (project / part).rename(finished / part)
    write_manifest(Build(finished, timing, images, spikes, potentials))


def _end_with_parent(parent: int) -> None:
    """Kill this process and the compilers that it starts when the parent process ends."""

    def end_group(number: int, frame: Any) -> None:
        del number, frame
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end_group)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        end_group(0, None)


def _write_project(
    network: Network, timing: Timing, images: int, folder: Path
) -> tuple[dict[str, Sequence[str]], str]:
    """Write a C++ project; return the files of spikes and of potentials that its program writes."""
    brian2 = import_brian2()
    # Override preferences from the user's preference file.
    brian2.prefs["core.default_float_dtype"] = np.float64
    brian2.prefs["codegen.cpp.headers"] = ["<csignal>", "<sys/prctl.h>"]
    brian2.prefs["devices.cpp_standalone.openmp_threads"] = 0
    # Brian2 drops flags that it cannot test, so they are passed to make instead.
    brian2.prefs["codegen.cpp.extra_compile_args"] = []
    brian2.set_device("cpp_standalone", build_on_run=False)
    clock = make_clock(brian2, network)
    source = None if is_direct(network) else _input(brian2, network, timing, images, clock)
    model = build_model(brian2, network, timing, clock, source, images)
    model.network.add(_end(brian2, clock))
    # The executable must end if its parent is killed.
    brian2.device.insert_code("before_start", "prctl(PR_SET_PDEATHSIG, SIGKILL);")
    brian2.device.apply_run_args()
    model.network.run(images * timing.period * network.dt_s * brian2.second, namespace={})
    brian2.device.build(directory=str(folder), compile=False, run=False)
    spikes: dict[str, Sequence[str]] = {
        name: [
            brian2.device.get_array_filename(monitor.variables[variable])
            for variable in ("i", "t", "count")
        ]
        for name, monitor in model.spikes.items()
    }
    if model.potentials is None:
        return spikes, ""
    return spikes, brian2.device.get_array_filename(model.potentials.variables["v"])


def _input(brian2: Any, network: Network, timing: Timing, images: int, clock: Any) -> Any:
    """Return the input population, which reads its spikes from an array of packed bits."""
    size = network.input.size
    rows, words = packed_shape(timing, images, size)
    # One row per second, indexed by the number of the step, because times are not exact.
    packed = brian2.TimedArray(np.zeros((rows, words)), dt=1 * brian2.second, name=PACKED_INPUT)
    group = brian2.NeuronGroup(
        size,
        "word : integer (constant)\nplace : 1 (constant)\n",
        threshold=_READS_INPUT,
        reset="",
        namespace={PACKED_INPUT: packed},
        clock=clock,
        name=f"population_{INPUT}",
    )
    group.word = np.arange(size) // BITS
    group.place = 0.5 ** (np.arange(size) % BITS)
    return group


def _end(brian2: Any, clock: Any) -> Any:
    """Return a group that ends a run of fewer images after its last step."""
    stop_after = brian2.implementation("cpp", _STOP_AFTER)(
        brian2.check_units(step=1, last_step=1, result=1)(_never_called)
    )
    group = brian2.NeuronGroup(
        1,
        f"{LAST_STEP} : integer (shared)\nstopped : 1 (shared)",
        namespace={"stop_after": stop_after},
        clock=clock,
        name=END_OF_RUN,
    )
    group.run_regularly(f"stopped = stop_after(t_in_timesteps, {LAST_STEP})", when="end")
    return group


def _never_called(step: int, last_step: int) -> float:
    """Serve as the Python placeholder of the C++ function; Brian2 inspects its arguments."""
    raise NotImplementedError


def _compile_project(folder: Path) -> None:
    """Run make; raise SystemExit with the first error of the compiler."""
    # Skip the computation of dependencies: every source is compiled only once.
    (folder / "make.deps").touch()
    made = subprocess.run(  # noqa: S603  # make, on files of our own
        ["make", f"-j{cpu_count()}", f"OPTIMISATIONS={' '.join(_FLAGS)}"],  # noqa: S607  # from the path
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if made.returncode:
        lines = made.stderr.strip().splitlines() or [f"make ended with code {made.returncode}"]
        raise SystemExit(next((line for line in lines if "error" in line.lower()), lines[-1]))


if __name__ == "__main__":
    main()
