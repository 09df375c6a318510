"""Search for flips by queries, on scores that are known."""

import numpy as np
import pytest

from neuroattack.attacks.flips.halving import search_by_queries
from neuroattack.errors import ValidationError

WEIGHTS = np.random.default_rng(0).normal(size=64)


def score_of(calls):
    def score(addresses, images):
        calls.append(images)
        return float(WEIGHTS[addresses].sum())

    return score


def test_the_best_of_all_sets_is_found_and_every_query_counts():
    calls = []
    found = search_by_queries(
        score_of(calls), np.arange(64), flips=3, images=8, queries=10**6, seed=1, contenders=64
    )
    # All candidates compete in the first round.
    assert found.addresses.tolist() == [int(WEIGHTS.argmax())]
    assert found.queries == sum(calls)
    assert found.scores.tolist() == [0.0, float(WEIGHTS.max())]


def test_only_flips_that_raise_the_score_are_kept_within_the_budget():
    calls = []
    found = search_by_queries(
        score_of(calls), np.arange(64), flips=20, images=16, queries=600, seed=2, contenders=4
    )
    assert sum(calls) == found.queries <= 600
    assert len(found.addresses) > 1
    assert (np.diff(found.scores) > 0).all()
    assert len(set(found.addresses.tolist())) == len(found.addresses)
    with pytest.raises(ValidationError, match="flips"):
        search_by_queries(score_of([]), [1, 2], flips=3, images=1, queries=1, seed=0)
