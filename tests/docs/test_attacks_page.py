"""Tests that docs/attacks.md lists every attack and that its examples run."""

import re
from pathlib import Path

import pytest
from support.digit_models import template_model

from neuroattack.attacks.registry import attack_names, load_attack
from neuroattack.experiments.campaign.config import read_config
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
CAMPAIGNS = sorted((ROOT / "benchmarks" / "campaigns").glob("*.toml"))


def test_every_attack_is_in_the_table_with_its_class():
    rows = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert dict(rows) == {name: load_attack(name).__name__ for name in attack_names()}


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs/demo").mkdir(parents=True)
    save_network(tmp_path / "runs/demo/network.h5", convert(template_model()).network)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "docs/attacks.md", "exec"), names)  # noqa: S102  # our own page
    rate = capsys.readouterr().out.split(" ", 1)[0]
    assert 0 <= float(rate) <= 1
    assert all(row["search_queries"] <= 500 for row in names["result"].rows)


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_every_campaign_of_the_results_is_valid(path):
    assert read_config(path).attacks


def test_every_campaign_that_the_page_names_exists():
    named = set(re.findall(r"`([\w-]+\.toml)`", PAGE))
    assert len(named) >= 10
    assert named <= {path.name for path in CAMPAIGNS}
