"""Damaged or crafted NIR files neither crash the process nor allocate excessive memory."""

import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from neuroattack.errors import FileError
from neuroattack.ir.nir.graph import graph
from neuroattack.ir.nir.graph.file import read_arrays
from neuroattack.ir.nir.graph.graph import read_graph
from neuroattack.ir.nir.graph.unpack import LARGEST_EXPANSION
from neuroattack.ir.nir.importing import import_nir


@pytest.fixture
def sound(tmp_path):
    """Return a NIR file of two pixels and a neuron, written with h5py."""
    path = tmp_path / "sound.nir"
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        file["node/edges"] = [["in", "w"], ["w", "lif"], ["lif", "out"]]
        nodes = file.create_group("node/nodes")
        nodes["in/type"] = "Input"
        nodes["in/shape"] = np.array([2])
        nodes["w/type"] = "Linear"
        nodes.create_dataset("w/weight", data=np.ones((1, 2)), compression="gzip")
        nodes["lif/type"] = "LIF"
        for field, value in (("tau", 0.01), ("r", 10.0), ("v_leak", 0.0), ("v_threshold", 1.0)):
            nodes[f"lif/{field}"] = np.array([value])
        nodes["out/type"] = "Output"
        nodes["out/shape"] = np.array([1])
    return path


def test_the_sound_file_is_read(sound):
    assert list(read_graph(sound).nodes) == ["in", "w", "lif", "out"]


def refusal(path):
    """Return the error message for a file, or None if it is read."""
    try:
        read_graph(path)
    except FileError as error:
        return str(error)
    return None


def damaged(content, rng):
    """Return the file's bytes with some flipped, cut off or doubled."""
    content = bytearray(content)
    kind = rng.integers(3)
    if kind == 0:
        for place in rng.integers(0, len(content), rng.integers(1, 20)):
            content[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        del content[rng.integers(1, len(content)) :]
    else:
        start = int(rng.integers(0, len(content)))
        content[start : start + 8] = rng.bytes(8)
    return bytes(content)


def check_damage(sound, seeds):
    content = sound.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for seed in seeds:
        sound.write_bytes(damaged(content, np.random.default_rng(seed)))
        sentence = refusal(sound)
        if sentence is not None:
            refused += 1
            assert sentence.startswith(f"{sound}: ")
            assert "\n" not in sentence
    assert 0.2 < refused / len(seeds) < 1
    grown_bytes = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown_bytes < LARGEST_EXPANSION * len(content) + 2**26


def test_damaged_files_are_refused_or_read(sound):
    check_damage(sound, range(40))


@pytest.mark.slow
def test_many_damaged_files_are_refused_or_read(sound):
    check_damage(sound, range(1000, 1150))


@pytest.mark.parametrize("length", [1, 8, 100, 511, 512, 1000])
def test_truncated_files_are_refused(sound, length):
    sound.write_bytes(sound.read_bytes()[:length])
    with pytest.raises(FileError, match="is not valid HDF5"):
        read_arrays(sound)


def test_shapes_larger_than_the_file_are_not_allocated(sound):
    with h5py.File(sound, "r+") as file:
        del file["node/nodes/w/weight"]
        # Chunks that were never written take no space in the file.
        file.create_dataset("node/nodes/w/weight", (100_000, 100_000), "f8", chunks=(1000, 1000))
    with pytest.raises(FileError, match=r"w/weight declares .*\(100000, 100000\)"):
        read_arrays(sound)


def test_many_arrays_together_cannot_declare_more_either(sound):
    with h5py.File(sound, "r+") as file:
        room = LARGEST_EXPANSION * sound.stat().st_size
        for number in range(40):
            file.create_dataset(f"node/nodes/w/more{number}", (room // 8,), "u1", chunks=(1000,))
    with pytest.raises(FileError, match=rf"w/more\d+ declares .*\({room // 8},\)"):
        read_arrays(sound)


def test_circles_of_links_end(sound):
    with h5py.File(sound, "r+") as file:
        file["node/nodes/w/back"] = file["node"]
    with pytest.raises(FileError, match="twice or in a circle"):
        read_arrays(sound)


def virtual(file):
    layout = h5py.VirtualLayout((1, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "weight", (1, 2))
    file["node/nodes/w"].create_virtual_dataset("virtual", layout)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda f: f.__setitem__("there", h5py.SoftLink("/node")), "/there is a .* link"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("x.h5", "/")), "/x is a .* link"),
        (lambda f: f.create_dataset("x", (4,), "f8", external=[("/x", 0, 32)]), "in another file"),
        (virtual, "virtual is in another file"),
        (lambda f: f.__setitem__("/".join(["deep"] * 30), 1.0), "deep, expected at most"),
        (lambda f: f.__setitem__("text", "x" * 5000), "a text of over"),
        (lambda f: f.__setitem__("x", np.zeros(3, [("a", "f8")])), "expected numbers or text"),
    ],
)
def test_what_reaches_out_or_is_no_plain_array_is_refused(sound, add, message):
    with h5py.File(sound, "r+") as file:
        add(file)
    with pytest.raises(FileError, match=message):
        read_arrays(sound)


