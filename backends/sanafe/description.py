"""Coefficients in SANA-FE's description of Loihi, a YAML file that is part of its package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from neuroattack.errors import SimulationError

__all__ = ["ChipDescription", "read_description"]

_UNIT = re.compile(r"\s*-\s*name:\s*(?P<name>[^\s#]+)")
_NUMBER = re.compile(r"\s*(?P<key>\w+):\s*(?P<value>[-+.eE0-9]+)\s*(#.*)?")
_TABLE = re.compile(r"\s*latency_sync:\s*\{(?P<pairs>[^}]*)\}")


@dataclass(frozen=True)
class ChipDescription:
    """Energies and latencies of the units of a chip.

    Parameters
    ----------
    name : str
        Name of the file.
    units : dict of str to dict of str to float
        Numbers of each unit, by its name without the range of its copies, in joules and seconds.
    sync_s : dict of int to float
        Time of the synchronization of a step, by the number of tiles in use from which it applies.
    """

    name: str
    units: dict[str, dict[str, float]]
    sync_s: dict[int, float]

    def value(self, unit: str, key: str) -> float:
        """Return a number of a unit."""
        try:
            return self.units[unit][key]
        except KeyError:
            raise SimulationError(f"sanafe: {self.name} has no {key} of {unit}") from None

    def synchronization_s(self, tiles: int) -> float:
        """Return the time of the synchronization of a step with a number of tiles in use."""
        fitting = [least for least in self.sync_s if least <= tiles]
        return self.sync_s[max(fitting, default=min(self.sync_s))]


def read_description(name: str = "loihi.yaml") -> ChipDescription:
    """Read the description of a chip in the installed package, which is not imported.

    Raises
    ------
    SimulationError
        If there is no such file, or it has no table of synchronization times.
    """
    spec = find_spec("sanafe")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise SimulationError("sanafe: the package is not installed")
    try:
        text = (Path(folders[0]) / "examples" / name).read_text(encoding="utf-8")
    except OSError as error:
        raise SimulationError(f"sanafe: cannot read {name}: {error}") from error
    units: dict[str, dict[str, float]] = {}
    unit: dict[str, float] = {}
    for line in text.splitlines():
        if found := _UNIT.match(line):
            unit = units.setdefault(found["name"].partition("[")[0], {})
        elif number := _NUMBER.fullmatch(line):
            unit[number["key"]] = float(number["value"])
    table = _TABLE.search(text)
    if table is None:
        raise SimulationError(f"sanafe: {name} has no synchronization times")
    pairs = (pair.split(":") for pair in table["pairs"].split(","))
    return ChipDescription(name, units, {int(least): float(time) for least, time in pairs})
