"""Web server of a black box, which runs until it is stopped."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from neuroattack.errors import FileError, ValidationError
from neuroattack.files import require_file
from neuroattack.remote.addresses import is_loopback
from neuroattack.validation import check_integer

__all__ = ["Address", "check_reach", "read_tokens", "serve"]

_SHORTEST_TOKEN = 16
_LARGEST_TOKEN_FILE = 2**20


@dataclass(frozen=True)
class Address:
    """Address of the server; `port` 0 selects any free port.

    For https, `certificate` and `key` are PEM files. Raises ValidationError if the port is out of
    range, or only one of the files is given.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        check_integer("port", self.port, 0, 65_535)
        if (self.certificate is None) != (self.key is None):
            raise ValidationError("TLS", "one file", "a certificate and its key, or neither")
        for path, what in ((self.certificate, "a certificate (PEM)"), (self.key, "a key (PEM)")):
            if path is not None:
                require_file(path, _LARGEST_TOKEN_FILE, what)

    def url(self, port: int) -> str:
        """Return the URL of the server on that port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{port}"


def read_tokens(path: Path) -> dict[str, str]:
    """Read a file with a client name and bearer token per line; return names by token.

    Raises FileError if the file cannot be read, or a line is not a name and a token of at least 16
    characters.
    """
    require_file(path, _LARGEST_TOKEN_FILE, "a file of tokens")
    tokens: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2 or len(parts[1]) < _SHORTEST_TOKEN or not parts[1].isascii():
            raise FileError(
                path,
                f"line {number} is not a client's name and a token of at least "
                f"{_SHORTEST_TOKEN} characters",
            )
        tokens[parts[1]] = parts[0]
    if not tokens:
        raise FileError(path, "contains no tokens, expected a line 'name token' for each client")
    return tokens


def check_reach(address: Address, *, protected: bool) -> None:
    """Raise ValidationError if other machines can reach a server without tokens."""
    if not protected and not is_loopback(address.host):
        raise ValidationError(
            "host",
            f"{address.host}, which other machines can reach, without tokens",
            "a loopback address such as 127.0.0.1, or a file of tokens",
        )


def serve(app: FastAPI, address: Address, *, announce: Callable[[str], None]) -> None:
    """Serve until interrupted or terminated; requests in progress are completed.

    Calls `announce` with the URL when the server accepts connections. Raises ValidationError if it
    cannot listen on the address; see also :func:`check_reach`.
    """
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="on",
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )
    with _listening(address) as listener:
        server = uvicorn.Server(config)
        announce(address.url(listener.getsockname()[1]))
        # After its shutdown, uvicorn raises the signal again; by default, SIGTERM would then end
        # the process before simulators are closed.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Without an explicit protocol, asyncio leaves Nagle's algorithm on: 40 ms per response.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
        except (OSError, OverflowError) as error:
            raise ValidationError(
                "address", f"{address.host}:{address.port}", f"a free address here ({error})"
            ) from error
        listener.listen(2048)
        yield listener
