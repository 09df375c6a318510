"""The networks published with the NIR paper spike as NIR's equations say.

The files are read from the folder of shared data beside the repository, which may be absent.
"""

from pathlib import Path

import numpy as np
import pytest
from support.nir_simulation import Simulation

from neuroattack.errors import FileError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Convolution
from neuroattack.ir.nir.importing import import_nir

nir = pytest.importorskip("nir")

FOLDER = Path(__file__).parents[2].parent / "shared" / "foreign" / "nir-paper"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="needs the files of the NIR paper beside the repository"
)

SETTINGS = {
    "dt_s": 1e-4,
    "time_unit_s": 1.0,
    "integration": "euler",
    "arrival": "same-step",
    "reset": "value",
    "comparison": "strict",
    "refractory_steps": 0,
    "encoder": "poisson",
    "max_rate_hz": 100.0,
}
BRAILLE = {"bias_zero": "value", "noBias_subtract": "subtract"}


def differing(file, density, steps, truth=None, images=2, **changes):
    """Return the numbers of spikes and of differing spikes of all neurons."""
    settings = {**SETTINGS, **changes}
    imported = import_nir(FOLDER / file, **settings)
    assert imported.losses == ()
    graph = nir.read(FOLDER / (truth or file), type_check=False)
    shape = import_shape(graph)
    rng = np.random.default_rng(0)
    spikes = different = 0
    for _ in range(images):
        raster = rng.random((steps, *shape)) < density
        found = simulate(imported.network, raster.reshape(steps, -1))
        simulation = Simulation(
            graph,
            settings["dt_s"],
            settings["integration"],
            settings["arrival"],
            settings["reset"],
            settings["comparison"] == "inclusive",
            settings.get("input_order") == "after",
        )
        outputs = simulation.run(raster.astype(float))
        neurons = sorted(name for name in outputs if hasattr(graph.nodes[name], "v_threshold"))
        populations = sorted(imported.network.populations, key=lambda each: each.name)
        assert len(neurons) == len(populations)
        for name, population in zip(neurons, populations, strict=True):
            expected = outputs[name].reshape(steps, -1) > 0
            spikes += int(expected.sum())
            different += int((found[population.name] != expected).sum())
    return spikes, different


def import_shape(graph):
    (node,) = (each for each in graph.nodes.values() if isinstance(each, nir.Input))
    return tuple(node.input_type["input"])


@pytest.mark.parametrize("arrival", ["same-step", "next-step"])
@pytest.mark.parametrize("integration", ["euler", "hold", "impulse"])
@pytest.mark.parametrize("reset", ["value", "subtract", "subtract_next"])
@pytest.mark.parametrize("file", ["lif_norse.nir", "lif_rockpool.nir", "two_lif_neurons.nir"])
def test_small_networks(file, integration, arrival, reset):
    spikes, different = differing(
        file, 0.7, 200, integration=integration, arrival=arrival, reset=reset
    )
    assert spikes >= 2
    assert different == 0


@pytest.mark.parametrize("subgraph", ["", "_subgraph"])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("kind", BRAILLE)
def test_braille_reading(kind, order, subgraph):
    name = f"braille_noDelay_{kind}"
    spikes, different = differing(
        f"{name}{subgraph}.nir",
        0.2,
        200,
        truth=f"{name}.nir",
        reset=BRAILLE[kind],
        input_order=order,
    )
    assert spikes > 100
    assert different == 0


@pytest.mark.slow
@pytest.mark.parametrize(("reset", "comparison"), [("subtract", "inclusive"), ("value", "strict")])
def test_convolutional_network(reset, comparison):
    # Times are in steps; several spikes per step, which sinabs allows, have no counterpart.
    changes = {"dt_s": 1.0, "max_rate_hz": 1.0, "reset": reset, "comparison": comparison}
    spikes, different = differing("cnn_sinabs.nir", 0.1, 60, images=1, **changes)
    assert spikes > 10_000
    assert different == 0
    network = import_nir(FOLDER / "cnn_sinabs.nir", **{**SETTINGS, **changes}).network
    kinds = [isinstance(projection, Convolution) for projection in network.projections]
    assert kinds == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("exporter", "files"),
    [
        ("snntorch", ["braille_noDelay_bias_zero.nir", "braille_noDelay_noBias_subtract.nir"]),
        ("norse", ["lif_norse.nir"]),
        ("rockpool", ["lif_rockpool.nir"]),
        ("sinabs", ["cnn_sinabs.nir"]),
    ],
)
def test_presets_fit_the_files_of_their_framework(exporter, files):
    for file in files:
        imported = import_nir(FOLDER / file, exporter=exporter, encoder="direct")
        sources = {setting.name: setting.source for setting in imported.settings}
        assert exporter in sources["reset"]
        assert "not in the file" in sources["reset"]
    if exporter == "rockpool":
        assert imported.network.dt_s == 1e-4
        assert sources["dt_s"] == "file"


@pytest.mark.parametrize(
    ("file", "exporter"),
    [
        ("cnn_sinabs.nir", "snntorch"),
        ("cnn_sinabs.nir", "rockpool"),
        ("braille_noDelay_bias_zero.nir", "norse"),
        ("braille_noDelay_bias_zero.nir", "sinabs"),
        ("lif_rockpool.nir", "norse"),
        ("two_lif_neurons.nir", "spikingjelly"),
    ],
)
def test_presets_of_other_frameworks_are_refused(file, exporter):
    with pytest.raises(FileError, match=f"exporter of {exporter}"):
        import_nir(FOLDER / file, exporter=exporter, encoder="direct")
