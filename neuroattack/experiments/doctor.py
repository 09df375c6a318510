"""Check the installation and suggest fixes."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import joblib

from neuroattack import __version__
from neuroattack.datasets import DATA_VARIABLE, MNIST_FILES
from neuroattack.deployment.backend import list_backends, list_emulators

__all__ = ["Finding", "examine"]

State = Literal["good", "absent", "bad"]

_EXTRAS = (
    ("aedat4", ("aedat",), "recordings of event cameras in AEDAT 4"),
    ("attacks", ("art",), "attacks of the Adversarial Robustness Toolbox"),
    ("campaigns", ("distributed", "pyarrow"), "campaigns on several machines and Parquet tables"),
    ("nir", ("nir",), "import and export of networks via NIR"),
    ("remote", ("fastapi", "httpx", "prometheus_client", "uvicorn"), "targets served over HTTP"),
)

# Peak memory of training the fine-tuned recipe on MNIST: 1.03 GiB.
_MIN_MEMORY = 5 * 2**28
_MIN_DISK = 2**30


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Parameters
    ----------
    name : str
        Name of the checked item.
    state : {"good", "absent", "bad"}
        ``"absent"``: an optional item is missing. ``"bad"``: something will fail.
    found : str
        Observation, such as a version or a path.
    advice : str
        Suggested fix; may be empty.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Check Python, backends, extras, compiler, cores, memory, caches and data sets."""
    return [
        _python(),
        *_backends(),
        _compiler(),
        *_extras(),
        _cores(),
        _memory(),
        *_caches(),
        _compiled_code(),
        Finding("digits", "good", "built in"),
        _mnist(),
    ]


def _python() -> Finding:
    version = platform.python_version()
    return Finding("Python", "good", f"{version}, neuroattack {__version__}, {platform.system()}")


def _backends() -> Iterator[Finding]:
    named = [(f"backend {each.name}", each) for each in list_backends()]
    named += [(f"emulator {each.name}", each) for each in list_emulators()]
    for name, backend in named:
        if backend.available:
            yield Finding(name, "good", backend.version)
        else:
            yield Finding(name, "absent", "not available", backend.reason)


def _compiler() -> Finding:
    for name in ("g++", "c++", "clang++"):
        path = shutil.which(name)
        if path:
            return Finding("C++ compiler", "good", path)
    return Finding(
        "C++ compiler",
        "absent",
        "none",
        "install g++: required by brian2-standalone, and speeds up brian2",
    )


def _extras() -> Iterator[Finding]:
    for extra, modules, purpose in _EXTRAS:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            advice = f"pip install 'neuroattack[{extra}]' for {purpose}"
            yield Finding(f"extra {extra}", "absent", f"missing {', '.join(missing)}", advice)
        else:
            yield Finding(f"extra {extra}", "good", "installed")


def _cores() -> Finding:
    usable = joblib.cpu_count()
    return Finding("cores", "good", f"{usable} of {os.cpu_count()} usable")


def _memory() -> Finding:
    kib = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    available = 1024 * kib["MemAvailable"]
    found = f"{_size(available)} of {_size(1024 * kib['MemTotal'])} free"
    if available < _MIN_MEMORY:
        return Finding(
            "memory",
            "bad",
            found,
            f"close other programs: training on MNIST needs {_size(_MIN_MEMORY)}",
        )
    return Finding("memory", "good", found)


def _caches() -> Iterator[Finding]:
    import pooch

    folder = Path(pooch.os_cache("neuroattack"))
    if not _writable(folder):
        yield Finding(
            "cache", "bad", f"{folder} is not writable", "set XDG_CACHE_HOME to a writable folder"
        )
        return
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{folder}, {_size(_content(folder))}, {_size(free)} of disk space free"
    if free < _MIN_DISK:
        yield Finding("cache", "bad", found, "free disk space; the folder may be deleted")
        return
    advice = "may be deleted at any time; recreated when needed" if folder.exists() else ""
    yield Finding("cache", "good", found, advice)


def _compiled_code() -> Finding:
    import numba

    chosen: str = vars(numba.config)["CACHE_DIR"]
    folder = Path(chosen) if chosen else Path(__file__).parents[1] / "__pycache__"
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        return Finding(
            "compiled code",
            "good",
            "Python does not cache compiled modules",
            "unset PYTHONDONTWRITEBYTECODE to start a second faster",
        )
    if not _writable(folder):
        return Finding(
            "compiled code",
            "absent",
            f"{folder} is not writable",
            "set NUMBA_CACHE_DIR to a writable folder; otherwise each process compiles anew",
        )
    return Finding("compiled code", "good", str(folder))


def _mnist() -> Finding:
    import pooch

    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else Path(pooch.os_cache("neuroattack"))
    missing = [file.name for file in MNIST_FILES if not (folder / file.name).is_file()]
    if not missing:
        return Finding("MNIST", "good", str(folder))
    if named:
        return Finding(
            "MNIST",
            "bad",
            f"{folder} lacks {', '.join(missing)}",
            f"set {DATA_VARIABLE} to the folder of the four MNIST files, or unset it",
        )
    return Finding(
        "MNIST",
        "absent",
        "not downloaded yet",
        f"downloaded on first use; offline, set {DATA_VARIABLE} to the folder of its files",
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return True
    except OSError:
        return False


def _content(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(size: int) -> str:
    if size < 2**30:
        return f"{size / 2**20:.0f} MiB"
    return f"{size / 2**30:.1f} GiB"
