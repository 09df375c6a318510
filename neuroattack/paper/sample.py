"""The attack on one "five" of the DNN and of the SDBN: Tables II and III, Figures 6 to 9."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuroattack.errors import NeuroattackError
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.paper.networks import DNN, FINE_TUNED, SDBN
from neuroattack.paper.published import ATTACK_CASES, TABLE_II, TABLE_III, AttackRow
from neuroattack.paper.settings import SOURCE, TARGET, PaperRun, Study

__all__ = ["attack_figures", "choose_sample", "clean", "images", "stages", "windows"]
__all__ += ["table_three", "table_two"]

FRACTION_TRIALS = 20
"""Trials that the clean output spike fractions of the SDBN are averaged over."""

# Stages of an attack as in the paper: the clean image, the last iteration but one, and the last.
_STAGES = ("initial", "intermediate", "final")

# Results of each case, besides its window.
_CASE_KEYS = (
    *(
        "spike_fractions",
        "predicted",
        "best_iteration",
        "stopped_by",
        "queries",
        "trials",
        "targeted",
    ),
    *("untargeted", "mean_spike_fractions", "clean", "imperceptibility"),
)


@dataclass(frozen=True)
class Sample:
    """The attacked image.

    Parameters
    ----------
    index : int
        Index of the test image.
    mismatch : float
        Sum over both networks of the absolute differences from the paper's P(five) and P(three).
    spike_fractions : tuple of float
        Clean output spike fractions on the SDBN, means over :data:`FRACTION_TRIALS` trials.
    """

    index: int
    mismatch: float
    spike_fractions: tuple[float, ...]


def choose_sample(run: PaperRun) -> Sample:
    """Return the test "five" whose clean outputs are nearest to the paper's.

    Among the images that both networks classify correctly, this is the one with the smallest sum of
    four absolute differences: P(five) and P(three), on the SDBN and on the DNN, from iteration 0 of
    Tables III and II. The success of an attack plays no part.

    Raises
    ------
    NeuroattackError
        If no "five" is classified correctly by both networks.
    """
    fives = np.flatnonzero(run.dataset.test.labels == SOURCE)
    mismatch = np.zeros(len(fives))
    clean = {}
    for name, rows, trials in ((SDBN, TABLE_III, FRACTION_TRIALS), (DNN, TABLE_II, 1)):
        decided, spike_fractions = run.clean_fractions(name, fives.tolist(), trials)
        mismatch += np.abs(spike_fractions[:, SOURCE] - rows[0].p_max_class / 100)
        mismatch += np.abs(spike_fractions[:, TARGET] - rows[0].p_target / 100)
        mismatch[decided != SOURCE] = np.inf
        clean[name] = spike_fractions
    best = int(mismatch.argmin())
    if not np.isfinite(mismatch[best]):
        text = f"no test image of class {SOURCE} is classified correctly by both networks"
        raise NeuroattackError(text)
    return Sample(int(fives[best]), float(mismatch[best]), tuple(clean[SDBN][best].tolist()))


def attack_figures(
    network: str, sample: Sample, sizes: Mapping[str, Any], attacks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return Table II or III as JSON values, with probabilities in [0, 1].

    Parameters
    ----------
    network : str
        Key of the network.
    sample : Sample
        The attacked image.
    sizes : mapping
        Window of each case: ``top``, ``left`` and ``size``.
    attacks : mapping
        Result of each case, from :func:`neuroattack.paper.cells.attack_images`.
    """
    published = TABLE_II if network == DNN else TABLE_III
    return {
        "network": network,
        "sample_index": sample.index,
        "sample_mismatch": sample.mismatch,
        "label": SOURCE,
        "target_class": TARGET,
        "rows": [
            {
                "case": case,
                "iteration": iteration,
                "p_max_class": spike_fractions[SOURCE],
                "p_target": spike_fractions[TARGET],
                "distance": distance,
            }
            for case, attack in attacks.items()
            for iteration, (spike_fractions, distance) in enumerate(
                zip(attack["spike_fractions"], attack["distances"], strict=True)
            )
        ],
        "cases": {
            case: {"window": dict(sizes[case]), **{name: attack[name] for name in _CASE_KEYS}}
            for case, attack in attacks.items()
        },
        "paper_rows": [{**asdict(row), **_fractions(row)} for row in published],
    }


