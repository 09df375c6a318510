"""Commands, code and links in the documentation work."""

import contextlib
import re
import subprocess
import sys

import pytest
from support.digit_models import template_model
from support.pages import PAGES, ROOT, commands_in_passing, read_as_the_program_would, steps
from support.remote_servers import ServeCommand

from neuroattack import __version__
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert

# PyTorch and its networks are not installed here: tests/targets/test_peers.py runs these pages.
TORCH = re.compile(r"^\s*(?:import|from) (?:torch|snntorch|norse|spikingjelly)\b", re.MULTILINE)
NEEDS_TORCH = {
    page
    for page in PAGES
    if any(
        step.kind in ("python", "file") and TORCH.search(step.text)
        for step in steps(page.read_text(encoding="utf-8"))
    )
}
# These pages are run from the first line to the last. Other pages show results of hours of work:
# their commands are parsed and their Python code is run. A cluster needs several processes:
# tests/experiments/campaign starts a scheduler and workers.
WHOLE = [
    page
    for page in PAGES
    if page not in NEEDS_TORCH
    and page.name != "cluster.md"
    and (
        page.name == "getting-started.md" or page.parent.name in ("concepts", "howto", "tutorials")
    )
]
# .ci/run runs the demo, as the first command of the README.
ELSEWHERE = {"demo"}
# Address of the server in the documentation.
SERVED = "http://127.0.0.1:8000"


def by_name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_command_of_a_page_is_one(page):
    text = page.read_text(encoding="utf-8")
    for step in steps(text):
        if step.kind in ("command", "shown command"):
            assert read_as_the_program_would(step.arguments) is None, step.text
    for step in commands_in_passing(text):
        error = read_as_the_program_would(step.arguments)
        # A command may be mentioned by its name only.
        named = len(step.arguments) <= 1 and error and error.startswith(("Missing", "NoArgs"))
        assert error is None or named, f"{step.text}: {error}"


def test_commands_and_links_are_found_in_the_pages():
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(step.kind == "command" for text in texts for step in steps(text)) > 35
    assert sum(len(list(commands_in_passing(text))) for text in texts) > 50
    assert sum(len(LINK.findall(text)) for text in texts) > 50


def test_commands_in_shell_blocks_are_found():
    text = """
```sh
pip install neuroattack
NAME=x uv run --python 3.10 neuroattack compare net.h5 \\
    --steps 3 > out.json || test $? -eq 1  # a comment
neuroattack doctor | tail
```
    uv run neuroattack backends
"""
    found = steps(text)
    assert [step.arguments for step in found] == [
        ["compare", "net.h5", "--steps", "3"],
        ["doctor"],
        ["backends"],
    ]
    assert [step.kind for step in found] == ["shown command", "shown command", "command"]


def test_invalid_commands_are_reported():
    assert "No such command" in read_as_the_program_would(["atack", "net.h5"])
    assert "No such option" in read_as_the_program_would(["attack", "net.h5", "--indx", "3"])
    assert "valid integer" in read_as_the_program_would(["attack", "net.h5", "--steps", "three"])
    assert "Missing parameter" in read_as_the_program_would(["attack"])
    assert read_as_the_program_would(["campaign", "status", "runs/x", "--json"]) is None
    assert "No such option" in read_as_the_program_would(["campaign", "file.toml", "--jsn"])


def as_a_script(page):
    """Return a Python program that runs the steps of a page in order."""
    whole = page in WHOLE
    lines = ["import pathlib, subprocess, sys"]
    for step in steps(page.read_text(encoding="utf-8")):
        if step.kind == "file":
            lines.append(f"pathlib.Path({step.name!r}).write_text({step.text!r}, encoding='utf-8')")
        elif step.kind == "python":
            lines.append(step.text)
        elif step.kind == "command" and whole and step.arguments[0] not in ELSEWHERE:
            command = ["-m", "neuroattack", *step.arguments]
            lines.append(f"subprocess.run([sys.executable, *{command!r}], check=True)")
    return "\n".join(lines)


def with_python(pages):
    return [
        page
        for page in pages
        if page not in NEEDS_TORCH
        and any(step.kind == "python" for step in steps(page.read_text(encoding="utf-8")))
    ]


# Definitions that the code of a page needs, besides runs/demo/network.h5.
BEFORE = {
    "docs/attacks.md": """
from art.estimators.classification import SklearnClassifier
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
x, y = load_digits(return_X_y=True)
classifier = SklearnClassifier(LogisticRegression(max_iter=200).fit(x / 16, y), clip_values=(0, 1))
x, y = x[:2] / 16, y[:2]
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({*WHOLE, *with_python(PAGES)}), ids=by_name)
def test_a_page_works_from_its_first_line_to_its_last(page, tmp_path):
    script = BEFORE.get(by_name(page), "") + as_a_script(page)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    save_network(tmp_path / "runs" / "demo" / "network.h5", convert(template_model()).network)
    with contextlib.ExitStack() as stack:
        if SERVED in script:
            server = stack.enter_context(ServeCommand(tmp_path / "runs" / "demo" / "network.h5"))
            script = script.replace(SERVED, f"http://127.0.0.1:{server.port}")
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<to>[^)\s]+)\)|!\[[^\]]*\]\((?P<picture>[^)\s]+)\)")
TOCTREE = re.compile(r"^```\{toctree\}\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)


def anchors(page):
    """Return the anchors of the headings of a page, as a code host makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_link_leads_somewhere(page):
    for found in LINK.finditer(page.read_text(encoding="utf-8")):
        to = found["to"] or found["picture"]
        if "://" in to:
            assert to.startswith("https://"), to
            continue
        path, _, anchor = to.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{to}: no such file"
        if anchor:
            assert anchor in anchors(target), f"{to}: no such heading"


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {
        line.strip()
        for block in TOCTREE.finditer(index)
        for line in block["lines"].splitlines()
        if line.strip() and not line.startswith(":")
    }
    there = {
        page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        for page in PAGES
        if page.is_relative_to(ROOT / "docs")
    }
    assert listed - {"reference"} - {one for one in listed if "notebooks/" in one} == there - {
        "index"
    }


def test_the_changelog_begins_with_unreleased_changes_or_this_version():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    released = headings[1:] if headings[0] == "Unreleased" else headings
    assert released[0].split()[0] == __version__
    versions = [tuple(map(int, one.split()[0].split("."))) for one in released]
    assert versions == sorted(versions, reverse=True)
