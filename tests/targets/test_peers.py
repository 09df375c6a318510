"""The networks of docs/howto/attack-your-function.md, trained for a moment and attacked.

Where the peers are not installed, as ``.ci/run`` does it, these tests are skipped.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import neuroattack as na

torch = pytest.importorskip("torch", reason="needs the peers, as .ci/run installs them")

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "attack-your-function.md"
ATTACK, *NETWORKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(block, names):
    exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102  # it is ours


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
