"""The notebooks of the documentation: stored results that anyone may see, and that come again."""

import base64
import shutil

import pytest
from support.pages import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the group dev")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the group dev")

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def by_name(path):
    return path.stem


def said(notebook):
    """Return all that the cells printed."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert not [one for one in outputs if one["output_type"] == "error"]
    return "".join(one.get("text", "") for one in outputs)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_what_is_stored_is_whole_and_tells_nothing_of_a_machine(path):
    assert path.stat().st_size < 150_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    text = said(notebook) + "".join(cell.source for cell in notebook.cells)
    for private in ("/home/", "/root", "/tmp", "/work", "site-packages", "Traceback"):  # noqa: S108
        assert private not in text
    assert said(notebook)
    pictures = [
        output["data"]["image/png"]
        for cell in cells
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert all(base64.b64decode(one).startswith(b"\x89PNG") for one in pictures)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_runs_from_its_first_cell_to_its_last(path, tmp_path):
    pytest.importorskip("ipykernel", reason="needs ipykernel, of the group dev")
    shutil.copy(path, tmp_path)
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=180,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    assert said(notebook)
