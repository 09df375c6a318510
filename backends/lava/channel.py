"""Messages between us and the worker over a socket, with a deadline on every one."""

from __future__ import annotations

import pickle
import select
import socket
import struct
import time
from typing import Any

__all__ = ["Channel", "Deadline"]

_LONGEST_WAIT_S = 1e6
_LENGTH = struct.Struct("!Q")


class Deadline:
    """A point in time that waiting ends at.

    Parameters
    ----------
    seconds : float
        From now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def wait(self, poll: select.poll) -> dict[int, int]:
        """Return what is ready, file descriptors with their events.

        Raises
        ------
        TimeoutError
            If nothing is by then.
        """
        while True:
            left_s = self._end - time.monotonic()
            # What is ready at the deadline is in time; poll takes no more than 2**31 ms.
            ready = dict(poll.poll(min(max(left_s, 0.0), _LONGEST_WAIT_S) * 1e3))
            if ready:
                return ready
            if left_s <= 0:
                raise TimeoutError


class Channel:
    """Objects over a socket to a process of our own.

    Parameters
    ----------
    connection : socket
        Connected; it belongs to the channel from here on.
    partner_ended : int, optional
        A file descriptor that becomes readable when nobody answers any more.
    """

    def __init__(self, connection: socket.socket, partner_ended: int | None = None) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._partner_ended = partner_ended

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's file descriptor, to wait for it among others."""
        return self._socket.fileno()

    def send(self, message: object, deadline: Deadline | None = None) -> None:
        """Send an object.

        Raises
        ------
        TimeoutError
            If it was not taken before the deadline.
        EOFError
            If the other side is gone.
        """
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        for part in (_LENGTH.pack(len(body)), body):
            view = memoryview(part)
            while view:
                self._wait(select.POLLOUT, deadline)
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise EOFError("the other side is gone") from error

    def receive(self, deadline: Deadline | None = None) -> Any:
        """Return the next object.

        Raises
        ------
        TimeoutError
            If it was not there before the deadline.
        EOFError
            If the other side is gone.
        """
        (length,) = _LENGTH.unpack(self._receive_exactly(_LENGTH.size, deadline))
        # From a process that we started ourselves, over a socket that no other has.
        return pickle.loads(self._receive_exactly(length, deadline))  # noqa: S301

    def _receive_exactly(self, length: int, deadline: Deadline | None) -> bytearray:
        received = bytearray(length)
        view = memoryview(received)
        while view:
            self._wait(select.POLLIN, deadline)
            try:
                count = self._socket.recv_into(view)
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other side is gone") from error
            if not count:
                raise EOFError("the other side is gone")
            view = view[count:]
        return received

    def _wait(self, event: int, deadline: Deadline | None) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if self._partner_ended is not None:
            poll.register(self._partner_ended, select.POLLIN)
        ready = dict(poll.poll()) if deadline is None else deadline.wait(poll)
        # What was sent before the end still counts.
        if self._socket.fileno() not in ready:
            raise EOFError("the other side is gone")
