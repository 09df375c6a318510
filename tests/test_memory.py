"""Memory: what is available, errors before large allocations, and peaks of long runs."""

import json
import math
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from support.networks import small_network
from support.output import refused

from benchmarks.capacity import NETWORKS, batch_of
from neuroattack import memory
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.meters import Meter
from neuroattack.encoding.encoders import PoissonEncoder, RegularEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import MemoryLimitError, NeuroattackError, OutputError
from neuroattack.experiments.comparison.comparison import _reference
from neuroattack.experiments.divergence.difference import differing_events
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hdf5 import create_hdf5
from neuroattack.ir.convolution import Convolution
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network

MIB = 2**20


@pytest.fixture
def available(monkeypatch):
    """Set the memory that is available, in MiB."""
    return lambda mib: monkeypatch.setattr(memory, "available_bytes", lambda: mib * MIB)


def peak_mib(work):
    """Return the peak memory that NumPy and Python allocate during a call."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def wide_network(shape, neurons, encoder=None, reset="value"):
    """Return a network with one population, most of whose neurons have no input."""
    weights = np.zeros((math.prod(shape), neurons))
    weights[:, :10] = 1.0
    return Network(
        1e-3,
        Input(shape, encoder or PoissonEncoder(100.0)),
        (Population("a", neurons, 20e-3, 1.0, reset=reset),),
        (Projection.from_weights(INPUT, "a", weights),),
        "a",
    )


def test_an_error_has_the_thing_its_size_what_there_is_and_what_to_change(available):
    available(21_000)
    memory.check_memory("recording", 21_000 * MIB, "use fewer images")
    with pytest.raises(MemoryLimitError) as error:
        memory.check_memory("recording 10,000 images", 96e9, "record fewer images at once")
    assert str(error.value) == (
        "recording 10,000 images: needs 96.0 GB of memory, 22.0 GB are available; record fewer "
        "images at once"
    )
    assert (error.value.needed, error.value.available) == (96 * 10**9, 21_000 * MIB)


def test_small_needs_are_not_checked(available):
    available(0)
    memory.check_memory("a few bytes", 60 * MIB, "")


def test_available_memory_is_below_every_limit():
    script = (
        "import resource; from neuroattack.memory import available_bytes as a; before = a();"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); print(before, a())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    before, limited = map(int, done.stdout.split())
    assert 2**30 < before <= machine_bytes()
    assert 2**29 < limited < 2**30


def machine_bytes():
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    return 1024 * sum(int(lines[name].split()[0]) for name in ("MemTotal", "SwapTotal"))


@pytest.mark.parametrize(
    ("version", "line", "place", "files"),
    [
        (
            1,
            "4:cpu,memory:/jobs/7",
            "jobs/7",
            {
                "memory.limit_in_bytes": 8 * 2**30,
                "memory.usage_in_bytes": 3 * 2**30,
                "memory.stat": f"cache 5\ntotal_inactive_file {2**30}",
            },
        ),
        (
            2,
            "0::/user.slice",
            "user.slice",
            {
                "memory.max": 8 * 2**30,
                "memory.current": 3 * 2**30,
                "memory.stat": f"anon 5\ninactive_file {2**30}",
            },
        ),
        # Outside the container, the path has another beginning.
        (2, "0::/host/docker/3", "", {
            "memory.max": 8 * 2**30, "memory.current": 2 * 2**30, "memory.stat": "inactive_file 0",
        }),
    ],
)  # fmt: skip
def test_limits_of_control_groups(monkeypatch, tmp_path, version, line, place, files):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (tmp_path / place / name).write_text(f"{content}\n")
    if place:
        (tmp_path / "memory.max").write_text("max\n")
    _, *names = memory._GROUPS[version]
    monkeypatch.setitem(memory._GROUPS, version, (str(tmp_path), *names))
    groups = tmp_path / "groups"
    groups.write_text(f"3:cpuset:/\n{line}\n")
    real = memory.Path
    monkeypatch.setattr(
        memory, "Path", lambda path: groups if path == "/proc/self/cgroup" else real(path)
    )
    assert list(memory._left_in_groups()) == [6 * 2**30]


def test_the_rest_of_a_recording_is_judged_by_its_first_images(available):
    images = np.full((1000, 784), 0.5)
    with deploy(small_network(), steps=250) as deployment:
        record = deployment.record(images[:300], indices=np.arange(300), record_spikes=True)
        needed = record.nbytes / 300 * (2 * 1000 - 256)
        available(int(needed / MIB) + 10)
        whole = deployment.record(images, indices=np.arange(1000), record_spikes=True)
        assert whole.nbytes == pytest.approx(record.nbytes / 300 * 1000, rel=0.01)
        available(int(needed / MIB) - 10)
        with pytest.raises(MemoryLimitError, match="recording 1,000 images of 250 time steps"):
            deployment.record(images, indices=np.arange(1000), record_spikes=True)
        # Counts alone take little.
        deployment.record(images, indices=np.arange(1000))


def test_weights_are_checked_before_they_are_converted(available):
    weights = np.ones((3000, 3000), np.float32)
    available(100)
    with pytest.raises(MemoryLimitError, match=r"projection input->a weights: needs 0.2 GB"):
        Projection.from_weights(INPUT, "a", weights)
    available(180)
    projection = Projection.from_weights(INPUT, "a", weights)
    peak = peak_mib(lambda: Projection.from_weights(INPUT, "a", weights))
    assert peak < 180
    with pytest.raises(MemoryLimitError, match=r"as a list of connections: needs 0.3 GB"):
        projection.sparse()


def test_a_convolution_is_only_listed_where_its_connections_fit(available):
    convolution = Convolution.from_weights(
        INPUT, "a", np.ones((8, 8, 3, 3)), (8, 64, 64), padding=((1, 1), (1, 1))
    )
    needed_mib = 68 * convolution.connections / MIB
    available(int(needed_mib) + 1)
    peak = peak_mib(convolution.sparse)
    assert 0.9 * needed_mib < peak < 1.05 * needed_mib
    available(int(needed_mib))
    with pytest.raises(MemoryLimitError, match="backend that keeps the structure"):
        convolution.sparse()


def test_a_deployment_is_checked_before_weights_are_converted(available):
    network = wide_network((2500,), 2500)
    available(80)
    with pytest.raises(MemoryLimitError, match="deploying the network on backend 'native'"):
        deploy(network)
    available(100)
    deploy(network).close()


def test_a_file_is_checked_before_its_arrays_are_read(available, tmp_path):
    path = tmp_path / "network.h5"
    save_network(path, wide_network((3500,), 3500))
    available(90)
    with pytest.raises(MemoryLimitError, match=r"mantissas: needs 0.1 GB"):
        load_network(path)
    available(100)
    assert load_network(path).input.size == 3500


def test_files_that_could_not_be_read_are_not_written(monkeypatch, tmp_path):
    path = tmp_path / "network.h5"
    monkeypatch.setattr("neuroattack.hdf5._LARGEST_FILE", 1000)
    with pytest.raises(OutputError, match="expected at most"):
        save_network(path, small_network())
    monkeypatch.setattr("neuroattack.hdf5._LARGEST_ARRAY", 2**16)
    with pytest.raises(OutputError, match="array x has"), create_hdf5(path, "thing", 1) as file:
        file["x"] = np.zeros(2**16 + 1, np.int8)
    assert not path.exists()


def test_input_spikes_are_checked_by_their_expected_number(available):
    images, index = np.full((1, 100_000), 0.5), np.zeros(1, np.int64)

    def encode(encoder, steps):
        return encoder.encode(images, indices=index, steps=steps, dt_s=1e-3, seed=0)

    available(64)
    # Room for a spike of every pixel in every step would be 120 MB.
    assert encode(PoissonEncoder(4.0), 300).nbytes < MIB
    for encoder in (PoissonEncoder(1000.0), RegularEncoder(1000.0)):
        with pytest.raises(MemoryLimitError, match=r"of 400 time steps: needs 0.1 GB"):
            encode(encoder, 400)


def test_regular_spikes_of_many_pixels_and_steps_take_little_more_than_the_spikes():
    images, index = np.full((1, 20_000), 0.5), np.zeros(1, np.int64)
    encoder = RegularEncoder(50.0)
    trains = encoder.encode(images, indices=index, steps=1000, dt_s=1e-3, seed=0)
    assert trains.counts().tolist() == [[25] * 20_000]
    peak = peak_mib(lambda: encoder.encode(images, indices=index, steps=1000, dt_s=1e-3, seed=0))
    assert peak < 60  # The expected spikes of all steps at once would be 150 MiB.


def test_the_memory_of_an_evaluation_does_not_grow_with_the_number_of_images():
    network = wide_network((400,), 20_000)
    labels = np.zeros(1280, np.uint8)
    images = np.full((1280, 400), 0.5, np.float32)
    with deploy(network, steps=2) as deployment:
        few, many = (
            peak_mib(lambda n=n: evaluate(deployment, images[:n], labels[:n])) for n in (512, 1280)
        )
        assert many < few + 20  # Threads may overlap differently.
        # The counts of all images, which are there twice while they are joined.
        assert peak_mib(lambda: deployment.record(images, indices=np.arange(1280))) > 190 > few
        trials = peak_mib(lambda: evaluate(deployment, images[:10], labels[:10], trials=60))
        assert trials < few + 20


def test_the_memory_of_event_samples_is_bounded(monkeypatch):
    network = wide_network((2000,), 10, EventEncoder())
    samples = np.zeros((40, 500, 2000), bool)
    samples[:, ::50] = True
    monkeypatch.setattr("neuroattack.deployment.deployment._BATCH_NUMBERS", 2**24)
    with deploy(network, steps=500) as deployment:
        assert len(deployment.batches(40, record_spikes=False)) == 5
        peak = peak_mib(lambda: evaluate(deployment, samples, np.zeros(40, np.uint8)))
    assert peak < 150  # All samples in double precision would be 305 MiB alone.


def test_reference_dynamics_are_checked_by_images_and_by_steps(available):
    images = np.ones((2000, 784), np.float32)
    one_mib = (
        _reference(small_network(), images[:1], 200, 0, lambda *_: None).recording.nbytes / MIB
    )

    def compare(images, steps):
        return _reference(small_network(), images, steps, 0, lambda *_: None)

    available(64)
    assert 2000 * 2 * one_mib > 64
    with pytest.raises(MemoryLimitError, match="comparing the spikes of 2,000 images"):
        compare(images, 200)
    compare(images[:2], 200)
    with pytest.raises(MemoryLimitError, match=r"reference dynamics of 20,000 time steps"):
        compare(images[:1], 20_000)


def test_queries_with_a_meter_are_reduced_batch_by_batch(monkeypatch):
    images = np.full((40, 784), 0.5)
    with deploy(small_network(), steps=50, profile="loihi1") as deployment:
        meter = Meter("energy", 0.05)
        whole = deployment.respond(images, indices=np.arange(40), stream=3, meter=meter)
        monkeypatch.setattr("neuroattack.deployment.deployment._BATCH_IMAGES", 16)
        parts = []
        again = deployment.respond(
            images, indices=np.arange(40), stream=3, observe=parts.append, meter=meter
        )
        np.testing.assert_array_equal(again, whole)
        assert [len(each.counts["output"]) for each in parts] == [16, 16, 8]
        with pytest.raises(NeuroattackError, match="empty batch"):
            deployment.respond(images[:0], indices=np.arange(0), stream=3)


def test_differences_are_found_image_by_image():
    rng = np.random.default_rng(0)
    rasters = rng.random((2, 30, 40, 50)) < 0.2
    rasters[1, 5:] = rasters[0, 5:]
    one, other = (SpikeTrains.from_dense(each) for each in rasters)
    expected = np.argwhere(rasters[0] != rasters[1])
    np.testing.assert_array_equal(differing_events(one, other), expected)
    assert peak_mib(lambda: differing_events(one, other)) < 1


def fail_in_python():
    raise MemoryError


def fail_in_numpy():
    np.zeros(2**60, np.uint8)


def fail_in_pytorch():
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 40 bytes")


@pytest.mark.parametrize("allocate", [fail_in_python, fail_in_numpy, fail_in_pytorch])
def test_a_command_without_memory_ends_with_one_sentence(
    command, network_file, monkeypatch, allocate
):
    def fail(*_, **__):
        allocate()

    monkeypatch.setattr("neuroattack.experiments.evaluation.evaluate", fail)
    refused(command("evaluate", network_file), "out of memory: ", "use fewer images")


def test_other_errors_of_a_command_keep_their_traceback(command, network_file, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a mistake")

    monkeypatch.setattr("neuroattack.experiments.evaluation.evaluate", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        command("evaluate", network_file)


def test_a_command_under_a_limit_of_virtual_memory(tmp_path):
    path, out = tmp_path / "network.h5", tmp_path / "out.json"
    save_network(path, wide_network((28, 28), 10_000, reset="subtract"))
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (int(1.2e9), int(1.2e9)));"
        "from neuroattack.cli import main; main()"
    )

    def run(steps):
        options = ["--dataset", "digits", "--images", "1", "--steps", steps, "--json"]
        done = subprocess.run(
            [sys.executable, "-c", limited, "evaluate", path, *options, "--out", out],
            capture_output=True,
            text=True,
            check=False,
            # Each thread of a library has memory of its own.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        return done.returncode, done.stdout, done.stderr

    # With this reset, the native backend reserves room for a spike of every neuron in every step.
    refused(run("20000"), "neuroattack: out of memory: Unable to allocate")
    assert not out.exists()
    code, printed, _ = run("100")
    assert (code, json.loads(printed)["images"]) == (0, 1)


def test_images_per_batch_of_the_table_of_capacity():
    network = NETWORKS["784-500-500-10"]()
    assert batch_of(network, 350, spikes=False) == 256
    assert batch_of(network, 20_000, spikes=True) == 7
