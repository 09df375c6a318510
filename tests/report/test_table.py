"""A table of results says the same in every form."""

import csv
import io

import pytest

from neuroattack.report.table import Column, Table, decimals
from neuroattack.report.templates import render

ROWS = [
    {"who": "a|b <i>", "rate": 0.125, "ci95": [0.1, 0.2], "one": {"two": 1234.5}},
    {"who": None, "rate": 0.0, "ci95": None, "one": None},
]
TABLE = Table.of("name", "Title", ROWS, "who rate:%1 one.two:g")


def test_keys_become_heads_with_units_and_values_with_intervals():
    assert TABLE.heads == ["who", "rate (%)", "one two"]
    assert TABLE.rows[0] == ["a|b <i>", (0.125, 0.1, 0.2), 1234.5]
    assert TABLE.cells == [["a|b <i>", "12.5 (10.0 to 20.0)", "1,234.5"], ["", "0.0", ""]]


def test_nothing_in_a_cell_is_markup():
    title, empty, *lines = TABLE.markdown().splitlines()
    assert (title, empty) == ("*Title*", "")
    assert lines[1] == "| :-- | --: | --: |"
    assert lines[2].startswith("| a\\|b \\<i> |")
    page = render("report/table.html.jinja", table=TABLE)
    assert "a|b &lt;i&gt;" in page
    assert page.count("<td") == 6


def test_csv_has_unrounded_values_and_the_ends_of_intervals():
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[0] == ["who", "rate (%)", "rate (%) low", "rate (%) high", "one two"]
    assert rows[1] == ["a|b <i>", "0.125", "0.1", "0.2", "1234.5"]
    assert rows[2] == ["", "0.0", "", "", ""]


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("%2", 0.12345, "12.35"),
        ("pt1", 0.0123, "+1.2"),
        ("pt1", -0.0004, "0.0"),
        ("pt0", -0.026, "\u22123"),
        ("f2", 1234.567, "1,234.57"),
        ("+2", 0.5, "+0.50"),
        ("g", 50.0, "50"),
        ("g3", 0.012345, "0.0123"),
        ("p", 0.0004, "< 0.001"),
        ("p", 0.0124, "0.012"),
        ("", 7, "7"),
    ],
)
def test_formats(form, value, text):
    assert Table.of("t", "", [{"x": value}], f"x:{form}").cells == [[text]]


def test_a_row_that_does_not_fit_its_columns_is_refused():
    with pytest.raises(ValueError, match="zip"):
        _ = Table("t", "", [Column("a", decimals(1))], [(1.0, 2.0)]).cells
