"""Reading of untrusted files in a separate process with limited memory, which they may crash.

A parser is a module with a function that reads a file and writes what it contains to another file
or folder. Its main part calls :func:`serve`; :func:`read_isolated` runs it as
``python -m MODULE FILE OUTPUT ARGUMENTS...``.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from neuroattack.errors import FileError

__all__ = ["RefusedError", "limit_memory", "read_isolated", "serve"]

_REFUSED = 3


class RefusedError(Exception):
    """Problem with the file, as the rest of a sentence that begins with its name."""


def read_isolated(
    module: str, path: Path, output: Path, *arguments: str, what: str, parser: str, longest_s: float
) -> None:
    """Run a parser on a file in a separate process.

    Parameters
    ----------
    module : str
        Full name of the parser's module.
    path, output : Path
        File to read, and file or folder that the parser writes.
    *arguments : str
        Further arguments of the parser.
    what, parser : str
        Expected file and name of the parser in error messages: ``"a NIR file"``, ``"HDF5"``.
    longest_s : float
        Time limit in seconds.

    Raises
    ------
    FileError
        If the parser refuses the file, crashes, or exceeds the time limit.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this Python, on a file that the user named
            [sys.executable, "-m", module, path.absolute(), output, *arguments],
            # Do not load compression plugins that the file names from system folders.
            env={**os.environ, "HDF5_PLUGIN_PRELOAD": "::"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FileError(
            path, f"is damaged: reading it took over {longest_s:.0f} s, expected {what}"
        ) from error
    if done.returncode == _REFUSED:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise FileError(path, lines[-1])
    if done.returncode != 0:
        raise FileError(path, f"is damaged: reading it crashes {parser}, expected {what}")


def limit_memory(additional_bytes: int) -> None:
    """Limit this process to its present memory and `additional_bytes`; write no core dumps."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + additional_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(parse: Callable[..., None], invalid: str) -> int:
    """Parse the file that the command line names; return the exit code.

    Parameters
    ----------
    parse : callable
        Takes the file, the output and further arguments. Raises RefusedError for an invalid file.
    invalid : str
        Begin of the message about a file that the parser's library refuses:
        ``"is not valid HDF5"``.
    """
    try:
        parse(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
    except RefusedError as refusal:
        problem = str(refusal)
    except MemoryError:
        problem = "declares more than the file can contain"
    # Libraries such as h5py raise exceptions of many types.
    except Exception as error:
        problem = f"{invalid}: {' '.join(str(error).split())[:200]}"
    else:
        return 0
    sys.stderr.write(f"{problem}\n")
    return _REFUSED
