"""What docs/attacks.md says of the attacks, held to the code."""

import re
from pathlib import Path

import pytest
from support.digit_models import template_model

from neuroattack.attacks.registry import attack_names, load_attack
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert

PAGE = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_attack_is_named_with_its_class():
    for name in attack_names():
        assert f"`{name}`" in PAGE
        assert load_attack(name).__name__ in PAGE


def test_the_first_example_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs/demo").mkdir(parents=True)
    save_network(tmp_path / "runs/demo/network.h5", convert(template_model()).network)
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[0], "docs/attacks.md", "exec"), {})  # noqa: S102  # it is ours
    rate, rest = capsys.readouterr().out.split(" ", 1)
    assert 0 <= float(rate) <= 1
    assert int(rest.rsplit(" ", 1)[1]) <= 500


def test_the_example_for_users_of_art_names_what_there_is():
    pytest.importorskip("art", reason="needs the extra `attacks`")
    imports = "\n".join(line for line in BLOCKS[1].splitlines() if "import" in line)
    exec(compile(imports, "docs/attacks.md", "exec"), {})  # noqa: S102  # it is ours