def _fractions(row: AttackRow) -> dict[str, float]:
    return {"p_max_class": row.p_max_class / 100, "p_target": row.p_target / 100}


def _attack(run: PaperRun, network: str) -> Study:
    """Attack the sample in both cases; also return the images of all iterations, by case."""
    sample = choose_sample(run)
    attacks = {case: run.attack(size) for case, size in ATTACK_CASES.items()}
    image_goals, attacked = [(sample.index, TARGET)], run.attacked(network)
    cells = [
        run.attack_cell(f"table-{network}-{case}", attacked, attack, image_goals, keep_history=True)
        for case, attack in attacks.items()
    ]
    results = dict(zip(attacks, run.run("Attacking", cells), strict=True))
    shape = run.dataset.test.images.shape[1:]
    sizes = {case: asdict(attack.window_in(shape)) for case, attack in attacks.items()}
    found = {case: result["attacks"][0] for case, result in results.items()}
    histories = {
        f"case{case}": read_kept(run.folder / result["images"], "history0")[0]
        for case, result in results.items()
    }
    return attack_figures(network, sample, sizes, found), histories


def table_two(run: PaperRun) -> Study:
    """Return Table II: the attack on the DNN."""
    return _attack(run, DNN)


def table_three(run: PaperRun) -> Study:
    """Return Table III: the attack on the SDBN, spiking and as rates, and fine-tuned."""
    figures, histories = _attack(run, SDBN)
    others = {name: _attack(run, name)[0] for name in (f"{SDBN}-exact", FINE_TUNED)}
    return {**figures, "other_networks": others}, histories


def windows(run: PaperRun) -> Study:
    """Return Figure 6: the attacked image and the window of each case."""
    sample = choose_sample(run)
    shape = run.dataset.test.images.shape[1:]
    sizes = {case: asdict(run.attack(size).window_in(shape)) for case, size in ATTACK_CASES.items()}
    image, _ = run.dataset.test.pick(sample.index)
    return {"sample_index": sample.index, "windows": sizes}, {"sample": image}


def stages(run: PaperRun) -> Study:
    """Return Figure 7: the DNN's probabilities of all classes at three stages of the attack."""
    figures, _ = images(run)
    table, _ = _attack(run, DNN)
    cases = {
        case: {
            stage: table["cases"][case]["spike_fractions"][one["iteration"]]
            for stage, one in of_case.items()
        }
        for case, of_case in figures["cases"].items()
    }
    paper = {
        case: dict(
            zip(_STAGES, [_fractions(row) for row in TABLE_II if row.case == case], strict=True)
        )
        for case in cases
    }
    return {"cases": cases, "paper": paper}, {}


def images(run: PaperRun) -> Study:
    """Return Figure 8: the DNN's adversarial images at three stages of the attack."""
    table, histories = _attack(run, DNN)
    cases: dict[str, Any] = {case: {} for case in table["cases"]}
    shown = {}
    for case, stages in cases.items():
        rows = [row for row in table["rows"] if row["case"] == case]
        last = len(rows) - 1
        for stage, at in zip(_STAGES, (0, max(last - 1, 0), last), strict=True):
            stages[stage] = {"iteration": at, "distance": rows[at]["distance"]}
            shown[f"{case}-{stage}"] = histories[f"case{case}"][at]
    return {"cases": cases, "sample_index": table["sample_index"]}, shown


def clean(run: PaperRun) -> Study:
    """Return Figure 9: the clean output spike fractions of the SDBN for all classes."""
    sample, paper = choose_sample(run), _fractions(TABLE_III[0])
    spike_fractions = {"spike_fractions": list(sample.spike_fractions), "trials": FRACTION_TRIALS}
    return {"sample_index": sample.index, **spike_fractions, "paper": paper}, {}