def test_a_network_file_of_ones_own_is_told_apart(network_file):
    with pytest.raises(FileError, match="neuroattack file, expected a NIR file"):
        read_arrays(network_file)


def test_the_readers_memory_has_a_limit(sound):
    # A large allocation, as a crafted file might cause in the HDF5 library.
    script = (
        "from pathlib import Path; from neuroattack.isolation import limit_memory\n"
        "limit_memory(2**26)\n"
        "try: bytearray(2**31)\n"
        "except MemoryError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"


def structured(path):
    """Write a convolution, pooling, and current-based neurons with recurrence in a subgraph."""
    nir = pytest.importorskip("nir")

    def cells(*shape):
        values = {"tau_mem": 1e-3, "tau_syn": 5e-4, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}
        return nir.CubaLIF(
            **{k: np.full(shape, v) for k, v in values.items()}, w_in=np.full(shape, 5.0)
        )

    loop = nir.NIRGraph(
        {
            "input": nir.Input(np.array([2])),
            "cells": cells(2),
            "loop": nir.Affine(np.ones((2, 2)), np.ones(2)),
            "output": nir.Output(np.array([2])),
        },
        [("input", "cells"), ("cells", "loop"), ("loop", "cells"), ("cells", "output")],
    )
    layers = [
        nir.Conv2d((4, 4), np.ones((1, 1, 3, 3)), 1, 1, 1, 1, np.zeros(1)),
        *(cells(1, 4, 4), nir.AvgPool2d(*(np.array([side, side]) for side in (2, 2, 0)))),
        *(nir.Flatten({"input": np.array([1, 2, 2])}, 0), nir.Linear(np.ones((2, 4))), loop),
    ]
    nir.write(path, nir.NIRGraph.from_list(nir.Input(np.array([1, 4, 4])), *layers))
    return path


def changed(value, rng):
    """Return an array with another type, shape or values."""
    numbers = value.dtype.kind in "fiu"
    changes = [np.array("text"), np.zeros(0), value.reshape(-1)[:1]]
    if numbers:
        changes += [-value, 0 * value, np.full(value.shape, np.nan), value.astype(float) * 1e300]
    return changes[rng.integers(len(changes))]


@pytest.mark.filterwarnings("error")
def test_changed_fields_are_refused_or_read(tmp_path, monkeypatch):
    path = structured(tmp_path / "n.nir")
    arrays = read_arrays(path)
    rng = np.random.default_rng(0)
    own = ["reset", "comparison", "refractory_steps", "subtracted", "input_order"]
    of_graph = ["dt_s", "arrival", "bits", "encoder", "image_shape"]
    imported = 0
    for _ in range(300):
        damaged = dict(arrays)
        key = list(arrays)[rng.integers(len(arrays))]
        if rng.random() < 0.2:
            del damaged[key]
        elif rng.random() < 0.8:
            damaged[key] = changed(damaged[key], rng)
        for node, fields in ((key.rsplit("/", 1)[0], own), ("node", of_graph)):
            if rng.random() < 0.2:
                field = fields[rng.integers(len(fields))]
                values = [np.array("x"), np.array([1, 2]), np.array(-1), np.array(1e300)]
                damaged[f"{node}/metadata/neuroattack/{field}"] = values[rng.integers(4)]
        monkeypatch.setattr(graph, "read_arrays", lambda _path, arrays=damaged: arrays)
        exporter = "snntorch" if rng.random() < 0.8 else None
        try:
            import_nir(path, exporter=exporter, encoder="direct")
        except FileError:
            continue
        imported += 1
    assert 20 < imported < 200
