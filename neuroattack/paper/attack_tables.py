"""Tables II and III and Figures 6 to 9: Algorithm 1 on one "five", of the DNN and of the SDBN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import NeuroattackError
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.paper.attack_cells import attack_cell
from neuroattack.paper.published import (
    ATTACK_CASES,
    TABLE_II,
    TABLE_III,
    AttackRow,
)
from neuroattack.paper.settings import (
    DNN,
    SDBN,
    SOURCE,
    TARGET,
    PaperRun,
)

__all__ = ["AttackTable", "Sample", "attack_table", "choose_sample"]

SHARE_DRAWS = 20
"""Draws in whose mean the SDBN's clean shares are taken to choose the sample."""


@dataclass(frozen=True)
class Sample:
    """The image that is attacked.

    Parameters
    ----------
    index : int
        Of the test image.
    mismatch : float
        Sum over both networks of how far its shares of "five" and of "three" are from the paper's.
    sdbn_shares, dnn_shares : tuple of float
        Its clean shares, the SDBN's in the mean of :data:`SHARE_DRAWS` draws.
    """

    index: int
    mismatch: float
    sdbn_shares: tuple[float, ...]
    dnn_shares: tuple[float, ...]


def choose_sample(run: PaperRun) -> Sample:
    """Return the test "five" whose clean shares are nearest the paper's.

    Among those that both networks classify correctly, the smallest sum of the four absolute
    differences: P(five) and P(three), of SDBN and DNN, each against iteration 0 of Tables III and
    II. How well an attack does on it plays no part.

    Raises
    ------
    NeuroattackError
        If no "five" is classified correctly by both.
    """
    labels = run.dataset.test.labels
    fives = np.flatnonzero(labels == SOURCE)
    mismatch = np.zeros(len(fives))
    clean = []
    for name, rows, draws in ((SDBN, TABLE_III, SHARE_DRAWS), (DNN, TABLE_II, 1)):
        decided, shares = run.clean_shares(name, fives.tolist(), draws)
        mismatch += np.abs(shares[:, SOURCE] - rows[0].p_max_class / 100)
        mismatch += np.abs(shares[:, TARGET] - rows[0].p_target / 100)
        mismatch[decided != SOURCE] = np.inf
        clean.append(shares)
    best = int(mismatch.argmin())
    if not np.isfinite(mismatch[best]):
        raise NeuroattackError(f"no test image of class {SOURCE} is classified correctly by both")
    return Sample(
        int(fives[best]),
        float(mismatch[best]),
        tuple(clean[0][best].tolist()),
        tuple(clean[1][best].tolist()),
    )


@dataclass(frozen=True, eq=False)
class AttackTable:
    """Both cases of the attack on one network.

    Parameters
    ----------
    network : str
        Its name.
    sample : Sample
        What was attacked.
    windows : mapping of str to mapping
        Window of each case: ``top``, ``left``, ``size``.
    attacks : mapping of str to mapping
        Of each case, as :func:`neuroattack.paper.attack_cells.attack_images` gives it.
    courses : mapping of str to array, shape (iterations, height, width)
        Images of all iterations of each case.
    paper_rows : tuple of AttackRow
        What the paper has.
    """

    network: str
    sample: Sample
    windows: Mapping[str, Mapping[str, int]]
    attacks: Mapping[str, Mapping[str, Any]]
    courses: Mapping[str, NDArray[np.float64]]
    paper_rows: Sequence[AttackRow]

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON values, shares in [0, 1]."""
        return {
            "network": self.network,
            "sample_index": self.sample.index,
            "sample_mismatch": self.sample.mismatch,
            "label": SOURCE,
            "target_class": TARGET,
            "rows": [
                {
                    "case": case,
                    "iteration": iteration,
                    "p_max_class": shares[SOURCE],
                    "p_target": shares[TARGET],
                    "distance": distance,
                }
                for case, attack in self.attacks.items()
                for iteration, (shares, distance) in enumerate(
                    zip(attack["shares"], attack["distances"], strict=True)
                )
            ],
            "cases": {
                case: {
                    "window": dict(self.windows[case]),
                    "shares": attack["shares"],
                    "predicted": attack["predicted"],
                    **{
                        name: attack[name]
                        for name in (
                            "best_iteration",
                            "stopped_by",
                            "queries",
                            "draws",
                            "targeted",
                            "untargeted",
                            "mean_shares",
                            "clean",
                            "imperceptibility",
                        )
                    },
                }
                for case, attack in self.attacks.items()
            },
            "paper_rows": [
                {
                    **asdict(row),
                    "p_max_class": row.p_max_class / 100,
                    "p_target": row.p_target / 100,
                }
                for row in self.paper_rows
            ],
        }


def attack_table(run: PaperRun, network: str) -> AttackTable:
    """Attack the sample in both cases.

    Parameters
    ----------
    run : PaperRun
        The run.
    network : {"sdbn", "sdbn-exact", "sdbn-fine-tuned", "dnn"}
        Which network.
    """
    sample = choose_sample(run)
    shape = run.dataset.test.images.shape[1:]
    attacks = {case: run.attack(size) for case, size in ATTACK_CASES.items()}
    cells = [
        attack_cell(
            f"table-{network}-{case}",
            run.attacked(network),
            attack,
            [(sample.index, TARGET)],
            run.dataset,
            seed=run.settings.seed,
            draws=run.settings.draws,
            keep_course=True,
        )
        for case, attack in attacks.items()
    ]
    results = dict(zip(attacks, run.run("Attacking", cells), strict=True))
    courses = {}
    for case, result in results.items():
        (courses[case],) = read_kept(run.folder / result["images"], "course0")
    return AttackTable(
        network,
        sample,
        {case: asdict(attack.window_in(shape)) for case, attack in attacks.items()},
        {case: result["attacks"][0] for case, result in results.items()},
        courses,
        TABLE_II if network == DNN else TABLE_III,
    )
