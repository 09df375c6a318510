"""Robustness bracket: clean error rate, black-box success and white-box success.

The robustness of a network against an attacker with a query budget lies between two measured
values: a black-box attack shows how often the network can be fooled at least, and an attack that
knows the weights shows how often it can be fooled, as far as the reference is strong enough.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from neuroattack.statistics import mean_interval, ratio_interval, wilson_interval

__all__ = [
    "WHITE_BOX",
    "Bracket",
    "BracketVerdict",
    "Estimate",
    "Level",
    "bracket_of",
    "is_of_classes",
]

WHITE_BOX = "white-box"
"""Threat model of the reference; attacks with any other threat model are black-box attacks."""

BracketVerdict = Literal["consistent", "weak-reference", "no-reference"]

# With five images, all of them exceed the reference by chance with a probability of 2^-5 > 2.5 %.
_FEWEST_IMAGES = 6

_Row = Mapping[str, Any]
# An attack with its settings.
_Attack = tuple[str, str]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; the interval is None if one image is too few for it."""

    value: float
    ci95: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {"value": self.value, "ci95": None if self.ci95 is None else list(self.ci95)}


@dataclass(frozen=True)
class Level:
    """The bracket at one bound and query budget.

    All values are means over the same images.

    Parameters
    ----------
    deployment, bound : str
        Attacked deployment and norm bound, as text.
    budget : int
        Query budget of the black-box attacks.
    targeted : bool
        Whether the attacks had target classes.
    images : int
        Number of images (and target classes) that all attacks share.
    attack, threat_model : str
        Black-box attack with the highest success rate, and its threat model.
    settings : mapping
        Settings of that attack other than the defaults.
    clean_error : Estimate
        Success rate of the clean images on fresh trials.
    black_box : Estimate
        Success rate of that attack.
    reference : str or None
        White-box attack with the highest success rate; None if there is none.
    white_box : Estimate or None
        Its success rate.
    efficiency : Estimate or None
        Black-box over white-box success rate; None if the latter is 0.
    excess : Estimate or None
        Mean difference over images, black-box minus white-box success rate.
    verdict : {"consistent", "weak-reference", "no-reference"}
        ``"weak-reference"`` if the interval of `excess` lies above 0 and there are at least six
        images.
    """

    deployment: str
    bound: str
    budget: int
    targeted: bool
    images: int
    attack: str
    threat_model: str
    settings: Mapping[str, Any]
    clean_error: Estimate
    black_box: Estimate
    reference: str | None = None
    white_box: Estimate | None = None
    efficiency: Estimate | None = None
    excess: Estimate | None = None

    @property
    def verdict(self) -> BracketVerdict:
        """Whether the black-box attack succeeds more often than the reference beyond chance."""
        if self.excess is None:
            return "no-reference"
        low = self.excess.ci95[0] if self.excess.ci95 else 0.0
        return "weak-reference" if low > 0 and self.images >= _FEWEST_IMAGES else "consistent"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        values = {
            name: value.as_json() if isinstance(value, Estimate) else value
            for name, value in vars(self).items()
        }
        return {**values, "settings": dict(self.settings), "verdict": self.verdict}


@dataclass(frozen=True)
class Bracket:
    """Robustness bracket by bound and query budget.

    Parameters
    ----------
    levels : tuple of Level
        In order of deployment, goal, bound and budget.
    missing : mapping of str to str, optional
        Reason by the name of each attack that should be part of the bracket and is not.
    """

    levels: tuple[Level, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> BracketVerdict:
        """``"weak-reference"`` if that of any level; then ``"no-reference"`` in the same way."""
        found = {level.verdict for level in self.levels} or {"no-reference"}
        order: tuple[BracketVerdict, ...] = ("weak-reference", "no-reference", "consistent")
        return next(each for each in order if each in found)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "verdict": self.verdict,
            "levels": [level.as_json() for level in self.levels],
            "missing": dict(self.missing),
        }


def is_of_classes(row: Mapping[str, Any]) -> bool:
    """Return whether an attack aims at another class, so that success is misclassification."""
    return row.get("goal", "untargeted") in ("untargeted", "targeted")


