"""Networks compiled with Brian2, once per number of steps, and stored in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from neuroattack import __version__
from neuroattack.errors import BackendUnavailableError, NeuroattackError
from neuroattack.ir.network import Network

from ..importing import brian2_availability, brian2_version
from ..simulator import images_per_run
from ..timing import Timing
from .folders import builds_folder, locked, scratch_folder
from .processes import run_in_group

__all__ = ["EXECUTABLE", "Build", "build", "find_build", "missing_tools", "write_manifest"]

EXECUTABLE = "main"
_MANIFEST = "manifest.json"

# Building a large network on a busy machine takes a few minutes.
_BUILD_DEADLINE_S = 1800.0


@dataclass(frozen=True)
class Build:
    """Built network, which runs without importing Brian2.

    A run simulates up to `images` images. For each population except the input, it writes the three
    files in `spikes`: int32 neuron and float64 time in seconds of every spike, and int32 spike
    count of every neuron. If the output are potentials, those after each step are in `potentials`,
    float64 of shape (run steps, classes); else it is empty.
    """

    folder: Path
    timing: Timing
    images: int
    spikes: dict[str, Sequence[str]]
    potentials: str


def write_manifest(build: Build) -> None:
    """Write the manifest of a finished build into its folder; raises OSError."""
    manifest = {**asdict(build), "folder": None, "sizes": _sizes(build.folder)}
    (build.folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _open_build(folder: Path) -> Build | None:
    """Return the build in a folder; None if there is none, or if its files are incomplete."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        sizes = _sizes(folder)
        sizes.pop(_MANIFEST)
        if sizes != manifest["sizes"]:
            return None
        # Three files per population.
        spikes: dict[str, Sequence[str]] = {
            name: (i, t, n) for name, (i, t, n) in manifest["spikes"].items()
        }
        return Build(
            folder,
            Timing(**manifest["timing"]),
            int(manifest["images"]),
            spikes,
            manifest["potentials"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def missing_tools() -> str:
    """Return a description of the missing build tools; empty if none are missing."""
    state = brian2_availability()
    if not state.available:
        return state.reason
    for tool in (_compiler()[0], "make"):
        if shutil.which(tool) is None:
            return f"{tool!r} is not installed; Brian2 needs it to compile networks"
    return ""


def find_build(network: Network, steps: int) -> Build | None:
    """Return the build of a network for images of `steps` time steps, if there is one."""
    if not steps or missing_tools():
        return None
    try:
        return _open_build(builds_folder() / _key(network, steps))
    except NeuroattackError:
        return None


def build(network: Network, steps: int) -> Build:
    """Return the build of a floating-point network for images of `steps` steps; build it if needed.

    Raises BackendUnavailableError, with the reason, if it cannot be built here.
    """
    missing = missing_tools()
    if missing:
        raise BackendUnavailableError(missing)
    root = builds_folder()
    folder = root / _key(network, steps)
    found = _open_build(folder)
    if found is not None:
        return found
    try:
        # One build at a time: each uses all cores, and another process may be building the same.
        with locked(root / "builds.lock"):
            found = _open_build(folder)
            return _build(network, steps, folder) if found is None else found
    except OSError as error:
        raise BackendUnavailableError(
            f"the network cannot be built with Brian2 in {root}: {error.strerror or error}"
        ) from error


def _build(network: Network, steps: int, folder: Path) -> Build:
    from neuroattack.ir.storage import save_network

    with scratch_folder() as scratch:
        try:
            save_network(scratch / "network.h5", network)
        except NeuroattackError as error:
            raise BackendUnavailableError(f"the network cannot be built: {error}") from error
        work = [scratch, steps, images_per_run(network, steps), os.getpid()]
        ended = run_in_group(
            [
                sys.executable,
                "-m",
                "neuroattack.backends.brian.standalone.compiling",
                *map(str, work),
            ],
            folder=scratch,
            log=scratch / "log.txt",
            deadline_s=_BUILD_DEADLINE_S,
            # Temporary files of a killed compiler are removed together with the folder.
            environment={**os.environ, "TMPDIR": str(scratch)},
        )
        if ended.code or ended.late:
            raise BackendUnavailableError(
                f"the network cannot be built with Brian2: {ended.problem()}"
            )
        # An existing folder is a damaged build.
        shutil.rmtree(folder, ignore_errors=True)
        (scratch / "build").rename(folder)
    found = _open_build(folder)
    if found is None:
        raise BackendUnavailableError(f"the network built with Brian2 in {folder} is damaged")
    return found


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def _key(network: Network, steps: int) -> str:
    """Return the key of a build: a hash of everything that determines the executable."""
    described = subprocess.run(  # noqa: S603  # the compiler that the user chose
        [*_compiler(), "--version"], capture_output=True, text=True, check=False
    )
    sources = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        sources.update(source.read_bytes())
    facts = [
        network.checksum(),
        steps,
        images_per_run(network, steps),
        __version__,
        sources.hexdigest(),
        brian2_version(),
        version("numpy"),
        _compiler(),
        described.stdout,
        platform.system(),
        platform.machine(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
