"""Transfer attack: adversarial images of substitutes, the best of which is selected by queries."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import AttackKind, ThreatModel, check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.attacks.search.selection import Candidate, Trials
from neuroattack.attacks.substitutes.candidates import transfer_candidates
from neuroattack.attacks.substitutes.opening import (
    Substitutes,
    fitting_substitutes,
    listed,
    threat_model_of,
)
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["Transfer"]


@dataclass(frozen=True)
class Transfer:
    """Adversarial images of substitutes (Papernot et al. 2016, arXiv 1605.07277).

    The images are made by projected gradient ascent on the margin (Madry et al. 2018): one for all
    models together, one per model, and for an untargeted goal those of the most promising wrong
    classes. Successive halving selects one of them; without queries it is the first.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    queries : int, optional
        Maximum number of queries; 0 for none. More queries than a few hundred are not useful.
    seed : int, optional
        Without effect: the attack makes no random choices.
    substitutes : str, sequence of str, or Differentiable
        Models of the target from data of the attacker, as in
        :func:`neuroattack.attacks.substitutes.opening.open_substitutes`.

    Raises
    ------
    ValidationError
        If a parameter is out of range, or there are no substitutes.
    """

    bound: Bound
    queries: int = 0
    seed: int = 0
    substitutes: Substitutes = ()

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 0)
        check_integer("seed", self.seed, 0)
        object.__setattr__(self, "substitutes", listed(self.substitutes))
        if self.substitutes == ():
            raise ValidationError(
                "substitutes of a transfer attack", "none", "the name of a data set, or files"
            )

    @property
    def supports_events(self) -> bool:
        """True: bounds may be on events."""
        return True

    @property
    def name(self) -> str:
        """``"transfer"``."""
        return "transfer"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: labels suffice."""
        return "decision"

    @property
    def threat_model(self) -> ThreatModel:
        """That of the substitutes."""
        return threat_model_of(self.substitutes)

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound)
        substitutes = fitting_substitutes(self.substitutes, target)
        images = transfer_candidates(substitutes, original, goal, self.bound)
        trials = Trials(target, goal, self.queries)
        best = Candidate(images[0])
        stopped_by = "budget"
        if trials.left:
            try:
                best = trials.halve([Candidate(image) for image in images], trials.left)
            except QueryRefusedError:
                stopped_by = "refused"
        history = (
            Incumbent(original, -float("inf"), 0),
            Incumbent(best.image, best.gap, trials.spent),
        )
        return SearchResult(original, best.image, goal, trials.spent, stopped_by, history)
