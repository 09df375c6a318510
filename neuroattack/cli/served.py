"""Attacks on a network that a server offers by its address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuroattack.cli.images import WantedImage
from neuroattack.errors import BackendUnavailableError, FileError, ValidationError
from neuroattack.report.terminal import console, tables

if TYPE_CHECKING:
    from neuroattack.attacks.greedy import GreedyWindow
    from neuroattack.attacks.result import Step

__all__ = ["ServedNetwork", "attack_served", "check_left_to_server"]

_LARGEST_TOKEN_FILE = 2**16


@dataclass(frozen=True)
class ServedNetwork:
    """A served network's address, and what it takes to be let in."""

    url: str
    token_file: Path | None
    ca_file: Path | None

    def token(self) -> str | None:
        """Return the token of the file, which holds nothing else."""
        from neuroattack.files import require_file

        if self.token_file is None:
            return None
        path = require_file(self.token_file, _LARGEST_TOKEN_FILE, "a file with a bearer token")
        words = path.read_text(encoding="utf-8", errors="replace").split()
        if len(words) != 1 or not words[0].isascii():
            raise FileError(path, f"holds {len(words)} words, expected a bearer token alone")
        return words[0]


def check_left_to_server(
    *, backend: str, precision: str | None, profile: str | None, search_draws: str
) -> None:
    """Raise ValidationError if a choice was made that is the server's."""
    for option, given, usual in (
        ("--backend", backend, "native"),
        ("--precision", precision, None),
        ("--profile", profile, None),
        ("--search-draws", search_draws, "independent"),
    ):
        if given != usual:
            raise ValidationError(option, given, "none: how a served network runs is its server's")


def attack_served(
    network: ServedNetwork,
    search_on: Callable[[tuple[int, ...]], GreedyWindow],
    wanted: WantedImage,
    target_class: int | None,
    *,
    draws: int,
    budget: int | None,
    out: Path | None,
    json: bool,
) -> None:
    """Attack an image on a served network; print the figures, and write them to a folder."""
    from neuroattack.attacks.result import Goal
    from neuroattack.experiments.attack import attack_target
    from neuroattack.files import write_arrays, write_json
    from neuroattack.provenance import machine_text, versions_text

    try:
        from neuroattack.remote.client import RemoteTarget
    except ImportError as error:
        raise BackendUnavailableError(
            "served networks are asked by httpx: pip install 'neuroattack[remote]'"
        ) from error

    ca_file = None if network.ca_file is None else str(network.ca_file)
    with (
        RemoteTarget(network.url, token=network.token(), ca_file=ca_file) as target,
        console.progress_bars() as show,
    ):
        chosen = wanted.load(target.image_shape, {})
        search = search_on(target.image_shape)

        def on_step(step: Step) -> None:
            show("Attacking", step.distance / search.max_distance, f"iteration {step.iteration}")

        outcome = attack_target(
            target,
            search,
            chosen.pixels,
            Goal(chosen.label, target_class),
            index=wanted.index,
            draws=draws,
            budget=budget,
            on_step=on_step,
        )
    figures = outcome.as_json() | {
        "target": network.url,
        "provenance": {
            "command": console.command_line(),
            "dataset": chosen.name,
            "dataset_checksum": chosen.checksum,
            "versions": versions_text(),
            "machine": machine_text(),
        },
    }
    if json:
        console.print_json(figures)
    else:
        tables.print_trace(figures["trace"], figures["label"], figures["target_class"])
        tables.print_attacks([figures])
    if out:
        write_json(out / "result.json", figures)
        write_arrays(out / "images.npz", outcome.arrays())
        console.note(f"Written: {out / 'result.json'}, {out / 'images.npz'}")
