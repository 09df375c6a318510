"""Fixtures that several test files share."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.cli import main
from neuroattack.ir.storage import save_network
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters
from neuroattack.training.storage import save_model

# A test of each takes minutes.
LONGEST = ("test_paper.py", "test_mlp.py", "test_mnist.py")

# What takes seconds a test: whole studies, programs and servers, and simulators that compile. All
# other tests are of the tier `quick`, new ones too.
NOT_QUICK = (
    *("attacks/test_art", "attacks/test_neighb", "backends/test_brian", "backends/test_lava.py"),
    *("backends/test_lava_faults", "backends/test_sanafe", "cli/test_bad_input", "cli/test_cli"),
    *("cli/test_hardware",),
    *("cli/test_interruption", "cli/test_other_shapes", "deployment/test_exporters", "docs/"),
    *("experiments/campaign/", "experiments/engine/", "experiments/test_attack.py"),
    *("experiments/test_audit.py", "experiments/test_chip", "experiments/test_comparison"),
    *("experiments/test_demo", "experiments/test_one_derivation"),
    *("experiments/test_model_cells", "experiments/test_noise", "experiments/test_transfer"),
    *("golden/", "hardware/test_neurobench", "hardware/test_placement", "hardware/test_rounded"),
    *("ir/test_nir", "paper/", "remote/", "report/", "test_api", "test_benchmarks"),
    *("backends/test_pynn", "test_install", "test_planted", "test_training_benchmark"),
)
SIMULATORS = ("brian2", "lava")


def is_quick(item):
    """Say whether a test is run by ``pytest -m quick``."""
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    simulates = place.startswith("conformance/") and any(name in item.name for name in SIMULATORS)
    return not (item.get_closest_marker("slow") or simulates or place.startswith(NOT_QUICK))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the longest files, so that no worker is left alone with one in the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in filter(is_quick, items):
        item.add_marker("quick")


@pytest.fixture
def needs_mnist():
    """Skip, saying so, where there is no MNIST to read."""
    if not os.environ.get("NEUROATTACK_DATA"):
        pytest.skip("needs MNIST: set NEUROATTACK_DATA to the folder of its four files")


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process; return exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["neuroattack", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def network_file(tmp_path):
    """Return the path of a small network for 28 x 28 images, trained on nothing."""
    path = tmp_path / "network.h5"
    save_network(path, small_network())
    return path


@pytest.fixture
def model_file(tmp_path):
    """Return the path of an untrained 784-30-10 model."""
    rng = np.random.default_rng(0)
    model = SDBN(
        weights=tuple(
            rng.normal(2e-4, 1e-3, shape).astype(np.float32) for shape in ((784, 30), (30, 10))
        ),
        siegert=SiegertParameters(),
        noise_factor=1.0,
        image_shape=(28, 28),
        recipe="fine-tuned",
        dataset="digits",
        dataset_checksum="",
        seed=0,
        rate_accuracy=0.1,
    )
    path = tmp_path / "model.h5"
    save_model(path, model)
    return path
