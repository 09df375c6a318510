"""The commands `import` and `export`."""

import json

import numpy as np
import pytest
from support.nir_files import chain

from neuroattack.ir.storage import load_network

nir = pytest.importorskip("nir")


@pytest.fixture
def file(tmp_path):
    node = nir.LIF(*(np.full(3, value, np.float32) for value in (1e-3, 10.0, 0.0, 1.0)))
    layer = nir.Affine(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    return chain(tmp_path / "net.nir", layer, node, pixels=(2, 2), classes=3)


def test_a_preset_sets_what_is_not_given_and_sources_are_listed(command, file):
    code, out, _ = command("import", file, "--from", "snntorch", "--encoder", "direct", "--json")
    assert code == 0
    figures = json.loads(out)
    assert figures["settings"]["reset"] == {
        "value": "subtract_next",
        "source": "preset snntorch, not in the file",
    }
    assert figures["settings"]["encoder"] == {"value": "direct", "source": "option"}
    assert figures["input_rate_hz"] is None
    network = load_network(figures["network"])
    assert network.checksum() == figures["network_checksum"]
    assert network.populations[0].reset == "subtract_next"
    assert "preset snntorch" in network.origin["settings"]


def test_the_table_shows_every_setting_with_its_source(command, file):
    arguments = ("--from", "snntorch", "--reset", "value", "--encoder", "poisson")
    code, out, _ = command("import", file, *arguments, "--input-rate", "100")
    assert code == 0
    for words in ("reset: value (option)", "comparison: strict (preset snntorch", "poisson"):
        assert words in out


def test_missing_and_contradictory_options_are_errors(command, file):
    for arguments, expected in (
        ((), "--reset"),
        (("--from", "norse", "--encoder", "direct"), "exporter of norse"),
        (("--from", "lava-dl", "--encoder", "direct"), "lava-dl"),
        (("--from", "snntorch", "--encoder", "direct", "--input-rate", "5"), "input rate"),
        (("--from", "snntorch", "--encoder", "poisson"), "--input-rate"),
        (("--from", "snntorch", "--encoder", "direct", "--readout", "max_potential"), "readout"),
    ):
        code, _, error = command("import", file, *arguments)
        assert code != 0
        assert expected in error


def test_a_folder_is_no_file(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = command("import", ".")
    assert code == 2
    assert error.count("\n") == 1
    assert "not a regular file" in error


def test_an_exported_network_needs_no_options(command, file, tmp_path):
    arguments = ("--from", "snntorch", "--encoder", "direct", "--out", tmp_path / "net.h5")
    assert command("import", file, *arguments)[0] == 0
    code, _, error = command("export", tmp_path / "net.h5", tmp_path / "again.nir")
    assert code != 0
    assert "subtraction" in error
    command("export", tmp_path / "net.h5", tmp_path / "again.nir", "--allow-lossy")
    code, out, _ = command("import", tmp_path / "again.nir", "--json")
    assert code == 0
    sources = {each["source"] for each in json.loads(out)["settings"].values()}
    assert sources == {"file"}
    before, after = load_network(tmp_path / "net.h5"), load_network(tmp_path / "again.h5")
    assert before.populations[0].reset == after.populations[0].reset
    assert before.input == after.input
