"""Commands whose figures are kept, and what of their output is the machine's and not theirs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

CAMPAIGN = """
network = "net.h5"
seed = 3
trials = 4
deployments = ["native,steps=60"]
goals = ["untargeted", "random"]
budgets = [60]
bounds = ["l2=2", "l0=30", "local_sd@greedy-window"]
attacks = [{ name = "count-regression", settings = { rounds = 2 } }, { name = "sparse-rs" }]
images = { count = 8 }
"""

COMMANDS = {
    "evaluate": "evaluate net.h5 --images 60 --steps 100",
    "attack": (
        "attack net.h5 --attack greedy-window --norm none --queries 100000 --index 3 "
        "--steps 100 --trials 10"
    ),
    "campaign": "campaign run campaign.toml --out campaign",
    "transfer": (
        "transfer net.h5 --deployment native,steps=60 --deployment native,precision=fixed,steps=60 "
        "--deployment native,encoder=regular,steps=60 --images 3 --queries 60 --trials 6"
    ),
    "audit": "audit net.h5 --quick --images 2 --steps 60",
    "energy": "energy net.h5 --images 20 --steps 50",
    "precision": "precision net.h5 --images 40 --bits 4-5 --steps 10,30",
    "compare": "compare net.h5 --backends native,brian2 --images 4 --steps 30",
    "noise": (
        "noise --model model.h5 --images 60 --deltas 0.1,0.2 --steps 40 --on test --out noise"
    ),
    "paper": (
        "paper table2 table3 --dataset digits --images 40 --population 8 --sweep 2 --trials 5 "
        "--steps 60 --training-seeds 2 --out paper"
    ),
}
"""By name, what follows ``neuroattack``; all of them with ``--json``."""

# Times, versions and paths are the machine's.
_MACHINE = {
    "provenance", "seconds", "command", "backend_version", "version", "versions", "machine",
    "setup_s", "peak_rss_mib",
    "report", "cold_s", "warm_s", "images_per_s", "memory_mib", "peak_memory_mib", "start_up_s",
    "done_before", "network_path",
}  # fmt: skip

# Of texts for people, only whether there are any.
_PROSE = {"refused", "note", "unit", "caveats"}


def prepare(folder: Path) -> None:
    """Lay the files that the commands read into a folder."""
    for name in ("net.h5", "model.h5"):
        shutil.copy(HERE / name, folder / name)
    (folder / "campaign.toml").write_text(CAMPAIGN, encoding="utf-8")


def figures(value: Any) -> Any:
    """Return JSON values without those of the machine, and without prose."""
    if isinstance(value, dict):
        return {
            key: bool(each) if key in _PROSE else figures(each)
            for key, each in value.items()
            if key not in _MACHINE
        }
    if isinstance(value, list):
        return [figures(each) for each in value]
    return value


def golden(name: str) -> Any:
    """Return the stored figures of a command."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
