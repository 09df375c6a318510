"""The figure of a campaign."""

import pytest

from neuroattack.report.curves import curves_figure


def rows(names):
    return [
        {
            "attack": name,
            "settings": settings,
            "deployment": "native",
            "bound": "l2=2",
            "budget": budget,
            "targeted": False,
            "images": 4,
            "median_distance": 1.0,
            "success": 0.5,
            "success_ci95": [0.2, 0.8],
        }
        for name, settings in names
        for budget in (10, 100)
    ]


@pytest.mark.parametrize(
    "names",
    [
        [("square", {}), ("simba", {}), ("transfer", {})],
        [("count-regression", {"substitutes": ["mnist"]}), ("transfer", {"substitutes": ["a"]})],
        [("count-regression", {"substitutes": ["a-folder/with/a/long/name/of-a-network.h5"] * 2})],
    ],
)
def test_the_legend_lies_within_the_figure(names):
    figure = curves_figure(rows(names))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert box.x0 >= page.x0
    assert box.x1 <= page.x1
    assert box.y0 >= page.y0
    assert len(legend.get_texts()) == len(names)
