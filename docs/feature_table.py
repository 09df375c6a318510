"""Print the table of features by backend in ``docs/backends.md``, from what the backends declare.

``python docs/feature_table.py`` prints it; ``--write`` replaces the table in the page.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

from neuroattack.deployment.backend import ENTRY_POINT_GROUP
from neuroattack.deployment.features import FEATURES

PAGE = Path(__file__).with_name("backends.md")
BEGIN, END = "<!-- feature table -->\n", "<!-- end of feature table -->\n"
BACKENDS = ("native", "brian2", "brian2-standalone", "lava", "nest", "torch")


def feature_table() -> str:
    """Return the table in Markdown; backends need not be installed."""
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    supported = [points[name].load()().supported for name in BACKENDS]
    lines = [
        f"| feature | {' | '.join(f'`{name}`' for name in BACKENDS)} |",
        "|---" * (len(BACKENDS) + 1) + "|",
    ]
    for feature, description in FEATURES.items():
        cells = " | ".join("yes" if feature in each else "no" for each in supported)
        lines.append(f"| {description} | {cells} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return the page with a new table."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{feature_table()}\n{END}{after}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(feature_table())
