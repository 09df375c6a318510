"""What the documentation tells people to type, in the order in which it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from neuroattack.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    # What docs/paper holds are tables that docs/paper.md includes.
    if not any(page.is_relative_to(ROOT / "docs" / folder) for folder in ("site", "paper"))
)

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINES = re.compile(
    r"^(?: {4}|\$ )(?:uv run )?(?P<command>neuroattack (?:[^\n]*\\\n)*[^\n]*)$", re.M
)
_INLINE = re.compile(r"`(?:uv run )?(?P<command>neuroattack [^`\n]*)`")
_FILE = re.compile(r"# (?P<name>[\w.-]+\.(?:toml|py))\n")


@dataclass(frozen=True)
class Step:
    """A command to run, a piece of Python to run, or a file to write.

    Parameters
    ----------
    kind : {"command", "python", "file"}
        Which of them.
    text : str
        The command without ``neuroattack``, the code, or what is in the file.
    name : str, optional
        Of the file, which its first line says in a comment.
    """

    kind: str
    text: str
    name: str = ""

    @property
    def arguments(self) -> list[str]:
        """The arguments of a command, less its comment and where its output goes."""
        found = shlex.split(self.text.replace("\\\n", " "), comments=True)
        return found[: found.index(">")] if ">" in found else found


def steps(text: str) -> list[Step]:
    """Return the steps of a page: whole lines and blocks, not what is said in passing."""
    found: list[tuple[int, Step]] = []
    for block in _BLOCK.finditer(text):
        named = _FILE.match(block["text"])
        if named and block["language"] in ("toml", "python"):
            found.append((block.start(), Step("file", block["text"], named["name"])))
        elif block["language"] == "python":
            found.append((block.start(), Step("python", block["text"])))
    found += [
        (line.start(), Step("command", line["command"][12:])) for line in _LINES.finditer(text)
    ]
    return [step for _, step in sorted(found, key=lambda pair: pair[0])]


def commands_in_passing(text: str) -> Iterator[Step]:
    """Yield the commands that stand inside sentences and tables, placeholders and all."""
    for found in _INLINE.finditer(text):
        yield Step("command", found["command"].removeprefix("neuroattack").strip())


def read_as_the_program_would(arguments: Sequence[str]) -> str | None:
    """Parse a command line; return the error of a reader in a hurry, None where there is none."""
    command: Any = typer.main.get_command(app)
    rest, context = list(arguments), None
    name = "neuroattack"
    try:
        while True:
            context = command.make_context(name, rest, parent=context)
            if not hasattr(command, "resolve_command"):
                return None
            left = [*context._protected_args, *context.args]
            if not left:
                return None
            name, command, rest = command.resolve_command(context, left)
    except Exception as error:
        # typer has classes of its own for these, which have no public name.
        return f"{type(error).__name__}: {error}"
