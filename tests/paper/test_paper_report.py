"""The report of the paper's reproduction: its files, its pictures, its page."""

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.paper_items import IMAGES, META, whole_paper

from neuroattack.paper.published import DELTAS, TABLE_I, TABLE_II, TABLE_III
from neuroattack.paper.report.markdown import render_markdown
from neuroattack.paper.report.page import render_page
from neuroattack.paper.report.pictures import draw_item
from neuroattack.paper.report.provenance import provenance_rows
from neuroattack.paper.report.rows import csv_text, item_rows
from neuroattack.paper.report.save import save_paper
from neuroattack.paper.report.section import Table
from neuroattack.paper.report.sections import section_of
from neuroattack.paper.report.summary import summary_rows
from neuroattack.paper.whole import ITEMS, Paper
from neuroattack.report import style

SAVED = ("figure4", "table2", "figure9")


def part(paper, names):
    return Paper({name: paper.items[name] for name in names}, paper.arrays)


def images_of(paper, item):
    return {
        name.removeprefix(f"{item}/"): array
        for name, array in paper.arrays.items()
        if name.startswith(f"{item}/")
    }


@pytest.fixture(scope="module")
def paper():
    return whole_paper()


@pytest.fixture(scope="module")
def saved(paper, tmp_path_factory):
    out = tmp_path_factory.mktemp("paper")
    return save_paper(out, part(paper, SAVED), META)


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


def test_every_item_leaves_its_files_and_the_page_has_no_other(saved, paper):
    assert saved.name == "report.html"
    names = {str(path.relative_to(saved.parent)) for path in saved.parent.rglob("*.*")}
    expected = {f"{item}.{kind}" for item in SAVED for kind in ("json", "csv", "png", "svg")}
    expected |= {f"paper/{item}.png" for item in SAVED} | {"report.html", "paper.md"}
    assert names == expected
    page = Page(saved.read_text())
    assert [one for one in page.ids if one in ITEMS] == list(SAVED)
    for item in SAVED:
        assert json.loads((saved.parent / f"{item}.json").read_text()) == paper.items[item]
        copy, picture = (saved.parent / f"{at}{item}.png" for at in ("paper/", ""))
        assert copy.read_bytes() == picture.read_bytes()
        with Image.open(picture) as opened:
            assert opened.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_the_page_loads_nothing_and_runs_no_script(saved):
    page = Page(saved.read_text())
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:")) for link in page.links)
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_markdown_shows_pictures_that_are_there(saved):
    text = (saved.parent / "paper.md").read_text()
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert shown == [f"paper/{item}.png" for item in SAVED]
    assert all((saved.parent / path).is_file() for path in shown)
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}
        assert len(columns) == 1


def test_only_where_results_come_from_depends_on_the_run(saved, paper, tmp_path):
    other = META | {"seconds": 1.0, "machine": "another", "command": "neuroattack paper table1"}
    again = save_paper(tmp_path, part(paper, SAVED), other)
    for path in saved.parent.rglob("*.*"):
        twin = tmp_path / path.relative_to(saved.parent)
        one, two = path.read_bytes(), twin.read_bytes()
        if path.suffix in (".html", ".md"):
            start = b"Where these results come from"
            assert one[: one.index(start)] == two[: two.index(start)]
            assert one != two
        else:
            assert one == two, path.name
    assert "another" in again.read_text()


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_can_be_drawn_and_written(item, paper):
    figures, images = paper.items[item], images_of(paper, item)
    figure = draw_item(item, figures, images)
    labels = [axes.get_xlabel() for axes in figure.findobj() if hasattr(axes, "get_xlabel")]
    assert any(labels)
    section = section_of(item, figures)
    assert section.item == item
    assert section.caption
    assert section.sentences
    assert all(len(row) == len(t.columns) for t in section.tables for row in t.rows)
    rows = item_rows(item, figures, images)
    read = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert len(read) == len(rows)
    for row, value in zip(rows, read, strict=True):
        for name, cell in row.items():
            if isinstance(cell, float):
                assert float(value[name]) == cell


