"""What the documentation tells people to type works, in the order in which it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

# In .ci/run, as the README's own command.
ELSEWHERE = {"demo"}


def steps(page):
    """Yield the commands and Python blocks of a page, as argument lists, in their order."""
    text = page.read_text(encoding="utf-8")
    pattern = r"^```python\n(?P<code>.*?)^```|^ {4}uv run neuroattack (?P<command>[^\n]*)$"
    for found in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if found["code"]:
            yield ["-c", found["code"]]
        else:
            yield ["-m", "neuroattack", *shlex.split(found["command"])]


def test_steps_are_found():
    found = [step[2] for step in steps(DOCS / "getting-started.md") if step[0] == "-m"]
    assert found[:4] == ["demo", "train", "convert", "evaluate"]
    assert ["-c"] in [step[:1] for step in steps(DOCS / "getting-started.md")]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["getting-started.md"])
def test_a_page_works_from_its_first_line_to_its_last(page, tmp_path):
    for step in steps(DOCS / page):
        if step[0] == "-m" and step[2] in ELSEWHERE:
            continue
        done = subprocess.run(
            [sys.executable, *step], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{step}: {done.stderr}"
