"""Main loop of the worker: builds a network and processes queries until it is ended."""

from __future__ import annotations

import importlib
import multiprocessing.process
import multiprocessing.shared_memory
import os
import signal
import socket
import tempfile
from typing import Any, NoReturn

from .channel import Channel
from .leftovers import private_folder, remove_leftovers

__all__ = ["ServedError", "serve"]


class ServedError(Exception):
    """The served network failed; the message is reported as it is."""


def serve(connection: int, prefix: str, served: str) -> NoReturn:
    """Process messages until the parent process ends, then kill the process group.

    The first message is a plan, from which the class `served` (``module:class``) builds a network,
    with the response ``("ready", None)``. All others are queries, arguments of its method
    ``query``, with the response ``("answer", result)``. The response to a failure is ``("fault",
    text)``, after which there are no further responses. `connection` is the file descriptor of the
    socket, `prefix` that of the names in shared memory.
    """
    channel = Channel(socket.socket(fileno=connection))
    # Processes of the simulator must close the socket, so that each side detects the other's end.
    os.register_at_fork(after_in_child=channel.close)
    try:
        _process(channel, prefix, served)
    except EOFError:
        pass
    finally:
        remove_leftovers(prefix)
        os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _use_names(prefix: str) -> None:
    # The names allow the removal of files in shared memory after the group was killed.
    multiprocessing.shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]
    config: dict[str, Any] = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    config["semprefix"] = f"/{prefix}"
    folder = private_folder(prefix)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)


def _process(channel: Channel, prefix: str, served: str) -> NoReturn:
    plan = channel.receive()
    try:
        _use_names(prefix)
        module, _, name = served.partition(":")
        network = getattr(importlib.import_module(module), name)(plan)
        channel.send(("ready", None))
        while True:
            query = channel.receive()
            channel.send(("answer", network.query(query, channel)))
    except EOFError:
        raise
    except ServedError as error:
        _report_failure(channel, str(error))
    except Exception as error:
        _report_failure(channel, f"{type(error).__name__}: {error}")


def _report_failure(channel: Channel, reason: str) -> NoReturn:
    channel.send(("fault", reason.strip()))
    while True:
        channel.receive()
