"""The benchmark suite: its quick mode, its command line and its arithmetic; no time is judged."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.output import one_object, refused

from benchmarks.cost import fitted_cost
from benchmarks.engine_tables import engine_tables
from benchmarks.limit import PLAIN, Limit
from benchmarks.registry import Table
from benchmarks.rounds import ratio_to_fastest, seconds, stated
from benchmarks.scaling import slopes
from benchmarks.suites import Costs, Suite, extrapolate
from benchmarks.workload import layered_network
from benchmarks.writing import markdown, with_spread
from neuroattack.backends.native import NativeBackend
from neuroattack.datasets import load_dataset

ROOT = Path(__file__).resolve().parents[1]

PROMISED = {
    "machine": {"cpu", "cores", "python", "numpy", "numba"},
    "engine": {
        *("limit_ratio_one_core", "vs_fastest_peer_batch100", "vs_fastest_peer_batch1"),
        *("vs_embedding_bag", "vs_brian2_standalone", "two_core_speedup", "two_core_limit"),
        "images_per_s",
    },
    "query": {"query_us", "compiled_us", "python_us"},
    "convolution": {
        *("vs_snntorch_direct", "vs_snntorch_poisson"),
        *("vs_snntorch_fastest_direct", "vs_snntorch_fastest_poisson"),
        *("limit_ratio_direct", "limit_ratio_poisson"),
    },
    "attack": {"crn_speedup", "encoder_share", "paper_attack_s"},
    "training": {"fine_tuned_s", "fine_tuned_spiking_accuracy", "paper_s", "paper_rate_accuracy"},
    "scaling": {"slopes"},
    "startup": {"help_s", "first_query_s"},
    "remote": {"remote_share", "batching_speedup"},
}
WITH_SPREAD = {"engine", "convolution", "query", "attack", "startup", "remote"}


def run_suite(*arguments, timeout_s=120):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="module")
def quick_engine(tmp_path_factory):
    """Run quick mode once for the tests that read what it printed and wrote."""
    out = tmp_path_factory.mktemp("benchmarks")
    done = run_suite("--quick", "--json", "--only", "engine", "--out", out)
    assert done.returncode == 0, done.stderr
    return done, out


def check_promised(figures, section):
    found = figures[section]
    assert PROMISED[section] <= set(found)
    if section in WITH_SPREAD:
        for key in PROMISED[section]:
            ends = found[f"{key}_spread"]
            assert (ends is None) == (found[key] is None)
            assert ends is None or 0 < ends[0] <= found[key] <= ends[1]


@pytest.mark.slow
def test_quick_mode_of_all_sections_keeps_every_promise(tmp_path):
    done = run_suite("--quick", "--json", "--out", tmp_path, timeout_s=300)
    assert done.returncode == 0, done.stderr
    figures = one_object(done.stdout)
    for section in PROMISED:
        check_promised(figures, section)
    for key in ("images", "steps", "spikes", "width", "depth"):
        low, high = figures["scaling"]["slopes"][f"{key}_spread"]
        assert low <= figures["scaling"]["slopes"][key] <= high
    assert {path.name for path in tmp_path.iterdir()} >= {
        "benchmarks.json",
        "benchmarks.md",
        "scaling.png",
    }


@pytest.mark.slow
def test_one_section_prints_one_object_with_its_keys(quick_engine):
    done, out = quick_engine
    figures = one_object(done.stdout)
    assert set(figures) == {"machine", "engine"}
    for section in figures:
        check_promised(figures, section)
    assert figures["engine"]["network"].startswith("random weights")
    assert json.loads((out / "benchmarks.json").read_text()) == figures


@pytest.mark.slow
def test_the_convolutional_network_is_measured_and_snntorch_or_said_to_be_missing(tmp_path):
    done = run_suite("--quick", "--json", "--only", "convolution", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = one_object(done.stdout)
    check_promised(figures, "convolution")
    for coding in ("direct", "poisson"):
        found = figures["convolution"][coding]
        assert list(found["activity"]) == ["input", "conv1", "conv2", "output"]
        assert all(0 < active < 1 for active in found["activity"].values())
        assert found["native"] > 0
        assert found["installed"] == ("documented" in found)
        assert found["equal_counts"] is None or found["equal_counts"] > 0.99


@pytest.mark.slow
def test_peers_are_measured_or_said_to_be_missing(quick_engine):
    engines = json.loads(quick_engine[0].stdout)["engine"]["engines"]
    assert set(engines) == {
        "snnTorch Leaky",
        "Norse LIFCell",
        "Norse LIFBoxCell",
        "SpikingJelly LIFNode",
        "torch embedding_bag",
        "Brian2 standalone",
        "backend torch",
    }
    for engine in engines.values():
        if not engine["installed"]:
            assert engine["reason"]
        for configuration in engine["configurations"].values():
            assert configuration["same_class"] > 0.5
            assert configuration["batch100"]["images_per_s"] > 0


def test_what_is_written_is_what_is_shown(quick_engine):
    done, out = quick_engine
    written = (out / "benchmarks.md").read_text()
    for table in engine_tables(json.loads(done.stdout)["engine"]):
        assert markdown(table) in written


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only", "engine,speed"], "speed"),
        (["--fast"], "--fast"),
        (["--dataset", "fashion"], "fashion"),
        (["--model", "nosuch.h5"], "nosuch.h5: "),
        (["--only", "engine", "--out", __file__], "cannot be written"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_is_measured(tmp_path, arguments, named):
    done = run_suite("--quick", "--out", tmp_path, *arguments)
    refused((done.returncode, done.stdout, done.stderr), named)


@pytest.fixture(scope="module")
def recorded():
    images = load_dataset("digits").test.first(3).images.reshape(3, -1).astype(float)
    network = layered_network((784, 30, 20, 10), images)
    inputs = network.input.encoder.encode(
        images, indices=np.arange(3), steps=60, dt_s=network.dt_s, seed=0
    )
    return network, NativeBackend(threads=1).deploy(network).run(inputs, record_spikes=True)


def test_the_limit_adds_a_row_for_each_spike_that_arrives(recorded):
    network, recording = recorded
    limit = Limit(network, recording)
    expected = {}
    for projection in network.projections:
        arriving = recording.spikes[projection.source].to_dense()[:, : -projection.delay_steps]
        name = f"{projection.source} to {projection.target}"
        expected[name] = int(arriving.sum()) * network.population(projection.target).size
    assert limit.additions == expected


def test_the_limit_is_the_fastest_form_of_each_projection_and_round(recorded):
    limit = Limit(*recorded)
    timed = {subject: np.array([2.0, 3.0]) for subject in limit.subjects()}
    timed["eight rows at a time", "input to hidden1"] = np.array([1.0, 5.0])
    assert limit.seconds(timed).tolist() == [1 + 2 + 2, 3 + 3 + 3]
    assert limit.seconds(timed, PLAIN).tolist() == [6, 9]
    assert limit.fastest(timed)["hidden1 to hidden2"] == PLAIN


def test_every_subject_has_its_turn_in_every_round():
    turns = []
    found = seconds({name: lambda name=name: turns.append(name) for name in "abc"}, 4, warm_up=1)
    assert turns[:3] == ["a", "b", "c"]
    rounds = [turns[start : start + 3] for start in range(3, 15, 3)]
    assert [one[0] for one in rounds] == ["a", "b", "c", "a"]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert all(taken_s.shape == (4,) for taken_s in found.values())


def test_ratios_are_taken_within_a_round():
    ours, others = (
        np.array([10.0, 20.0, 60.0]),
        [np.array([1.0, 5.0, 1.0]), np.array([2.0, 4.0, 3.0])],
    )
    assert ratio_to_fastest(ours, others).tolist() == [5, 4, 20]
    assert ratio_to_fastest(ours, []) is None
    assert stated("x", np.array([5.0, 4.0, 20.0])) == {"x": 5.0, "x_spread": [4.0, 20.0]}
    assert stated("x", None) == {"x": None, "x_spread": None}


def test_a_slope_is_the_exponent_of_a_power_law():
    timed = {x: np.array([3e-3 * x**1.5, 2.0 * x**0.5]) for x in (10.0, 30.0, 100.0)}
    np.testing.assert_allclose(slopes(timed), [1.5, 0.5])


def test_the_cost_model_is_found_again():
    additions = {100.0: 1e4, 500.0: 5e4, 2000.0: 3e5}
    timed = {x: np.full(3, 4e-10 * 1000 + 6e-11 * count) for x, count in additions.items()}
    found = fitted_cost(1000, additions, timed)
    assert found["ns_per_update"] == pytest.approx(0.4)
    assert found["ns_per_addition"] == pytest.approx(0.06)
    assert found["largest_deviation"] == pytest.approx(0, abs=1e-9)


def test_a_suite_takes_the_time_of_its_queries_or_of_its_slowest_shared_part():
    suite = Suite(images=100, attacks=2, queries=80, network="net", shape="28 x 28", factor=3.0)
    limits = {"scheduler": 50.0, "store": 1000.0}
    costs = Costs(query_s=0.01, search_s=0.05, trials=10, limits=limits, stored_bytes=2e9)
    found = extrapolate(suite, costs)
    # (80 + 2 x 10) queries of 3 x 0.01 s, and 80 x 0.05 s of the attack.
    assert found["item_s"] == pytest.approx(7.0)
    assert found["core_hours"] == pytest.approx(200 * 7 / 3600)
    assert found["hours"]["2"] == pytest.approx(100 * 7 / 3600)
    # On 4,096 cores, each item starts at once.
    assert found["hours"]["4096"] == pytest.approx(7 / 3600)
    assert found["store_gb"] == 400
    assert (found["first_limit"], found["first_limit_cores"]) == ("scheduler", pytest.approx(350))
    fast = Costs(query_s=1e-5, search_s=0.0, trials=10, limits=limits, stored_bytes=1.0)
    assert extrapolate(suite, fast)["hours"]["4096"] == pytest.approx(4 / 3600)


@pytest.mark.slow
def test_the_quick_parts_of_the_cluster_benchmark():
    pytest.importorskip("distributed", reason="needs the extra `campaigns`")
    command = [sys.executable, "-m", "benchmarks.cluster", "--items", "60"]
    command += ["--only", "transfer,dispatch,campaign"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["dispatch"]["Dask, 28 x 28"]["items"] == 60
    assert figures["campaign"]["export"]["exit_code"] == 0
    assert figures["transfer"]["3 x 32 x 32"]["data_set_bytes"] == 4 * 3 * 32 * 32


def test_random_layers_fire_at_similar_rates(recorded):
    network, recording = recorded
    for population in network.populations:
        rate_hz = recording.counts[population.name].mean() / 0.06
        assert 3 < rate_hz < 40


def test_tables_are_markdown():
    table = Table("Title", ("a", "b"), [["1|2", "3"]])
    assert markdown(table) == "**Title**\n\n| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"
    figures = {"x": 1234.5, "x_spread": [0.0567, 12.345], "y": None, "y_spread": None}
    assert with_spread(figures, "x", " s") == "1,234 s (0.057 to 12.3)"
    assert with_spread(figures, "y") == "not measured"


def test_ctrl_c_ends_it_in_one_sentence(tmp_path):
    command = [sys.executable, "-u", "-m", "benchmarks", "--quick", "--out", tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline().startswith("section ")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.glob("benchmarks.*"))


def test_the_results_of_finished_sections_are_kept(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "query,startup", "--out"]
    with subprocess.Popen(
        [*command, tmp_path], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        while "startup" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    figures = json.loads((tmp_path / "benchmarks.json").read_text())
    assert set(figures) == {"machine", "query"}
    check_promised(figures, "query")
