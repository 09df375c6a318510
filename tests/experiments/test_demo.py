"""The demo command on the digits data set."""

import json

import numpy as np
import pytest

from neuroattack.ir.storage import load_network
from neuroattack.training.storage import load_model


@pytest.mark.slow
def test_the_demo_runs_the_complete_workflow(command, tmp_path):
    code, out, err = command("demo", "--out", tmp_path, "--steps", 200, "--json")
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert figures["rate_accuracy"] >= 0.95
    assert figures["spiking_accuracy"] >= 0.95
    greedy, regression = figures["attacks"]
    assert (greedy["attack"], regression["attack"]) == ("greedy-window", "count-regression")
    indices = [[each["index"] for each in attack["images"]] for attack in (greedy, regression)]
    assert indices[0] == indices[1]
    assert len(set(indices[0])) == 8
    # With the same bound and budget, only one of the two attacks succeeds.
    assert greedy["success_ci95"][1] < regression["success_rate"]
    assert greedy["success_rate"] < 0.2
    assert regression["success_rate"] > 0.5
    assert figures["provenance"]["dataset_checksum"].startswith("b747db89")
    assert figures["provenance"]["command"].startswith("neuroattack demo")
    page = tmp_path / "report.html"
    assert figures.pop("report") == str(page)
    assert json.loads((tmp_path / "result.json").read_text()) == figures
    assert "</html>" in page.read_text()
    images = np.load(tmp_path / "images.npz", allow_pickle=False)
    assert images["attack1_adversarial"].shape == (8, 28, 28)
    model = load_model(tmp_path / "model.h5")
    assert model.rate_accuracy == figures["rate_accuracy"]
    assert load_network(tmp_path / "network.h5").origin["dataset"] == "digits"
    # With --resume the model is reused: the same figures without training.
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("neuroattack.experiments.demo.train_to_file")
        _, again, _ = command("demo", "--out", tmp_path, "--steps", 200, "--resume", "--json")
    assert json.loads(again)["attacks"] == figures["attacks"]