def bracket_of(rows: Iterable[_Row], missing: Mapping[str, str] | None = None) -> Bracket:
    """Return the bracket of attacks on the same images.

    Query budgets do not apply to white-box attacks: their rows are used at all budgets. Only images
    that all attacks of a level share are used, so that differences are paired.

    Parameters
    ----------
    rows : iterable of mapping
        One per attacked image, as from
        :func:`~neuroattack.experiments.campaign.export.result_rows`; used are ``attack``,
        ``settings`` (JSON), ``threat_model``, ``deployment``, ``bound``, ``budget``, ``index``,
        ``target_class``, ``success`` and ``clean_success``. Rows without a bound, and those of
        attacks that maximize a quantity, are ignored.
    missing : mapping of str to str, optional
        Reason by the name of each missing attack.
    """
    scopes: dict[tuple[str, bool, str], list[_Row]] = {}
    for row in rows:
        if row["bound"] and is_of_classes(row):
            scope = row["deployment"], row["target_class"] is not None, row["bound"]
            scopes.setdefault(scope, []).append(row)
    levels = []
    for (deployment, targeted, bound), group in scopes.items():
        references = _by_attack(row for row in group if row["threat_model"] == WHITE_BOX)
        black_box = [row for row in group if row["threat_model"] != WHITE_BOX]
        for budget in sorted({row["budget"] for row in black_box}):
            attacks = _by_attack(row for row in black_box if row["budget"] == budget)
            found = _level(attacks, references)
            if found:
                levels.append(Level(deployment, bound, budget, targeted, **found))
    return Bracket(tuple(levels), dict(missing or {}))


def _by_attack(rows: Iterable[_Row]) -> dict[_Attack, dict[tuple[Any, ...], _Row]]:
    """Return the row of each image by attack."""
    found: dict[_Attack, dict[tuple[Any, ...], _Row]] = {}
    for row in rows:
        image = row["index"], row["target_class"]
        found.setdefault((row["attack"], row["settings"]), {})[image] = row
    return found


def _level(
    attacks: Mapping[_Attack, Mapping[tuple[Any, ...], _Row]],
    references: Mapping[_Attack, Mapping[tuple[Any, ...], _Row]],
) -> dict[str, Any]:
    """Return the values of a level; empty if the attacks have no image in common."""
    compared = (*attacks.values(), *references.values())
    images = [image for image in compared[0] if all(image in each for each in compared)]
    if not images:
        return {}

    def success(by_image: Mapping[tuple[Any, ...], _Row]) -> list[float]:
        return [by_image[image]["success"] for image in images]

    (name, settings), strongest = max(attacks.items(), key=lambda item: sum(success(item[1])))
    black_box = success(strongest)
    values: dict[str, Any] = {
        "images": len(images),
        "attack": name,
        "threat_model": strongest[images[0]]["threat_model"],
        "settings": json.loads(settings),
        "clean_error": _rate([strongest[image]["clean_success"] for image in images]),
        "black_box": _rate(black_box),
    }
    if references:
        (reference, _), best = max(references.items(), key=lambda item: sum(success(item[1])))
        values |= {"reference": reference, **_compared(black_box, success(best))}
    return values


def _rate(rates: Sequence[float]) -> Estimate:
    return Estimate(statistics.fmean(rates), wilson_interval(sum(rates), len(rates)))


def _compared(black_box: Sequence[float], white_box: Sequence[float]) -> dict[str, Any]:
    """Compare the success rates of two attacks on the same images."""
    differences = [ours - theirs for ours, theirs in zip(black_box, white_box, strict=True)]
    efficiency = None
    if sum(white_box) > 0:
        ratio = sum(black_box) / sum(white_box)
        efficiency = Estimate(ratio, ratio_interval(black_box, white_box))
    return {
        "white_box": _rate(white_box),
        "efficiency": efficiency,
        "excess": Estimate(statistics.fmean(differences), mean_interval(differences)),
    }
