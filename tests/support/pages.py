"""Commands, Python code and files in the documentation, in the order of each page."""

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
    # docs/paper holds tables that docs/paper.md includes.
    if not any(page.is_relative_to(ROOT / "docs" / folder) for folder in ("site", "paper"))
)

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
# An environment variable or an option of uv may precede the program.
_PROGRAM = (
    r"(?:[A-Z_]+=\S+ )*(?:uv run (?:--\S+ \S+ )*)?(?P<command>neuroattack (?:[^\n]*\\\n)*[^\n]*)$"
)
_LINE = re.compile(r"^(?: {4}|\$ )" + _PROGRAM, re.MULTILINE)
_SHELL_LINE = re.compile("^" + _PROGRAM, re.MULTILINE)
_SHELL = ("sh", "bash", "shell")
_INLINE = re.compile(
    r"`(?:[A-Z_]+=\S+ )*(?:uv run (?:--\S+ \S+ )*)?(?P<command>neuroattack [^`\n]*)`"
)
_FILE = re.compile(r"# (?P<name>[\w.-]+\.(?:toml|py))\n")
_END_OF_COMMAND = (">", "|", "||", "&&")


@dataclass(frozen=True)
class Step:
    """A command to run or to show, Python code to run, or a file to write.

    Parameters
    ----------
    kind : {"command", "shown command", "python", "file"}
        Kind of step. A shown command is valid, but is not run with the page.
    text : str
        The command without ``neuroattack``, the code, or the content of the file.
    name : str, optional
        Name of the file, from the comment in its first line.
    """

    kind: str
    text: str
    name: str = ""

    @property
    def arguments(self) -> list[str]:
        """Arguments of a command, without comments, redirections and further commands."""
        found = shlex.split(self.text.replace("\\\n", " "), comments=True)
        ends = [found.index(sign) for sign in _END_OF_COMMAND if sign in found]
        return found[: min(ends, default=None)]


def steps(text: str) -> list[Step]:
    """Return the steps of a page: lines and blocks, without the commands inside sentences.

    A command is a line indented by four spaces or after ``$``. A line in a shell block is a shown
    command: such blocks may need files that a page does not make, or fail on purpose.
    """
    found: list[tuple[int, Step]] = []
    for block in _BLOCK.finditer(text):
        named = _FILE.match(block["text"])
        if named and block["language"] in ("toml", "python"):
            found.append((block.start(), Step("file", block["text"], named["name"])))
        elif block["language"] == "python":
            found.append((block.start(), Step("python", block["text"])))
        elif block["language"] in _SHELL:
            start = block.start("text")
            found += [
                (start + line.start(), _command(line["command"], "shown command"))
                for line in _SHELL_LINE.finditer(block["text"])
            ]
    found += [(line.start(), _command(line["command"])) for line in _LINE.finditer(text)]
    return [step for _, step in sorted(found, key=lambda pair: pair[0])]


def _command(text: str, kind: str = "command") -> Step:
    return Step(kind, text.removeprefix("neuroattack").lstrip())


def commands_in_passing(text: str) -> Iterator[Step]:
    """Yield the commands inside sentences and tables, with their placeholders."""
    for found in _INLINE.finditer(text):
        yield _command(found["command"])


def read_as_the_program_would(arguments: Sequence[str]) -> str | None:
    """Parse a command line; return its error message, or None if it is valid."""
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
        # Typer's own exception classes have no public names.
        return f"{type(error).__name__}: {error}"
