"""Processes and files of the worker of a simulator, as the system sees them."""

import os
import time
from contextlib import suppress
from pathlib import Path

SHARED_MEMORY = "/dev/shm"  # noqa: S108


def processes_of(group):
    """Return the processes of a group, including zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(after_name[2]) == group:
                    found.append(int(entry.name))
    return sorted(found)


class WorkerProcesses:
    """Processes and files of a simulator's worker in the system."""

    def __init__(self, group, supervisor, prefix, least):
        self.group, self.supervisor, self.prefix = group, supervisor, prefix
        assert len(self.members) >= least
        assert self.in_shared_memory

    @classmethod
    def of(cls, simulator, least=1):
        processes = simulator._worker._processes
        return cls(processes._group, processes._supervisor.pid, processes._prefix, least)

    @property
    def members(self):
        return processes_of(self.group)

    @property
    def in_shared_memory(self):
        return [name for name in os.listdir(SHARED_MEMORY) if self.prefix in name]

    def signal(self, whom, number):
        everyone = [*self.members, self.supervisor]
        chosen = {
            "worker": [self.group],
            "a child": self.members[-2:-1],
            "supervisor": [self.supervisor],
            "everyone": everyone,
        }[whom]
        for process in chosen:
            os.kill(process, number)

    def assert_gone(self, within_s=60.0):
        end = time.monotonic() + within_s
        while self.members or processes_of(self.supervisor) or self.in_shared_memory:
            assert time.monotonic() < end, (self.members, self.in_shared_memory)
            time.sleep(0.05)