def test_a_page_of_all_items_is_well_formed(paper):
    sections = [section_of(item, figures) for item, figures in paper.items.items()]
    summary, origin = summary_rows(paper.items), provenance_rows(META)
    pictures = dict.fromkeys(paper.items, "<svg></svg>")
    page = Page(render_page(sections, pictures, summary, origin))
    assert [one for one in page.ids if one in ITEMS] == list(ITEMS)
    assert page.tags.count("svg") == len(ITEMS)
    text = render_markdown(sections, summary, origin)
    assert text.count("\n## ") == len(ITEMS) + 2


def test_what_a_user_typed_is_no_markup():
    origin = provenance_rows(META | {"command": "paper <script>alert(1)</script> | *x*"})
    assert "<script>" not in render_page([], {}, [], origin)
    assert "\\<script>alert(1)\\</script> \\| \\*x\\*" in render_markdown([], [], origin)


def test_svgs_are_xml_without_a_date(saved):
    for item in SAVED:
        text = (saved.parent / f"{item}.svg").read_text()
        ElementTree.fromstring(text)  # noqa: S314
        assert "dc:date" not in text


def hollow_points(figure):
    """Return the points of hollow markers, panel by panel."""
    return [
        [
            tuple(point)
            for line in axes.lines
            if line.get_markerfacecolor() == "none"
            for point in np.column_stack(line.get_data())
        ]
        for axes in figure.axes
    ]


def test_the_papers_points_are_drawn_hollow_where_the_paper_has_them(paper):
    panels = hollow_points(draw_item("figure2", paper.items["figure2"], {}))
    for panel, columns in zip(panels, TABLE_I.values(), strict=True):
        assert len(panel) == 3 * len(DELTAS)
        expected = [
            point for column in columns.values() for point in zip(DELTAS, column, strict=True)
        ]
        np.testing.assert_allclose(panel, expected)
    for item, rows in (("table2", TABLE_II), ("table3", TABLE_III)):
        panels = hollow_points(draw_item(item, paper.items[item], {}))
        for column, case in enumerate(("I", "II")):
            of_case = [row for row in rows if row.case == case]
            shares = [(row.iteration, row.p_max_class) for row in of_case]
            shares += [(row.iteration, row.p_target) for row in of_case]
            np.testing.assert_allclose(panels[column], shares)
            distances = [(row.iteration, row.distance) for row in of_case]
            np.testing.assert_allclose(panels[column + 2], distances)


def test_networks_can_be_told_apart_without_their_hues():
    networks = (
        "sdbn",
        "sdbn-exact",
        "dnn",
        "dnn-sampled",
        "sdbn-fine-tuned",
        "sdbn-fine-tuned-exact",
    )
    looks = [style.network_look(name) for name in networks]
    assert len({look.marker for look in looks}) == len(looks)
    assert len({str(look.dashes) for look in looks}) == len(looks)


def test_csv_rows_carry_intervals_and_the_papers_rows(paper):
    rows = item_rows("table1", paper.items["table1"], {})
    first, cell = rows[0], paper.items["table1"]["cells"][0]
    assert [first["accuracy_ci95_low"], first["accuracy_ci95_high"]] == cell["accuracy_ci95"]
    assert first["images"] == IMAGES
    rows = item_rows("table3", paper.items["table3"], {})
    assert {row["source"] for row in rows} == {"ours", "paper"}
    assert sum(row["source"] == "paper" for row in rows) == len(TABLE_III)
    assert {row["network"] for row in rows} == {"sdbn", "sdbn-exact", "sdbn-fine-tuned"}


def test_windows_of_the_sample_are_marked_pixel_by_pixel(paper):
    rows = item_rows("figure6", paper.items["figure6"], images_of(paper, "figure6"))
    inside = {(row["row"], row["column"]) for row in rows if row["in_window_I"]}
    assert inside == set(itertools.product(range(10, 15), range(9, 14)))


def test_long_tables_are_folded_with_their_caption_as_html():
    rows = [["x", "1"]] * 40
    section = SimpleNamespace(
        item="a", title="A", caption="b", alt="c", sentences=[],
        tables=[Table("p < 0.05 & [0, 1]", ["", "n"], rows)],
    )  # fmt: skip
    text = render_markdown([section], [], [])
    assert "<details><summary>p &lt; 0.05 &amp; [0, 1]</summary>\n\n|" in text
