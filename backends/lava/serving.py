"""What the worker does: builds the graph it is told to, and answers queries until the end."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.shared_memory
import os
import signal
import socket
import tempfile
from typing import Any, NoReturn

from .channel import Channel
from .graph import Graph, GraphError
from .leftovers import private_folder, remove_leftovers

__all__ = ["serve"]


def serve(connection: int, prefix: str) -> NoReturn:
    """Answer until the other side is gone, then end the process group.

    The first message is a GraphPlan, answered by ``("ready", None)``; each later one is (record,
    packed spikes), answered by ``("answer", (counts, spikes))``. A failure is answered by
    ``("fault", text)``, once; after it comes nothing. `connection` is the file descriptor of the
    socket, `prefix` what the names in shared memory begin with.
    """
    channel = Channel(socket.socket(fileno=connection))
    # Lava's processes must not hold it: its end is how each side learns of the other's.
    os.register_at_fork(after_in_child=channel.close)
    try:
        _answer(channel, prefix)
    except EOFError:
        pass
    finally:
        remove_leftovers(prefix)
        os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _use_names(prefix: str) -> None:
    # What is left in shared memory by a group that was killed can be removed by name alone.
    multiprocessing.shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]
    config: dict[str, Any] = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    config["semprefix"] = f"/{prefix}"
    folder = private_folder(prefix)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)


def _answer(channel: Channel, prefix: str) -> NoReturn:
    plan = channel.receive()
    try:
        _use_names(prefix)
        graph = Graph(plan)
        channel.send(("ready", None))
        while True:
            record, packed = channel.receive()
            channel.send(("answer", graph.ask(record, packed, channel)))
    except EOFError:
        raise
    except GraphError as error:
        _give_up(channel, str(error))
    except Exception as error:
        _give_up(channel, f"{type(error).__name__}: {error}")


def _give_up(channel: Channel, reason: str) -> NoReturn:
    channel.send(("fault", reason.strip()))
    while True:
        channel.receive()
