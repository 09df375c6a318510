"""A small campaign on the built-in digits."""

from __future__ import annotations

from pathlib import Path

from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert
from support.digit_models import template_model

CONFIG = """
network = "net.h5"
seed = 3
trials = 4
deployments = ["native,steps=30"]
goals = ["untargeted", "random"]
budgets = [40, 120]
bounds = ["l2=2", "local_sd@greedy-window"]
attacks = [{ name = "random-noise" }, { name = "count-regression", settings = { rounds = 2 } }]
images = { count = 3 }
"""
ITEMS = 3 * 2 * (2 * 2 * 2 + 1)
"""Three images and two goals, each with two attacks at two budgets and bounds and a reference."""


def campaign_file(folder: Path, text: str = CONFIG) -> Path:
    """Write the network and the configuration; return the path of the configuration."""
    folder.mkdir(exist_ok=True)
    save_network(folder / "net.h5", convert(template_model()).network)
    path = folder / "campaign.toml"
    path.write_text(text, encoding="utf-8")
    return path
