"""The table of features in docs/backends.md is the one that the backends declare."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_up_to_date():
    script = runpy.run_path(str(DOCS / "feature_table.py"))
    page = (DOCS / "backends.md").read_text(encoding="utf-8")
    assert script["with_table"](page) == page, "run: python docs/feature_table.py --write"
