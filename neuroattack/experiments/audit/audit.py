"""An audit: a fixed suite run against a deployed network, and the card that says what it found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.provenance import provenance_of
from neuroattack.experiments.audit.card import Card, Section, judge
from neuroattack.experiments.audit.cells import (
    Audited,
    attack_images,
    judge_images,
    measure_accuracy,
    measure_costs,
    transform_images,
)
from neuroattack.experiments.audit.sections import Key, sections_of
from neuroattack.experiments.audit.suite import NOISES, SHOWN_TRANSFORMED, Suite, other_places
from neuroattack.experiments.engine.cells import Cell, run_cells
from neuroattack.experiments.model_cells import keep_network
from neuroattack.ir.storage import load_network
from neuroattack.targets.places import Place, profile_checksum

__all__ = ["audit"]

# Seconds on one core of a query of 350 steps, for the estimate of the time left.
_QUERY_COST = 6e-4
# Images that a cell attacks: few, so that a run that is stopped loses seconds.
_CHUNK = 5

Report = Callable[[str, float, str], None]


def audit(
    network: Path,
    dataset: Dataset,
    place: Place,
    suite: Suite,
    folder: Path,
    *,
    left_out: Mapping[str, str] | None = None,
    command: str = "",
    workers: int | None = None,
    on_progress: Report | None = None,
) -> Card:
    """Run a suite against a network.

    What is done is kept in the folder as it gets done, and is not done again.

    Parameters
    ----------
    network : Path
        File of the network.
    dataset : Dataset
        Whose test images are shown.
    place : Place
        Where the network is deployed.
    suite : Suite
        What to try; all its attacks are installed.
    folder : Path
        Where results of parts are kept.
    left_out : mapping of str to str, optional
        Attacks that are not in the suite, and why, for the card.
    command : str, optional
        Command line, for the card.
    workers : int, optional
        Processes side by side; by default one a core. Results do not depend on it.
    on_progress : callable, optional
        Called with what is being done, the fraction of it done, and a few words.

    Raises
    ------
    ValidationError
        If there are not as many images, or the network does not take them.
    NeuroattackError
        What deploying the network, or attacking it, raises.
    """
    dataset.test.first(suite.images)
    # Here, so that a network that does not fit is refused at once.
    with deploy(
        load_network(network),
        backend=place.backend,
        precision=place.precision,
        profile=place.profile,
        steps=place.steps,
        seed=place.seed,
    ) as deployment:
        provenance = provenance_of(deployment, dataset.name, dataset.checksum, command)
    audited = Audited(
        keep_network(network, folder),
        place,
        provenance.profile_checksum,
        dataset.name,
        dataset.checksum,
    )
    run = _Run(audited, suite, suite.as_json(dataset), folder, workers, on_progress)
    sections = run.sections(left_out or {})
    largest = f"/{suite.budgets[-1]}"
    headline = judge(
        sections["clean"].figures[0],
        [figure for figure in sections["attacks"].figures if figure.key.endswith(largest)],
        f"{len(suite.attacks)} attacks of at most {suite.budgets[-1]:,} queries, held to "
        f"{suite.limit}, were tried on {suite.images} images",
    )
    return Card(run.described, sections, headline, provenance)


@dataclass(frozen=True)
class _Run:
    audited: Audited
    suite: Suite
    described: Mapping[str, Any]
    folder: Path
    workers: int | None
    on_progress: Report | None

    def sections(self, left_out: Mapping[str, str]) -> dict[str, Section]:
        """Run all cells, in two rounds, and return what they found."""
        first = self._done("Attacking", self._first_cells())
        shown = self.suite.attacks[0], str(self.suite.budgets[-1])
        images = [result["images"] for key, result in first.items() if key[:-1] == shown]
        second = self._done("Trying images", self._second_cells(images))
        return sections_of(self.suite, self.described, {**first, **second}, left_out)

    def _done(self, words: str, cells: Mapping[Key, Cell]) -> dict[Key, dict[str, Any]]:
        def report(fraction: float, state: str) -> None:
            if self.on_progress:
                self.on_progress(words, fraction, state)

        results = run_cells(
            self.folder, list(cells.values()), workers=self.workers, on_progress=report
        )
        return dict(zip(cells, results, strict=True))

    def _cell(
        self, name: str, work: Callable[..., dict[str, Any]], queries: int, /, **arguments: Any
    ) -> Cell:
        place = self.audited.place
        return Cell(
            f"audit-{name}",
            work,
            {"audited": self.audited.as_json(), **arguments},
            queries * _QUERY_COST * place.steps / 350,
            files=("images",) if work is attack_images else (),
        )

    def _first_cells(self) -> dict[Key, Cell]:
        suite = self.suite
        shown = self.described["accuracy_images"]
        cells: dict[Key, Cell] = {}
        for noise in (None, *NOISES):
            name = "accuracy" if noise is None else f"{noise.kind}-{noise.delta:g}"
            cells["accuracy", "" if noise is None else name] = self._cell(
                name,
                measure_accuracy,
                shown,
                noise=None if noise is None else noise.as_json(),
                images=shown,
            )
        indices = list(range(suite.images))
        cells["originals",] = self._cell(
            "originals",
            judge_images,
            suite.images * suite.draws,
            indices=indices,
            images=[],
            draws=suite.draws,
        )
        for name, queries in itertools.product(suite.attacks, suite.budgets):
            for start in range(0, suite.images, _CHUNK):
                chunk = indices[start : start + _CHUNK]
                cells[name, str(queries), str(start)] = self._cell(
                    f"{name}-{queries}-{start}",
                    attack_images,
                    len(chunk) * (queries + suite.draws),
                    attack=name,
                    limit=str(suite.limit),
                    queries=queries,
                    indices=chunk,
                    draws=suite.draws,
                )
        return cells

    def _second_cells(self, images: list[str]) -> dict[Key, Cell]:
        suite = self.suite
        shown = {"indices": list(range(suite.images)), "images": images, "draws": suite.draws}
        queries = 2 * suite.images * suite.draws
        cells: dict[Key, Cell] = {}
        for role, place in other_places(self.audited.place).items():
            there = replace(
                self,
                audited=replace(
                    self.audited, place=place, profile_checksum=profile_checksum(place)
                ),
            )
            cells["transfer", role] = there._cell(
                f"transfer-{role}", judge_images, queries, **shown
            )
        for each in SHOWN_TRANSFORMED:
            cells["transformations", each.name] = self._cell(
                f"transformed-{each.name}",
                transform_images,
                queries + queries // 2,
                transformation=each.as_json(),
                **shown,
            )
        cells["energy",] = self._cell("energy", measure_costs, queries, **shown)
        return cells
