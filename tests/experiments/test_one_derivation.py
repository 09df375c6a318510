"""Campaign, audit, transfer and attack give the same image for the same seed and settings."""

import json

import numpy as np
import pytest
from support.campaign_files import campaign_file

from neuroattack.experiments.engine.store import Store

CAMPAIGN = """
network = "net.h5"
seed = 5
trials = 20
deployments = ["native,steps=30,seed=5"]
budgets = [50]
bounds = ["l2=2"]
attacks = [{ name = "random-noise" }]
images = { indices = [0, 1] }
"""


def images_of(folder):
    with Store(folder) as store:
        found = [
            (one.arguments["index"], store.result(one.key)["adversarial"])
            for one in store.results()
            if one.arguments.get("attack") == "random-noise" and one.arguments["budget"] == 50
        ]
    return [image for _, image in sorted(found, key=lambda each: each[0])]


@pytest.mark.slow
def test_one_seed_derivation(tmp_path, command, monkeypatch):
    config = campaign_file(tmp_path, CAMPAIGN)
    monkeypatch.chdir(tmp_path)
    assert command("campaign", config, "--out", "campaign")[0] == 0
    steps = ("--steps", "30", "--seed", "5")
    assert command("audit", "net.h5", "--quick", "--images", "2", *steps, "--out", "audit")[0] == 0
    asked = ("--attack", "random-noise", "--queries", "50", "--index", "0:2", "--trials", "20")
    code, out, _ = command("attack", "net.h5", *asked, *steps, "--out", "attack", "--json")
    assert code == 0
    by_campaign, by_audit = images_of(tmp_path / "campaign"), images_of(tmp_path / "audit/cells")
    with np.load("attack/images.npz") as arrays:
        by_command = arrays["adversarial"]
    for number in range(2):
        np.testing.assert_array_equal(by_campaign[number], by_audit[number])
        np.testing.assert_array_equal(by_campaign[number], by_command[number])
    figures = json.loads(command("campaign", "export", "campaign", "--json")[1])
    assert json.loads(out)["success_rate"] == figures["attacks"][0]["success"]
