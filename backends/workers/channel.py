"""Messages between this process and the worker over a socket, with deadlines."""

from __future__ import annotations

import pickle
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Channel", "Deadline"]

_LONGEST_WAIT_S = 1e6
_LENGTH = struct.Struct("!Q")


class Deadline:
    """Deadline `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def wait(self, poll: select.poll) -> dict[int, int]:
        """Return the ready file descriptors and events; raise TimeoutError if there are none."""
        while True:
            left_s = self._end - time.monotonic()
            # Descriptors that are ready at the deadline are in time; poll accepts up to 2**31 ms.
            ready = dict(poll.poll(min(max(left_s, 0.0), _LONGEST_WAIT_S) * 1e3))
            if ready:
                return ready
            if left_s <= 0:
                raise TimeoutError


class Channel:
    """Channel for Python objects over a socket to a child process.

    The channel takes ownership of the socket. `partner_ended` is a file descriptor that becomes
    readable when the other process ends. Sending and receiving raise TimeoutError after the
    deadline, and EOFError if the other process has ended.
    """

    def __init__(self, connection: socket.socket, partner_ended: int | None = None) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._partner_ended = partner_ended

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the file descriptor of the socket, for polling."""
        return self._socket.fileno()

    def send(self, message: object, deadline: Deadline | None = None) -> None:
        """Send an object."""
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        for part in (_LENGTH.pack(len(body)), body):
            view = memoryview(part)
            while view:
                view = view[self._transfer(select.POLLOUT, self._socket.send, view, deadline) :]

    def receive(self, deadline: Deadline | None = None) -> Any:
        """Return the next object."""
        (length,) = _LENGTH.unpack(self._receive_exactly(_LENGTH.size, deadline))
        # The message is from a process started here, over a private socket.
        return pickle.loads(self._receive_exactly(length, deadline))  # noqa: S301

    def _receive_exactly(self, length: int, deadline: Deadline | None) -> bytearray:
        received = bytearray(length)
        view = memoryview(received)
        while view:
            view = view[self._transfer(select.POLLIN, self._socket.recv_into, view, deadline) :]
        return received

    def _transfer(
        self,
        event: int,
        transfer: Callable[[memoryview], int],
        view: memoryview,
        deadline: Deadline | None,
    ) -> int:
        """Wait for the socket, then send or receive; return the number of bytes transferred."""
        poll = select.poll()
        poll.register(self._socket, event)
        if self._partner_ended is not None:
            poll.register(self._partner_ended, select.POLLIN)
        ready = dict(poll.poll()) if deadline is None else deadline.wait(poll)
        try:
            # Data sent before the other process ended are still received.
            if self._socket.fileno() in ready and (count := transfer(view)):
                return count
        except BlockingIOError:
            return 0
        except OSError as error:
            raise EOFError("the other process has ended") from error
        raise EOFError("the other process has ended")
