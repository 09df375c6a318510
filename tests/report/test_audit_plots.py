"""The plot of a robustness bracket has the values and intervals of its levels."""

from dataclasses import replace

import numpy as np
import pytest

from neuroattack.experiments.campaign.bracket import Estimate, Level
from neuroattack.report.audit_plots import bracket_figure

LEVELS = [
    Level(
        deployment="native",
        bound="l2=2",
        budget=budget,
        targeted=False,
        images=20,
        attack="count-regression",
        threat_model="no data",
        settings={},
        clean_error=Estimate(0.05, (0.01, 0.2)),
        black_box=Estimate(success, (success - 0.1, success + 0.15)),
        white_box=Estimate(0.7, (0.5, 0.85)),
    )
    for budget, success in ((100, 0.2), (500, 0.4), (2000, 0.6))
]


def drawn(levels):
    """Return the lines and the vertical extents of the bands of a plot, in percent."""
    (axes,) = bracket_figure(levels).axes
    lines = [line.get_xydata() for line in axes.lines]
    bands = [np.array(each.get_paths()[0].vertices) for each in axes.collections]
    spans = [(patch.get_y(), patch.get_y() + patch.get_height()) for patch in axes.patches]
    return lines, bands, spans


def test_lines_and_bands_are_values_and_intervals():
    lines, (band,), spans = drawn(LEVELS)
    curve = next(line for line in lines if len(line) == 3)
    np.testing.assert_allclose(curve, [(100, 20), (500, 40), (2000, 60)])
    levels = sorted(line[0, 1] for line in lines if len(line) == 2)
    assert levels == pytest.approx([5, 70])
    assert sorted(spans) == [pytest.approx((1, 20)), pytest.approx((50, 85))]
    for budget, low, high in ((100, 10, 35), (500, 30, 55), (2000, 50, 75)):
        there = band[band[:, 0] == budget, 1]
        assert (there.min(), there.max()) == pytest.approx((low, high))


def test_without_a_reference_there_is_no_second_line():
    lines, _, spans = drawn([replace(level, white_box=None) for level in LEVELS[:1]])
    assert [line[0, 1] for line in lines if len(line) == 2] == pytest.approx([5])
    assert len(spans) == 1
