"""Networks as people train them go from a NIR file through all commands."""

import itertools
import json

import numpy as np
import pytest
from support.nir_files import lif, write

nir = pytest.importorskip("nir", reason="needs the extra nir")

CLASSES = 3


def convolutional(path, rng):
    """Write two channels, a convolution, pooling, and a dense readout, all with soft resets."""
    weight = rng.normal(0.1, 0.2, (4, 2, 3, 3))
    nodes = {
        "in": nir.Input({"input": np.array([2, 8, 8])}),
        "conv": nir.Conv2d((8, 8), weight, 1, 1, 1, 1, rng.normal(0, 0.05, 4)),
        "hidden": lif((4, 8, 8), tau=2e-3, r=2.0),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 4, 4])}, start_dim=0, end_dim=-1),
        "dense": nir.Affine(rng.normal(0, 0.4, (CLASSES, 64)), np.full(CLASSES, 0.05)),
        "readout": lif(CLASSES, tau=2e-3, r=2.0),
        "out": nir.Output({"output": np.array([CLASSES])}),
    }
    names = list(nodes)
    write(path, nodes, list(itertools.pairwise(names)))
    return (2, 8, 8), {"--reset": "subtract_next", "--encoder": "direct"}


def recurrent(path, rng):
    """Write a vector as input, recurrent neurons with synaptic currents, and spiking classes."""

    def neurons(size):
        times = {"tau_mem": np.full(size, 9e-3), "tau_syn": np.full(size, 3e-3)}
        return nir.CubaLIF(
            **times,
            r=np.full(size, 9.0),
            w_in=np.full(size, 3.0),
            v_leak=np.zeros(size),
            v_threshold=np.ones(size),
            v_reset=np.zeros(size),
        )

    nodes = {
        "in": nir.Input({"input": np.array([12])}),
        "w_in": nir.Affine(rng.normal(0.1, 0.3, (10, 12)), rng.normal(0, 0.05, 10)),
        "hidden": neurons(10),
        "w_rec": nir.Linear(rng.normal(0, 0.1, (10, 10))),
        "w_out": nir.Affine(rng.normal(0.1, 0.4, (CLASSES, 10)), np.zeros(CLASSES)),
        "readout": neurons(CLASSES),
        "out": nir.Output({"output": np.array([CLASSES])}),
    }
    chain = ["in", "w_in", "hidden", "w_out", "readout", "out"]
    edges = [*itertools.pairwise(chain), ("hidden", "w_rec"), ("w_rec", "hidden")]
    write(path, nodes, edges)
    return (12,), {
        "--reset": "value",
        "--encoder": "poisson",
        "--input-rate": 500,
        "--input-order": "before",
    }


def integrating(path, rng):
    """Write hidden neurons and a readout of leaky integrators."""
    nodes = {
        "in": nir.Input({"input": np.array([1, 5, 5])}),
        "flat": nir.Flatten({"input": np.array([1, 5, 5])}, start_dim=0, end_dim=-1),
        "w_in": nir.Affine(rng.normal(0.05, 0.2, (20, 25)), rng.normal(0, 0.05, 20)),
        "hidden": lif(20, tau=2e-3, r=2.0),
        "w_out": nir.Linear(rng.normal(0, 0.5, (CLASSES, 20))),
        "readout": nir.LI(
            tau=np.full(CLASSES, 0.02), r=np.full(CLASSES, 20.0), v_leak=np.zeros(CLASSES)
        ),
        "out": nir.Output({"output": np.array([CLASSES])}),
    }
    names = list(nodes)
    write(path, nodes, list(itertools.pairwise(names)))
    return (5, 5), {"--reset": "subtract", "--encoder": "direct", "--readout": "max_potential"}


@pytest.mark.slow
@pytest.mark.parametrize("made", [convolutional, recurrent, integrating])
def test_it_is_evaluated_attacked_compared_and_audited(made, command, tmp_path):
    rng = np.random.default_rng(0)
    shape, options = made(tmp_path / "net.nir", rng)
    images = rng.random((12, *shape))

    def told(name, *arguments, data="own.npz"):
        given = (name, tmp_path / "net.h5", "--dataset", tmp_path / data, "--steps", 30)
        code, out, err = command(*given, *arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    settings = {
        "--dt": 1e-3,
        "--time-unit": 1,
        "--integration": "euler",
        "--arrival": "same-step",
        "--comparison": "strict",
        "--refractory-steps": 0,
        **options,
    }
    code, out, err = command(
        "import",
        tmp_path / "net.nir",
        "--out",
        tmp_path / "net.h5",
        *(part for option in settings.items() for part in option),
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["losses"] == []

    # The labels are what the network predicts: every class of each is tried with these images.
    for label in range(CLASSES):
        np.savez(
            tmp_path / f"{label}.npz",
            test_images=images,
            test_labels=np.full(12, label),
            classes=CLASSES,
        )
    accuracies = [told("evaluate", "--images", 12, data=f"{k}.npz") for k in range(CLASSES)]
    rates = [each["accuracy"] for each in accuracies]
    assert 0.5 < sum(rates) <= 1
    (tmp_path / f"{int(np.argmax(rates))}.npz").rename(tmp_path / "own.npz")

    attacked = told("attack", "--index", "0:2", "--queries", 2000, "--norm", "l2", "--bound", 2)
    assert all(0 < row["search_queries"] <= 2000 for row in attacked["images"])
    compared = told("compare", "--images", 3, "--backends", "native,brian2")
    assert {each["differing_spikes"] for each in compared["backends"].values()} == {0}
    audited = told("audit", "--images", 2, "--quick", "--out", tmp_path / "audit")
    assert audited["schema"] == 3
    assert (tmp_path / "audit" / "audit.html").stat().st_size > 1000
