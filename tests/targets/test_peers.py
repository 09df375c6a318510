"""Attacks on PyTorch networks, as the documentation shows them.

They are skipped unless the packages that ``.ci/run`` installs in ``.venv-peers`` are present.
"""

import re
import subprocess
import sys

import numpy as np
import pytest
from support.pages import ROOT, steps

import neuroattack as na

torch = pytest.importorskip("torch", reason="needs the peers, as .ci/run installs them")

pytestmark = pytest.mark.slow

HOWTO = ROOT / "docs" / "howto" / "attack-your-function.md"
TUTORIAL = ROOT / "docs" / "tutorials" / "attack-your-snntorch-network.md"

EXAMPLE, ATTACK, *NETWORKS = re.findall(
    r"```python\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL
)


def run(block, names, page=HOWTO):
    exec(compile(block, str(page), "exec"), names)  # noqa: S102  # code of this repository


def train(network, split, epochs=5):
    images, labels = torch.as_tensor(split.images).flatten(1), torch.as_tensor(split.labels).long()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()


@pytest.mark.parametrize(
    ("package", "block"), zip(("snntorch", "norse", "spikingjelly"), NETWORKS, strict=True)
)
def test_the_attack_fools_the_network_of_the_page(package, block):
    pytest.importorskip(package, reason="needs the peers, as .ci/run installs them")
    torch.manual_seed(0)
    torch.set_num_threads(1)  # several threads are slower on networks this small
    names = {}
    run(block, names)
    digits = na.load_dataset("digits")
    train(names["network"], digits.train)
    run(ATTACK, names)
    target, result = names["target"], names["result"]
    answers = names["counts"](digits.test.images[:100].astype(np.float64)).numpy()
    assert (answers == np.rint(answers)).all()
    assert (answers.argmax(1) == digits.test.labels[:100]).mean() > 0.8
    assert target.response == "counts"
    assert target.queries == sum(
        row["search_queries"] + row["verification_queries"] for row in result.rows
    )
    assert result.success_rate > result.clean_error_rate + 0.3
    for image, found in zip(digits.test.images[:5], result.adversarial, strict=True):
        assert na.L2(2.0).holds(image, found)


def test_the_first_example_of_the_page_runs(capsys):
    run(EXAMPLE, {})
    assert "success rate" in capsys.readouterr().out


def test_the_snntorch_tutorial_runs_from_its_first_line_to_its_last(tmp_path, monkeypatch):
    pytest.importorskip("snntorch", reason="needs the peers, as .ci/run installs them")
    monkeypatch.chdir(tmp_path)
    names = {}
    for step in steps(TUTORIAL.read_text(encoding="utf-8")):
        if step.kind == "python":
            run(step.text, names, TUTORIAL)
        else:
            command = [sys.executable, "-m", "neuroattack", *step.arguments]
            subprocess.run(command, check=True)
    digits, result, noise = names["digits"], names["result"], names["noise"]
    assert (names["predicted"] == digits.test.labels).mean() > 0.9
    assert result.success_rate > 0.5 > noise.success_rate
    assert result.clean_error_rate < 0.1
    assert (tmp_path / "runs" / "snntorch" / "result.json").exists()
    assert na.load("snntorch.h5").input.shape == (28, 28)
