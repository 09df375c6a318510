"""Lazy import of Brian2 without side effects on the process.

Importing Brian2 replaces ``sys.excepthook`` and the handler of Ctrl-C, redirects warnings to its
logger and opens a log file. Simulations depend on global preferences and on a global device, which
other users of Brian2 in this process may have changed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.deployment.backend import Availability
from neuroattack.errors import BackendUnavailableError

__all__ = ["INSTALL_HINT", "brian2_availability", "brian2_version", "import_brian2", "own_settings"]

INSTALL_HINT = "pip install 'neuroattack[brian2]'"

_SETTINGS: dict[str, Any] = {
    "codegen.target": "numpy",
    # Exact sums need float64; a user may have chosen float32 for other networks.
    "core.default_float_dtype": np.float64,
    # Ctrl-C then raises an exception instead of ending the run early with incomplete results.
    "core.stop_on_keyboard_interrupt": False,
    "legacy.refractory_timing": False,
}

_ONE_AT_A_TIME = threading.Lock()


def brian2_version() -> str:
    """Return the version of Brian2 without importing it; empty if it is not installed."""
    try:
        return version("brian2")
    except PackageNotFoundError:
        return ""


def brian2_availability() -> Availability:
    """Return whether Brian2 is installed, without importing it."""
    if importlib.util.find_spec("brian2") is None:
        return Availability(False, f"Brian2 is not installed: {INSTALL_HINT}")
    return Availability(True, version=brian2_version())


def import_brian2() -> Any:
    """Import Brian2 and undo the changes of the import to the process.

    If a user has imported it before, nothing is changed. Raises BackendUnavailableError.
    """
    if "brian2" in sys.modules:
        return sys.modules["brian2"]
    if threading.current_thread() is not threading.main_thread():
        raise BackendUnavailableError(
            "Brian2 can only be imported in the main thread: deploy the network there"
        )
    excepthook, interrupt = sys.excepthook, signal.getsignal(signal.SIGINT)
    show_warning = warnings.showwarning
    # Private attribute, but there is no other way to detect whether a user captures warnings.
    captured = getattr(logging, "_warnings_showwarning", None) is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import brian2
    except Exception as error:
        raise BackendUnavailableError(
            f"Brian2 cannot be imported ({type(error).__name__}: {error}): {INSTALL_HINT}"
        ) from error
    finally:
        sys.excepthook = excepthook
        if interrupt is not None:
            signal.signal(signal.SIGINT, interrupt)
        if not captured:
            logging.captureWarnings(False)
        warnings.showwarning = show_warning
    _close_logs()
    return brian2


def _close_logs() -> None:
    """Remove Brian2's log file, its copy of the script, and its handler for all warnings."""
    from brian2.utils.logger import BrianLogger

    logging.getLogger("py.warnings").removeHandler(BrianLogger.console_handler)
    if BrianLogger.file_handler is not None:
        logging.getLogger("brian2").removeHandler(BrianLogger.file_handler)
        BrianLogger.file_handler.close()
        BrianLogger.file_handler = None
    for attribute in ("tmp_log", "tmp_script"):
        name = getattr(BrianLogger, attribute)
        if name is not None:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            setattr(BrianLogger, attribute, None)


@contextlib.contextmanager
def own_settings(brian2: Any) -> Iterator[None]:
    """Use the runtime device and fixed preferences in the block, then restore those of the user.

    Only one thread at a time, because both are global.
    """
    devices: Any = sys.modules["brian2.devices.device"]
    with _ONE_AT_A_TIME:
        device = devices.active_device
        # Some preferences do not exist in all versions.
        before = {name: brian2.prefs[name] for name in _SETTINGS if name in brian2.prefs}
        # Assigned directly, because set_device() would discard options set by the user.
        devices.active_device = devices.runtime_device
        try:
            brian2.prefs.update({name: _SETTINGS[name] for name in before})
            yield
        finally:
            devices.active_device = device
            brian2.prefs.update(before)
