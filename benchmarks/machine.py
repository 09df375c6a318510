"""Machine and versions that figures were measured with."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numba
import numpy

import neuroattack
from benchmarks.registry import Figures

__all__ = ["describe_machine"]


def describe_machine() -> Figures:
    """Return processor, cores, load and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        # Other work on the machine slows everything that is timed.
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "neuroattack": neuroattack.__version__,
        "numpy": numpy.__version__,
        "numba": numba.__version__,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
