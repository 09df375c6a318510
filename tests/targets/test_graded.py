"""Rates and probabilities as counts: scaled fractions, or Poisson counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from neuroattack.encoding.readout import SCORES_PER_UNIT, UNDECIDED, decide, spike_fractions
from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.targets.rates import GradedDeployment

PIXELS, CLASSES = 6, 4

WEIGHTS = np.random.default_rng(0).random((PIXELS, CLASSES))


def linear(intensities):
    return intensities @ WEIGHTS


def deployment(outputs=linear, **named):
    return GradedDeployment(outputs, (2, 3), CLASSES, **named)


def some_images(n, seed=1):
    return np.random.default_rng(seed).random((n, PIXELS))


@settings(deadline=None)
@given(
    arrays(np.float64, (3, CLASSES), elements=st.floats(0, 1e6)),
    st.sampled_from([np.float32, np.float64]),
)
def test_noiseless_fractions_are_accurate_to_nine_digits(answers, dtype):
    graded = deployment(lambda rows: answers[: len(rows)].astype(dtype))
    counts = graded.black_box(0).query(some_images(3))
    assert counts.dtype == np.int32
    for row, answer in zip(counts.astype(int), answers.astype(dtype).astype(float), strict=True):
        if answer.sum() == 0:
            assert (row == 0).all()
            continue
        for count, part in zip(row, answer, strict=True):
            assert abs(count / SCORES_PER_UNIT - part / answer.sum()) <= 1e-9
        # Attacks divide by the sum, which rounding changes by at most half a unit per class.
        np.testing.assert_allclose(spike_fractions(row[None])[0], answer / answer.sum(), atol=2e-9)


def test_noiseless_queries_are_deterministic():
    one, other = deployment(seed=1).black_box(0), deployment(seed=2).black_box(7)
    images = some_images(5)
    together = one.query(images)
    np.testing.assert_array_equal(together, one.query(images))
    np.testing.assert_array_equal(together, other.query(images.reshape(5, 2, 3)))
    alone = [other.query(image[None])[0] for image in images]
    np.testing.assert_array_equal(together, alone)


def test_sampled_counts_are_poisson():
    spikes, trials = 40.0, 20_000
    image = some_images(1)
    mean = spikes * linear(image)[0] / linear(image).sum()
    counts = deployment(spikes=spikes).black_box(3).query(np.repeat(image, trials, axis=0))
    # Deviations of 5 standard errors in means and variances of 4 classes have probability 5e-6.
    assert (np.abs(counts.mean(axis=0) - mean) <= 5 * np.sqrt(mean / trials)).all()
    of_variance = np.sqrt((mean + 2 * mean**2) / trials)
    assert (np.abs(counts.var(axis=0, ddof=1) - mean) <= 5 * of_variance).all()
    # Classes are independent, so the total is Poisson distributed too.
    correlation = np.corrcoef(counts.T)[np.triu_indices(CLASSES, 1)]
    assert (np.abs(correlation) <= 5 / np.sqrt(trials)).all()
    values = np.arange(20, 61)
    seen = [(counts.sum(axis=1) == value).sum() for value in values]
    expected = trials * stats.poisson(spikes).pmf(values)
    assert ((seen - expected) ** 2 / expected).sum() < stats.chi2(len(values)).ppf(0.999)


def test_seed_and_stream_select_the_trials():
    images = some_images(30)

    def counts(seed, stream):
        return deployment(seed=seed, spikes=50.0).black_box(stream).query(images)

    first = counts(4, 9)
    np.testing.assert_array_equal(first, counts(4, 9))
    assert (first != counts(4, 10)).any()
    assert (first != counts(5, 9)).any()
    # A second query uses fresh trials; splitting a query does not change the trials.
    box = deployment(seed=4, spikes=50.0).black_box(9)
    parts = [box.query(images[:10]), box.query(images[10:])]
    np.testing.assert_array_equal(np.concatenate(parts), first)
    assert (box.query(images) != first).any()


@pytest.mark.parametrize("spikes", [None, 25.0])
def test_outputs_of_0_are_silence(spikes):
    graded = deployment(lambda rows: np.zeros((len(rows), CLASSES), np.float32), spikes=spikes)
    np.testing.assert_array_equal(graded.fractions(some_images(2)), np.zeros((2, CLASSES)))
    counts = graded.black_box(0).query(some_images(2))
    np.testing.assert_array_equal(counts, np.zeros((2, CLASSES)))
    assert decide(counts).tolist() == [UNDECIDED] * 2


def test_queries_are_counted_and_limited_by_the_budget():
    box = deployment().black_box(0, budget=5)
    assert (box.n_classes, box.image_shape, box.remaining) == (CLASSES, (2, 3), 5)
    box.query(some_images(4))
    with pytest.raises(BudgetExceededError):
        box.query(some_images(2))
    assert (box.queries, box.remaining) == (4, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed: got -1"),
        ({"seed": 1.5}, "seed: got 1.5"),
        ({"spikes": 0.0}, "output spikes per image: got 0.0"),
        ({"spikes": float("nan")}, "output spikes per image: got nan"),
        ({"spikes": 2e8}, "output spikes per image: got 200000000.0"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValidationError) as raised:
        deployment(**values)
    assert str(raised.value).startswith(message)
