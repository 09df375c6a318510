"""Export of networks as Brian2 scripts by the command line."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.exporters import export_text
from neuroattack.errors import UnknownNameError
from neuroattack.ir.dynamics import simulate


def test_the_printed_script_gives_the_counts_of_the_dynamics(command, network_file, tmp_path):
    pytest.importorskip("brian2")
    code, out, err = command("export-brian2", network_file)
    assert (code, err) == (0, "")
    script = tmp_path / "net.py"
    script.write_text(out)
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


def test_the_script_goes_to_a_file_but_never_over_its_network(command, network_file, tmp_path):
    code, out, _ = command("export-brian2", network_file, "--out", tmp_path / "net.py")
    assert (code, out) == (0, "")
    ast.parse((tmp_path / "net.py").read_text())
    before = network_file.read_bytes()
    code, _, err = command("export-brian2", network_file, "--out", network_file)
    assert code == 2
    assert str(network_file) in err
    assert network_file.read_bytes() == before


def test_unknown_languages_are_named():
    with pytest.raises(UnknownNameError, match=r"exporter 'brain2' \(did you mean 'brian2'\?\)"):
        export_text(small_network(), "brain2")
