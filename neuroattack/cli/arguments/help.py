"""Help pages in plain text that group options and commands in panels.

rich's panels would double the time of ``--help``, and their boxes would stay in pipes and logs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from neuroattack.cli.arguments.options import PANELS

__all__ = ["PanelCommand", "PanelGroup"]

_FEW_OPTIONS = 8
_NAME_WIDTH = 26


class PanelCommand(TyperCommand):
    """A command whose help groups the options in panels if there are more than eight."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        shown = [(each, each.get_help_record(ctx)) for each in self.get_params(ctx)]
        arguments = [row for each, row in shown if each.param_type_name == "argument"]
        options = [(each, row) for each, row in shown if each.param_type_name == "option" and row]
        grouped = len(options) > _FEW_OPTIONS
        panels = [(_panel(each) if grouped else None, row) for each, row in options]
        rows = [("Arguments", row) for row in arguments if row]
        rows += [(name, row) for panel in PANELS for name, row in panels if name == panel]
        rows += [("Options", row) for name, row in panels if name is None]
        _write_panels(formatter, rows)


def _panel(option: Any) -> str | None:
    listed = (panel for panel, names in PANELS.items() if option.name in names)
    return getattr(option, "rich_help_panel", None) or next(listed, None)


class PanelGroup(TyperGroup):
    """A group of commands whose help lists them by panel, in the order of their registration."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and summaries of the commands."""
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        rows: list[tuple[str, tuple[str, str]]] = []
        for name in names:
            command: Any = self.get_command(ctx, name)
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            rows.append((panel, (name, command.get_short_help_str(limit))))
        _write_panels(formatter, rows)


def _write_panels(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Write names and texts below the heading of their panel, in columns of one width."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    longest = max(len(name) for panel in panels.values() for name, _ in panel)
    width = min(longest, _NAME_WIDTH)

    def wrapped(text: str) -> str:
        # Click would break names at their hyphens. It leaves lines after a backspace alone.
        lines = textwrap.wrap(text, formatter.width - width - 4, break_on_hyphens=False)
        return "\b\n" + "\n".join(lines)

    for panel, shown in panels.items():
        with formatter.section(panel):
            formatter.write_dl(
                [(name.ljust(width), wrapped(text)) for name, text in shown], col_max=width
            )
