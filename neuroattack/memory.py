"""Memory that this process may still use, and a check before large allocations."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from neuroattack.errors import MemoryLimitError

__all__ = ["available_bytes", "check_memory", "is_out_of_memory"]

_SMALL_BYTES = 2**26

# Folder, and files with limit and usage, by version of control groups; and the part of the usage
# that is file cache, which the system frees when memory is needed.
_GROUPS = {
    1: ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
        "total_inactive_file"),
    2: ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
}  # fmt: skip


def available_bytes() -> int:
    """Return the memory that this process may still use, in bytes.

    It is the minimum of what is free on the machine, in the control groups of the process, such as
    those of a container, both including swap space, and below the limit of its virtual memory
    (``ulimit -v``).
    """
    machine = _numbers(Path("/proc/meminfo"))
    swap = 1024 * machine["SwapFree:"]
    least = min([1024 * machine["MemAvailable:"], *_left_in_groups()]) + swap
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return least
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return max(0, min(least, limit - pages * os.sysconf("SC_PAGE_SIZE")))


def check_memory(what: str, needed_bytes: float, advice: str) -> None:
    """Raise MemoryLimitError if more memory is needed than this process may still use.

    Parameters
    ----------
    what : str
        What needs the memory, as the beginning of a sentence.
    needed_bytes : float
        Bytes that will be written, at least; memory that is only reserved does not count.
    advice : str
        What to change, in the imperative.
    """
    if needed_bytes < _SMALL_BYTES:
        return
    available = available_bytes()
    if needed_bytes > available:
        raise MemoryLimitError(what, int(needed_bytes), available, advice)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that there is no memory left; PyTorch has its own."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in text or "out of memory" in text)
    )


def _left_in_groups() -> Iterator[int]:
    """Yield the memory left in each control group of this process that has a limit."""
    groups = Path("/proc/self/cgroup")
    if not groups.exists():
        return
    for line in groups.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, limit, use, cache = _GROUPS[1 if controllers else 2]
        group = Path(root) / path.lstrip("/")
        # In a container, the path may be that outside; then only the root exists.
        for folder in (group, *group.parents):
            # A group without a limit has no number, or no such file.
            with contextlib.suppress(OSError, ValueError):
                most = int((folder / limit).read_text(encoding="ascii"))
                used = int((folder / use).read_text(encoding="ascii"))
                yield max(0, most - used + _cached(folder / "memory.stat", cache))
            if folder == Path(root):
                break


def _cached(path: Path, name: str) -> int:
    try:
        return _numbers(path).get(name, 0)
    except OSError:
        return 0


def _numbers(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(value) for name, value, *_ in lines}
