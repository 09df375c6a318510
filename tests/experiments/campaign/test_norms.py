"""Campaigns under bounds in every norm, from the configuration to the exported files."""

from __future__ import annotations

import csv
import json

import pytest
from support.campaign_files import CONFIG, campaign_file

from neuroattack.attacks.bounds import Bound
from neuroattack.report.curves import curves_figure

TEXT = (
    CONFIG.replace('["l2=2", "local_sd@greedy-window"]', "BOUNDS")
    .replace('goals = ["untargeted", "random"]', "")
    .replace("[40, 120]", "[60]")
    .replace("count = 3", "count = 1")
)
MAXIMA = {"l0": (5, 30), "l2": (0.5, 2), "linf": (0.05, 0.3), "local_sd": (10, 60)}


@pytest.mark.parametrize("norm", MAXIMA)
def test_images_of_a_campaign_are_within_its_bounds(tmp_path, command, norm):
    bounds = [str(Bound(norm, maximum)) for maximum in MAXIMA[norm]] + [f"{norm}@greedy-window"]
    path = campaign_file(tmp_path, TEXT.replace("BOUNDS", json.dumps(bounds)))
    code, out, err = command("campaign", path, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    table = tmp_path / "rows.csv"
    assert command("campaign", "export", tmp_path / "out", "--csv", table)[0] == 0
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * 3 + 1
    reference = next(float(row[f"{norm}_distance"]) for row in rows if not row["bound"])
    for row in rows:
        if row["bound"]:
            maximum = dict(zip(bounds, (*MAXIMA[norm], reference), strict=True))[row["bound"]]
            assert float(row["max_distance"]) == maximum
            assert float(row[f"{norm}_distance"]) <= maximum * (1 + 1e-9)
    attacks = json.loads(out)["attacks"]
    (axes,) = (axes for axes in curves_figure(attacks).axes if axes.get_visible())
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"{x:g}" for x in MAXIMA[norm]]
