"""The example campaign of docs/campaigns.md runs."""

import json
import re
from pathlib import Path

import pytest
from support.digit_models import template_model

from neuroattack.experiments.campaign.config import CampaignConfig
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert

PAGE = (Path(__file__).parents[3] / "docs" / "campaigns.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs_and_has_the_expected_rows(tmp_path, monkeypatch, command):
    text = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    (tmp_path / "runs/demo").mkdir(parents=True)
    save_network(tmp_path / "runs/demo/network.h5", convert(template_model()).network)
    # One image is enough for a test.
    (tmp_path / "campaign.toml").write_text(text.replace("count = 4 ", "count = 1 "))
    monkeypatch.chdir(tmp_path)
    code, out, err = command("campaign", "campaign.toml", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["progress"] == {"done": 52, "failed": 0, "waiting": 0, "running": 0}
    # Two deployments, two goals; three attacks at two bounds and budgets; and the reference.
    assert len(found["attacks"]) == 2 * 2 * (3 * 2 * 2 + 1)
    assert all(row["images"] == 1 for row in found["attacks"])


def test_every_key_is_explained():
    for key in CampaignConfig.model_fields:
        assert f"`{key}`" in PAGE
