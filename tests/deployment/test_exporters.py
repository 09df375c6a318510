"""Export of networks by the command line, as scripts and via NIR."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.conformance.scenario_networks import resets
from neuroattack.deployment.exporters import export_text
from neuroattack.errors import UnknownNameError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.storage import load_network, save_network


def test_the_brian2_script_gives_the_counts_of_the_dynamics(command, network_file, tmp_path):
    pytest.importorskip("brian2")
    script = tmp_path / "net.py"
    assert command("export", network_file, script, "--format", "brian2")[0] == 0
    image = np.random.default_rng(3).random((28, 28))
    np.save(tmp_path / "image.npy", image)
    run = subprocess.run(
        [sys.executable, script, tmp_path / "image.npy", "--steps", "60", "--seed", "5"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    network = small_network()
    inputs = network.input.encoder.encode(
        image.reshape(1, -1), indices=np.array([0]), steps=60, dt_s=1e-3, seed=5
    )
    counts = simulate(network, inputs.to_dense()[0])["output"].sum(axis=0)
    assert counts.sum() > 0
    assert " ".join(map(str, counts)) in " ".join(run.stdout.replace(",", " ").split())


@pytest.mark.parametrize("language", ["brian2", "pynn"])
def test_the_script_goes_to_a_file_but_never_over_its_network(
    command, network_file, tmp_path, language
):
    arguments = ("export", "--format", language, network_file)
    code, out, err = command(*arguments, tmp_path / "net.py", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"file": str(tmp_path / "net.py"), "format": language, "losses": []}
    written = (tmp_path / "net.py").read_text()
    ast.parse(written)
    assert written == export_text(load_network(network_file), language)
    _, out, _ = command(*arguments, tmp_path / "net.py")
    assert language in out
    before = network_file.read_bytes()
    code, _, err = command(*arguments, network_file)
    assert code == 2
    assert str(network_file) in err
    assert network_file.read_bytes() == before


@pytest.mark.parametrize("language", ["brian2", "pynn"])
def test_scripts_have_no_losses_to_allow(command, network_file, tmp_path, language):
    code, out, err = command(
        "export", network_file, tmp_path / "net.py", "--format", language, "--allow-lossy"
    )
    assert (code, out) == (2, "")
    assert f"--allow-lossy: got --format {language}, expected --format nir" in err
    assert not (tmp_path / "net.py").exists()


def test_unsupported_features_are_reported(command, tmp_path):
    save_network(tmp_path / "net.h5", resets())
    code, _, err = command("export", tmp_path / "net.h5", tmp_path / "net.py", "--format", "pynn")
    assert code == 2
    assert "exporter 'pynn' does not support reset by subtraction" in err
    assert not (tmp_path / "net.py").exists()


def test_the_default_format_is_nir(command, network_file, tmp_path):
    code, out, _ = command("export", network_file, tmp_path / "net.nir", "--allow-lossy", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["format"] == "nir"
    assert "refractory" in found["losses"][0]
    assert command("import", tmp_path / "net.nir")[0] == 0


def test_unknown_languages_are_named():
    with pytest.raises(UnknownNameError, match=r"exporter 'brain2' \(did you mean 'brian2'\?\)"):
        export_text(small_network(), "brain2")
