"""Commands about hardware profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroattack.cli.arguments.examples import example
from neuroattack.cli.arguments.options import Json
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.profile import Profile

__all__ = ["profiles"]

profiles = typer.Typer(
    help="List, show or check hardware profiles.\n\nA profile contains the resource limits, number "
    "formats and energy coefficients of a chip, with their sources.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

ProfileName = Annotated[
    str, typer.Argument(metavar="PROFILE", help="Name that 'profiles' lists, or a .toml file.")
]


@profiles.callback()
def _list_by_default(context: typer.Context, json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_(json)


@profiles.command("list", epilog=example("profiles list"))
def list_(json: Json = False) -> None:
    """List the included profiles."""
    from neuroattack.hardware.profiles.files import list_profiles, load_profile

    found = [_summary(load_profile(name)) for name in list_profiles()]
    if json:
        console.print_json({"profiles": found})
        return
    console.print_rows(
        "Hardware profiles",
        ["id", "name", "arithmetic", "cores", "energy scope", "weakest basis"],
        [
            [
                each["id"],
                each["name"],
                each["arithmetic"],
                str(each["cores"] or "unknown"),
                each["energy_scope"] if each["weakest_basis"] else "no published coefficient",
                each["weakest_basis"] or "",
            ]
            for each in found
        ],
    )


@profiles.command(epilog=example("profiles show"))
def show(profile: ProfileName, json: Json = False) -> None:
    """Print every number of a profile with its source."""
    from neuroattack.hardware.profiles.files import load_profile

    chip = load_profile(profile)
    if json:
        console.print_json(
            {
                **_summary(chip),
                "neuron_models": list(chip.document.neuron_models),
                "update_policy": chip.document.update_policy,
                "entries": list(chip.entries()),
                "unknown": list(chip.document.unknown),
                "not_applicable": list(chip.document.not_applicable),
            }
        )
        return
    console.print_rows(
        f"{chip.name} ({chip.id}), update policy {chip.document.update_policy}",
        ["quantity", "value", "source", "basis", "conditions", "note"],
        [
            [
                f"{entry['table']}.{entry['key']}",
                _value(entry),
                f"{entry['reference']} ({entry['access']}), {entry['location']}",
                entry["basis"],
                entry["conditions"],
                entry["note"],
            ]
            for entry in chip.entries()
        ],
    )
    for title, names in (
        ("Unknown", chip.document.unknown),
        ("Not applicable", chip.document.not_applicable),
    ):
        console.print_text(f"{title}: {', '.join(names) or 'none'}\n")


@profiles.command(epilog=example("profiles check"))
def check(profile: ProfileName, json: Json = False) -> None:
    """Check that a profile is valid."""
    from neuroattack.hardware.profiles.files import load_profile

    chip = load_profile(profile)
    entries = list(chip.entries())
    figures = {
        **_summary(chip),
        "valid": True,
        "numbers": sum(entry["table"] != "lacks" for entry in entries),
        "sources": len({entry["reference"] for entry in entries}),
        "unknown": len(chip.document.unknown),
    }
    if json:
        console.print_json(figures)
        return
    console.print_text(
        f"{profile}: profile {chip.id!r} is valid: {figures['numbers']} numbers from "
        f"{figures['sources']} sources, {figures['unknown']} listed as unknown\n"
    )


def _summary(chip: Profile) -> dict[str, Any]:
    return {
        "id": chip.id,
        "name": chip.name,
        "checksum": chip.checksum,
        "arithmetic": chip.arithmetic,
        "cores": chip.core_limits().cores_per_chip,
        "energy_scope": chip.document.energy_scope,
        "weakest_basis": chip.weakest_basis(),
    }


def _value(entry: dict[str, Any]) -> str:
    words, value = [], entry["value"]
    if entry["table"] == "lacks":
        words.append("not supported")
    elif isinstance(value, list):
        joint = " to " if entry["table"] == "format" and isinstance(value[0], int) else ", "
        words.append(joint.join(map(str, value)))
    elif isinstance(value, str):
        words.append(value.replace("_", " "))
    elif value is not None:
        words.append(f"{value:.12g}")
    words.append(entry["unit"])
    for name, detail in entry["details"].items():
        plain = ", ".join(map(str, detail)) if isinstance(detail, list) else detail
        words.append(f"{name} {plain},")
    if entry["bound"]:
        words.append({"min": "at least", "max": "at most"}[entry["bound"]])
    return " ".join(word for word in words if word).rstrip(",")
