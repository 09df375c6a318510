"""What a built network consists of, so that it runs without Brian2 being imported."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .timing import Timing

__all__ = ["EXECUTABLE", "Build", "SpikeFiles", "open_build", "write_manifest"]

EXECUTABLE = "main"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SpikeFiles:
    """Names of the files that a run leaves for a population.

    Parameters
    ----------
    neurons, times, counts : str
        int32 index and float64 second of every spike, and int32 count of every neuron.
    """

    neurons: str
    times: str
    counts: str


@dataclass(frozen=True)
class Build:
    """A built network.

    Parameters
    ----------
    folder : Path
        Where the executable and its arrays are.
    timing : Timing
        Of images in a run.
    images : int
        Images in a run, at most.
    spikes : dict of str to SpikeFiles
        Of every population but the input.
    """

    folder: Path
    timing: Timing
    images: int
    spikes: dict[str, SpikeFiles]


def write_manifest(build: Build) -> None:
    """Write down, beside the files of a finished build, what they are. Raises OSError."""
    manifest = {
        "timing": asdict(build.timing),
        "images": build.images,
        "spikes": {name: asdict(files) for name, files in build.spikes.items()},
        "sizes": _sizes(build.folder),
    }
    (build.folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def open_build(folder: Path) -> Build | None:
    """Return the build in a folder; None if there is none, or if files of it are amiss."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        sizes = _sizes(folder)
        sizes.pop(_MANIFEST)
        if sizes != manifest["sizes"]:
            return None
        return Build(
            folder,
            Timing(**manifest["timing"]),
            int(manifest["images"]),
            {name: SpikeFiles(**files) for name, files in manifest["spikes"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
