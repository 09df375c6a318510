"""Run the fixed suite of an audit against a deployed network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuroattack.datasets import Dataset
from neuroattack.datasets.noise import Noise
from neuroattack.deployment.meters import Meter
from neuroattack.deployment.provenance import provenance_of
from neuroattack.deployment.spec import DeploymentSpec, profile_checksum
from neuroattack.experiments.attack_cells import (
    Subject,
    attack_cell,
    keep_images,
    query_cost,
    verification_cell,
)
from neuroattack.experiments.audit.card import Card, judge
from neuroattack.experiments.audit.cells import (
    attack_openly,
    measure_accuracy,
    measure_costs,
    transform_images,
)
from neuroattack.experiments.audit.sections import (
    QUANTITY,
    QUANTITY_ATTACK,
    REFERENCE,
    Key,
    Results,
    bracket_of_audit,
    sections_of,
)
from neuroattack.experiments.audit.suite import (
    FAULT_MAPS,
    FAULT_RATES,
    NOISES,
    SENSOR_NOISES,
    Suite,
    other_deployments,
)
from neuroattack.experiments.chips.cells import keep_images as keep_images_with_labels
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.faults.accuracy import measure_with_faults
from neuroattack.experiments.faults.stored import FLOATING, Storage
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.experiments.substitutes import keep_substitutes
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.storage import load_network
from neuroattack.targets.black_box import METERS

__all__ = ["audit"]

# The white-box reference has no query budget; attacks take at least one query.
_NO_QUERIES = 1
# Duration of the reference for one image, in queries.
_REFERENCE_COST = 1500

Report = Callable[[str, float, str], None]


def audit(
    network: Path,
    dataset: Dataset,
    spec: DeploymentSpec,
    suite: Suite,
    folder: Path,
    *,
    skipped: Mapping[str, str] | None = None,
    command: str = "",
    workers: int | None = None,
    on_progress: Report | None = None,
) -> Card:
    """Run a suite against a network.

    Finished cells are stored in `folder`; the same call resumes an interrupted audit.
    """
    suite = suite.fitting(dataset)
    # Fail before any cell runs if there are too few images or the network does not fit.
    dataset.test.first(suite.images)
    loaded = load_network(network)
    spec = spec.for_samples(loaded, dataset.test.images)
    with spec.deploy(loaded) as deployment:
        for quantity in suite.quantities:
            if quantity in METERS:
                Meter(quantity).check(deployment)
        provenance = provenance_of(deployment, dataset.name, dataset.checksum, command)
    subject = Subject.kept(folder, dataset, [spec], network)
    has_rows = dataset.test.images.ndim > 2
    kept = keep_substitutes((settings for _, settings in suite.runs.values()), folder)
    settings = suite.as_json(dataset)
    run = _Run(subject, spec, suite, settings, kept, has_rows, folder, workers, on_progress)
    results = run.results()
    sections = sections_of(suite, run.settings["deployments"], results, skipped or {})
    largest = f"/{suite.budgets[-1]}"
    headline = judge(
        sections["clean"].figures[0],
        [figure for figure in sections["attacks"].figures if figure.key.endswith(largest)],
    )
    bracket = bracket_of_audit(suite, str(spec), results)
    return Card(run.settings, sections, headline, provenance, bracket)


@dataclass(frozen=True)
class _Run:
    subject: Subject
    spec: DeploymentSpec
    suite: Suite
    settings: Mapping[str, Any]
    substitutes: Mapping[str, str]
    has_rows: bool
    folder: Path
    workers: int | None
    on_progress: Report | None

    def results(self) -> Results:
        """Run all cells in two rounds: first the attacks, then the tests of their images."""
        first = self._results("Attacks", self._first_cells())
        source = self.suite.attacks[0], str(self.suite.budgets[-1])
        images = [result["adversarial"] for key, result in first.items() if key[:-1] == source]
        second = self._results("Other tests", self._second_cells(keep_images(images, self.folder)))
        return {**first, **second}

    def _results(self, stage: str, cells: Mapping[Key, Cell]) -> dict[Key, dict[str, Any]]:
        def report(fraction: float, state: str) -> None:
            if self.on_progress:
                self.on_progress(stage, fraction, state)

        results = run_cells(
            self.folder, list(cells.values()), workers=self.workers, on_progress=report
        )
        return dict(zip(cells, results, strict=True))

    def _cell(
        self, name: str, work: Callable[..., dict[str, Any]], queries: int, /, **arguments: Any
    ) -> Cell:
        audited = {
            **self.subject.as_json(),
            "deployment": str(self.spec),
            "profile": profile_checksum(self.spec),
        }
        return Cell(
            f"audit-{name}",
            work,
            {"audited": audited, **arguments},
            queries * query_cost(self.spec),
        )

    def _first_cells(self) -> dict[Key, Cell]:
        suite = self.suite
        accuracy_images = self.settings["accuracy_images"]
        cells: dict[Key, Cell] = {}
        sensor: tuple[str | None, ...] = (None,) * len(NOISES)
        noises: tuple[Noise | None, ...] = NOISES
        if suite.bound.is_of_events:
            sensor, noises = SENSOR_NOISES, (None,) * len(SENSOR_NOISES)
        kinds = zip(("", *suite.noises), (None, *noises), (None, *sensor), strict=True)
        for name, noise, of_sensor in kinds:
            spec = self.spec if of_sensor is None else replace(self.spec, sensor_noise=of_sensor)
            cells["accuracy", name] = replace(self, spec=spec)._cell(
                name or "accuracy",
                measure_accuracy,
                accuracy_images,
                noise=None if noise is None else noise.as_json(),
                images=accuracy_images,
            )
        cells.update(self._faults() if suite.has_faults else {})
        cells["originals",] = verification_cell(
            self.subject, self.spec, [None], self._image_goals, suite.trials
        )
        for index in range(suite.images):
            for key, (name, settings) in suite.runs.items():
                for queries in suite.budgets:
                    cell = self._attack(name, settings, queries, index)
                    cells[key, str(queries), str(index)] = cell
            for quantity in suite.quantities:
                cell = self._attack(QUANTITY_ATTACK, {}, suite.budgets[-1], index, quantity)
                cells[QUANTITY, quantity, str(index)] = cell
            if suite.reference is not None:
                openly = self._attack(suite.reference, {}, _NO_QUERIES, index)
                cells[REFERENCE, str(index)] = replace(
                    openly, work=attack_openly, cost=_REFERENCE_COST * query_cost(self.spec)
                )
        return cells

    def _faults(self) -> dict[Key, Cell]:
        """Return the cells with random faults in memory, on the images for the accuracy."""
        network = load_network(self.folder / str(self.subject.network))
        dataset = dataset_of_cell(self.subject.dataset, self.subject.checksum)
        test = dataset.test.first(self.settings["accuracy_images"])
        chip = FLOATING[0] if self.spec.profile is None else load_profile(self.spec.profile)
        arguments = {
            "network": self.subject.network,
            "images": keep_images_with_labels(self.folder, test.images, test.labels),
            "storage": Storage(chip, self.spec.rounding or Rounding()).as_json(),
            "kind": "flip",
            "bits": "all",
            "steps": network.input.time_steps(self.spec.steps, test.images.shape),
            "backend": self.spec.backend,
            "seed": self.spec.seed,
        }
        return {
            ("faults", f"{rate:g}", str(number)): Cell(
                f"audit-faults-{rate:g}-{number}",
                measure_with_faults,
                {**arguments, "rate": rate, "number": number},
                len(test.labels) * query_cost(self.spec),
            )
            for rate in FAULT_RATES
            for number in range(FAULT_MAPS)
        }

    def _attack(
        self,
        name: str,
        settings: Mapping[str, Any],
        queries: int,
        index: int,
        quantity: Any = None,
    ) -> Cell:
        return attack_cell(
            self.subject,
            self.spec,
            attack=name,
            bound=str(self.suite.bound),
            budget=queries,
            index=index,
            seed=self.spec.seed,
            trials=self.suite.trials,
            maximize=quantity,
            settings=settings,
            substitutes=self.substitutes,
        )

    @property
    def _image_goals(self) -> list[tuple[int, int | None]]:
        return [(index, None) for index in range(self.suite.images)]

    def _second_cells(self, images: str) -> dict[Key, Cell]:
        suite = self.suite
        arguments = {
            "indices": list(range(suite.images)),
            "images": images,
            "trials": suite.trials,
        }
        queries = 2 * suite.images * suite.trials
        cells: dict[Key, Cell] = {}
        for role, spec in other_deployments(self.spec).items():
            if role not in suite.deployments:
                continue
            cells["transfer", role] = verification_cell(
                self.subject, spec, [images, None], self._image_goals, suite.trials
            )
        for each in suite.transformations if self.has_rows else ():
            cells["transformations", each.name] = self._cell(
                f"transformed-{each.name}",
                transform_images,
                queries + queries // 2,
                transformation=each.as_json(),
                **arguments,
            )
        cells["energy",] = self._cell("energy", measure_costs, queries, **arguments)
        return cells
