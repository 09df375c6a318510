"""Output files of a run of the paper's items: figures, tables and the page."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.paper_items import ORIGIN, all_items

from neuroattack.paper.figures import LOOKS
from neuroattack.paper.items import ITEMS
from neuroattack.paper.networks import NAMES
from neuroattack.paper.published import DELTAS, TABLE_I, TABLE_II, TABLE_III
from neuroattack.paper.save import save_paper

DOCS = Path(__file__).parents[2] / "docs" / "paper"
SAVED = ("figure4", "table2", "figure9")


@pytest.fixture(scope="module")
def paper():
    return all_items()


@pytest.fixture(scope="module")
def saved(paper, tmp_path_factory):
    return save_paper(tmp_path_factory.mktemp("paper"), {i: paper[i] for i in SAVED}, ORIGIN)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.links.append(value)


def test_every_item_has_its_files_and_its_section_on_the_page(saved, paper):
    assert saved.name == "report.html"
    names = {path.name for path in saved.parent.iterdir()}
    expected = {f"{item}.{kind}" for item in SAVED for kind in ("json", "png", "svg")}
    tables = ("table2", "table2-iterations", "figure9", "verdicts")
    expected |= {f"{table}.{kind}" for table in tables for kind in ("md", "csv")}
    assert names == expected | {"report.html"}
    page = Page(saved.read_text())
    assert [one for one in page.ids if one in ITEMS] == list(SAVED)
    for item in SAVED:
        assert json.loads((saved.parent / f"{item}.json").read_text()) == paper[item][0]
        with Image.open(saved.parent / f"{item}.png") as opened:
            assert opened.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_the_page_has_no_scripts_and_no_external_links(saved):
    page = Page(saved.read_text())
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:")) for link in page.links)
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.slow
def test_identifiers_on_a_page_of_all_items_are_unique(paper, tmp_path):
    page = Page(save_paper(tmp_path, paper, ORIGIN).read_text())
    assert [one for one in page.ids if one in ITEMS] == list(ITEMS)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == len(ITEMS)


def test_only_the_page_depends_on_the_run(saved, paper, tmp_path):
    again = save_paper(tmp_path, {i: paper[i] for i in SAVED}, ORIGIN | {"Machine": "another"})
    for path in saved.parent.iterdir():
        twin = tmp_path / path.name
        assert (path.read_bytes() == twin.read_bytes()) is (path != saved), path.name
    assert "another" in again.read_text()


def test_provenance_is_escaped(tmp_path):
    page = save_paper(tmp_path, {}, {"Command": "paper <script>alert(1)</script>"})
    assert "<script>" not in page.read_text()


def test_svg_files_are_xml_without_a_date(saved):
    for item in SAVED:
        text = (saved.parent / f"{item}.svg").read_text()
        ElementTree.fromstring(text)  # noqa: S314
        assert "dc:date" not in text


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_can_be_drawn_and_tabulated(item, paper):
    figures, images = paper[item]
    figure = ITEMS[item].draw(figures, images)
    figure.canvas.draw()
    labels = [axes.get_xlabel() for axes in figure.findobj() if hasattr(axes, "get_xlabel")]
    assert any(labels)
    tables = ITEMS[item].tables(figures)
    assert bool(tables) is (item != "figure4")
    assert len({table.name for table in tables}) == len(tables)
    for table in tables:
        assert table.name.startswith(item)
        _, _, *lines = table.markdown().splitlines()
        assert len(lines) == 2 + len(table.rows)
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert len(list(csv.reader(io.StringIO(table.csv())))) == 1 + len(table.rows)


def hollow_points(figure):
    """Return the points with hollow markers, by panel."""
    return [
        [
            tuple(point)
            for line in axes.lines
            if line.get_markerfacecolor() == "none"
            for point in np.column_stack(line.get_data())
        ]
        for axes in figure.axes
    ]


def test_the_papers_points_are_drawn_hollow(paper):
    panels = hollow_points(ITEMS["figure2"].draw(*paper["figure2"]))
    for panel, columns in zip(panels, TABLE_I.values(), strict=True):
        assert len(panel) == 3 * len(DELTAS)
        expected = [
            point for column in columns.values() for point in zip(DELTAS, column, strict=True)
        ]
        np.testing.assert_allclose(panel, expected)
    for item, rows in (("table2", TABLE_II), ("table3", TABLE_III)):
        panels = hollow_points(ITEMS[item].draw(*paper[item]))
        for column, case in enumerate(("I", "II")):
            of_case = [row for row in rows if row.case == case]
            spike_fractions = [(row.iteration, row.p_max_class) for row in of_case]
            spike_fractions += [(row.iteration, row.p_target) for row in of_case]
            np.testing.assert_allclose(panels[column], spike_fractions)
            distances = [(row.iteration, row.distance) for row in of_case]
            np.testing.assert_allclose(panels[column + 2], distances)


def test_networks_differ_in_marker_and_line_as_well_as_color():
    assert set(LOOKS) == set(NAMES)
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)
    assert len({str(look.dashes) for look in LOOKS.values()}) == len(LOOKS)


def column(table, head):
    return [row[table.heads.index(head)] for row in table.rows]


def test_tables_contain_the_papers_rows_and_intervals(paper):
    outcome, iterations = ITEMS["table3"].tables(paper["table3"][0])
    assert column(iterations, "source").count("paper") == len(TABLE_III)
    assert column(outcome, "iterations with a fall of P(target)") == [3, 3, 0, 3, 0, 3]
    figures = paper["figure3"][0]
    (curves,) = ITEMS["figure3"].tables(figures)
    first = figures["curves"][0]
    assert column(curves, "accuracy (%)")[0] == (first["accuracy"], *first["accuracy_ci95"])
    (groups, comparisons) = ITEMS["population"].tables(paper["population"][0])
    found = paper["population"][0]["comparisons"][0]
    assert column(comparisons, "untargeted gain difference (points)")[0] == (
        found["untargeted_gain_difference"],
        *found["untargeted_gain_ci95"],
    )
    assert set(column(groups, "network")) <= set(NAMES.values())


def test_without_misclassified_images_the_survival_rate_is_empty(paper):
    from support.paper_items import transformations

    figures = transformations(before=2)
    assert ITEMS["transformations"].draw(figures, {}).axes
    survival, _ = ITEMS["transformations"].tables(figures)
    assert set(column(survival, "still misclassified (%)")) == {None}


@pytest.mark.parametrize("item", ITEMS)
def test_the_documentation_includes_tables_with_the_same_columns(item, paper):
    for table in ITEMS[item].tables(paper[item][0]):
        page = DOCS / f"{table.name}.md"
        if page.exists():
            written = table.markdown().splitlines()
            assert page.read_text(encoding="utf-8").splitlines()[2:4] == written[2:4]
