"""Campaigns in separate processes: killed, interrupted and concurrent."""

import contextlib
import csv
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from support.campaign_files import CONFIG, ITEMS, campaign_file
from support.cell_work import DyingAttempt
from support.networks import small_network

from neuroattack.datasets import load_dataset
from neuroattack.errors import ValidationError
from neuroattack.experiments.campaign import running as campaign
from neuroattack.experiments.campaign.config import read_config
from neuroattack.experiments.campaign.export import result_rows, summarize
from neuroattack.experiments.campaign.running import begin, resume
from neuroattack.experiments.engine import running as engine
from neuroattack.experiments.engine.store import STORE, Counts, Store
from neuroattack.experiments.engine.workers import Workers
from neuroattack.ir.storage import save_network
from neuroattack.report.curves import curves_figure

WHOLE = Counts(done=ITEMS, failed=0, waiting=0, running=0)


def start(config, out, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "neuroattack", "campaign", config, "--out", out, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)


def rows_of(folder):
    """Return the rows of a campaign without durations."""
    with Store(folder) as store:
        assert store.counts() == WHOLE
        rows = result_rows(store.results())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def done_in(folder):
    with contextlib.suppress(Exception), Store(folder) as store:
        return store.counts().done
    return 0


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def on_one_core(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    figures = finished(start(campaign_file(folder), folder / "out", "--workers", "1", "--json"))
    return figures, rows_of(folder / "out")


def test_figures_agree_with_rows(on_one_core):
    figures, rows = on_one_core
    assert figures["progress"]["done"] == ITEMS
    attacks = figures["attacks"]
    assert len(attacks) == 2 * (2 * 2 * 2 + 1)
    for one in attacks:
        mine = [
            row
            for row in rows
            if (row["attack"], row["bound"] or None, row["budget"])
            == (one["attack"], one["bound"], one["budget"])
            and (row["target_class"] is not None) == one["targeted"]
        ]
        assert len(mine) == one["images"] == 3
        assert one["success"] == pytest.approx(sum(row["success"] for row in mine) / 3)
        low, high = one["success_ci95"]
        assert 0 <= low <= one["success"] <= high <= 1
        assert one["verification_queries"] == 3 * 2 * 4
        assert one["deployment"] == "native,steps=30"


def test_attacks_are_bounded_by_the_distance_of_algorithm_1_on_each_image(on_one_core):
    _, rows = on_one_core
    reached = {
        (row["index"], row["target_class"]): row["local_sd_distance"]
        for row in rows
        if not row["bound"]
    }
    held = [row for row in rows if row["bound"] == "local_sd@greedy-window"]
    assert len(held) == 24
    for row in held:
        bound = reached[row["index"], row["target_class"]]
        assert row["max_distance"] == bound
        assert row["local_sd_distance"] <= bound * (1 + 1e-6)
        assert row["queries"] <= row["budget"]


@pytest.mark.slow
def test_two_processes_share_a_campaign_and_give_the_results_of_one_core(tmp_path, on_one_core):
    config = campaign_file(tmp_path)
    both = [start(config, tmp_path / "out", "--workers", "2", "--json") for _ in range(2)]
    for process in both:
        assert finished(process)["progress"]["done"] == ITEMS
    assert rows_of(tmp_path / "out") == on_one_core[1]


def kept_in(folder):
    """Return the stored results of all finished cells, including durations."""
    if not (folder / STORE).exists():
        return {}
    with Store(folder) as store:
        return {one.key: one.result for one in store.results()}


def _more_done_or_ended(out, known, process):
    return done_in(out) > known or process.poll() is not None


def killed_at_random(config, out, moments, seed):
    """Start and kill a campaign, check that results persist, and return the number finished."""
    chance = random.Random(seed)  # noqa: S311
    before = {}
    for moment in range(moments):
        process = start(config, out, "--workers", "2")
        if moment % 2:
            # On a slow machine too, every other kill interrupts running work.
            wait_until(functools.partial(_more_done_or_ended, out, len(before), process))
        time.sleep(chance.uniform(0.0, 2.0))
        process.kill()
        process.communicate()
        after = kept_in(out)
        assert before == {key: record for key, record in after.items() if key in before}
        before = after
    return len(before)


@pytest.mark.slow
def test_after_two_kills_nothing_is_lost_or_repeated(tmp_path, on_one_core):
    config = campaign_file(tmp_path)
    process = start(config, tmp_path / "out", "--workers", "2")
    wait_until(lambda: done_in(tmp_path / "out") >= 5)
    process.kill()
    process.communicate()
    before = done_in(tmp_path / "out")
    assert 5 <= before < ITEMS
    killed_at_random(config, tmp_path / "out", 1, 0)
    assert done_in(tmp_path / "out") >= before
    finished(start(config, tmp_path / "out", "--json"))
    assert rows_of(tmp_path / "out") == on_one_core[1]


@pytest.mark.slow
def test_after_fifty_random_kills_nothing_is_lost_or_repeated(tmp_path):
    text = CONFIG.replace("count = 3", "count = 40")
    config = campaign_file(tmp_path, text)
    assert killed_at_random(config, tmp_path / "out", 50, 1) > 0
    killed = finished(start(config, tmp_path / "out", "--json"))
    whole = finished(start(campaign_file(tmp_path / "b", text), tmp_path / "b" / "out", "--json"))
    for one, other in zip(killed["attacks"], whole["attacks"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.slow
def test_ctrl_c_keeps_results_and_names_the_folder(tmp_path, on_one_core):
    config = campaign_file(tmp_path)
    process = start(config, tmp_path / "out", "--workers", "2", "--json")
    wait_until(lambda: done_in(tmp_path / "out") >= 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert str(tmp_path / "out") in err
    assert 3 <= done_in(tmp_path / "out") < ITEMS
    finished(start(config, tmp_path / "out", "--json"))
    assert rows_of(tmp_path / "out") == on_one_core[1]


def test_a_failing_attack_is_reported_and_the_others_are_done(tmp_path, command):
    text = CONFIG.replace('"random-noise"', '"greedy-window", settings = { window = 40 }')
    text = text.replace(', "local_sd@greedy-window"', "")
    config = campaign_file(tmp_path, text)
    code, out, err = command("campaign", config, "--out", tmp_path / "out", "--json")
    assert code == 1
    figures = json.loads(out)
    poisoned = 3 * 2 * 2
    groups = [(one["attack"], one["images"], one["failed"]) for one in figures["attacks"]]
    assert sorted(set(groups)) == [("count-regression", 3, 0), ("greedy-window", 0, 3)]
    assert {one["success"] for one in figures["attacks"] if not one["images"]} == {None}
    assert figures["progress"] == {
        "done": poisoned,
        "failed": poisoned,
        "waiting": 0,
        "running": 0,
    }
    assert f"{poisoned} attacks" in err
    code, out, _ = command("campaign", "status", tmp_path / "out", "--json")
    aside = json.loads(out)["failures"]
    assert len(aside) == poisoned
    assert all("window" in one["error"] for one in aside)
    assert command("campaign", "status", tmp_path / "out")[0] == 0
    code, out, _ = command(
        "campaign", "export", tmp_path / "out", "--curves", tmp_path / "curves.png"
    )
    assert code == 0


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(tmp_path, on_one_core):
    config = campaign_file(tmp_path)
    process = start(config, tmp_path / "out", "--workers", "2", "--json")
    wait_until(lambda: done_in(tmp_path / "out") >= 3)
    workers = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    finished(process)
    assert rows_of(tmp_path / "out") == on_one_core[1]


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2])
def test_only_a_cell_that_kills_its_worker_three_times_fails(tmp_path, monkeypatch, cores):
    text = CONFIG.replace("[40, 120]", "[40]").replace(', "local_sd@greedy-window"', "")
    begin(tmp_path / "out", read_config(campaign_file(tmp_path, text)))
    with Store(tmp_path / "out") as store:
        deadly_index = store.claim().arguments["index"]
    monkeypatch.setattr(engine, "attempt", DyingAttempt(deadly_index))
    counts = resume(tmp_path / "out", Workers(cores))
    assert counts == Counts(done=3 * 2 * 2 - 2, failed=2, waiting=0, running=0)
    with Store(tmp_path / "out") as store:
        assert {one["attack"] for one, _ in store.failures()} == {"count-regression"}
        assert all("worker process died" in error for _, error in store.failures())


def test_another_campaign_in_the_folder_is_refused(tmp_path, command):
    config = campaign_file(tmp_path)
    begin(tmp_path / "out", read_config(config))
    other = campaign_file(tmp_path, CONFIG.replace("seed = 3", "seed = 4"))
    code, out, err = command("campaign", other, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "another campaign" in err


def test_export_writes_one_row_per_attack(tmp_path, command, on_one_core):
    config = campaign_file(tmp_path, CONFIG.replace("count = 3", "count = 1"))
    assert command("campaign", config, "--out", tmp_path / "out")[0] == 0
    code, out, _ = command(
        "campaign", "export", tmp_path / "out", "--csv", tmp_path / "rows.csv", "--json"
    )
    assert code == 0
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert len(lines) == 1 + ITEMS // 3
    assert set(json.loads(out)["attacks"][0]) >= {
        "attack",
        "deployment",
        "budget",
        "images",
        "targeted",
        "success",
        "success_ci95",
        "median_queries",
        "median_distance",
        "verification_queries",
    }
    assert {each["difference"] for each in json.loads(out)["attacks"]} - {None}
    assert command("campaign", "export", tmp_path / "out", "--images", tmp_path / "i.npz")[0] == 0
    with np.load(tmp_path / "i.npz") as arrays:
        images = arrays["adversarial"]
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, image in zip(rows, images, strict=True):
        original, _ = load_dataset("digits").test.pick(int(row["index"]))
        distance = np.linalg.norm(image - original)
        assert distance == pytest.approx(float(row["l2_distance"]), abs=1e-6)
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `campaigns`")
    code, _, _ = command(
        "campaign", "export", tmp_path / "out", "--parquet", tmp_path / "r.parquet"
    )
    assert code == 0
    assert parquet.read_table(tmp_path / "r.parquet").num_rows == ITEMS // 3


def test_differences_are_paired_by_image_and_target_class():
    rates = {
        ("first", 0, 3): 0.5,
        ("first", 1, 3): 0.25,
        ("first", 1, 4): 0.0,
        ("other", 0, 3): 1.0,
        ("other", 1, 4): 0.25,
        ("other", 2, 3): 1.0,
    }
    same = {
        "settings": "{}",
        "threat_model": "no data",
        "deployment": "native",
        "bound": "l2=2",
        "max_distance": 2.0,
        "budget": 10,
        "queries": 10,
        "l2_distance": 1.0,
        "clean_success": 0.0,
        "verification_queries": 20,
        "seconds": 1.0,
    }
    rows = [
        {"attack": attack, "index": index, "target_class": target, "success": rate, **same}
        for (attack, index, target), rate in rates.items()
    ]
    first, other = summarize(rows, first={"attack": "first", "settings": {}})
    assert (first["difference"], first["difference_ci95"]) == (None, None)
    # Differences of 0.5 and 0.25; Student's t with one degree of freedom is 12.706.
    assert other["difference"] == 0.375
    half = 12.706 * 0.125
    assert other["difference_ci95"] == pytest.approx([0.375 - half, 0.375 + half], abs=1e-4)


@pytest.mark.slow
def test_an_extended_campaign_gives_the_results_of_a_new_one(tmp_path, command, on_one_core):
    small = CONFIG.replace("count = 3", "count = 1").replace("[40, 120]", "[120]")
    out = tmp_path / "out"
    assert command("campaign", campaign_file(tmp_path, small), "--out", out)[0] == 0
    before = kept_in(out)
    assert command("campaign", campaign_file(tmp_path), "--out", out)[0] == 0
    after = kept_in(out)
    assert before == {key: after[key] for key in before}

    def ordered(rows):
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))

    assert ordered(rows_of(out)) == ordered(on_one_core[1])
    code, _, err = command("campaign", campaign_file(tmp_path, small), "--out", out)
    assert code == 2
    assert f"folder {tmp_path / 'out'}" in err
    assert kept_in(out) == after


def test_another_network_in_the_same_file_is_refused(tmp_path, command):
    config = campaign_file(tmp_path)
    begin(tmp_path / "out", read_config(config))
    save_network(tmp_path / "net.h5", small_network())
    code, out, err = command("campaign", "resume", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "net.h5: differs" in err
    (tmp_path / "net.h5").unlink()
    code, out, err = command("campaign", "resume", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "net.h5: cannot be read: No such file" in err


def test_a_changed_profile_or_version_is_refused(tmp_path, command, monkeypatch):
    profile = resources.files("neuroattack.hardware_profiles").joinpath("loihi1.toml")
    chip = tmp_path / "chip.toml"
    chip.write_text(profile.read_text(encoding="utf-8"), encoding="utf-8")
    text = CONFIG.replace("native,steps=30", "native,steps=30,profile=chip.toml")
    config = campaign_file(tmp_path, text.replace("[40, 120]", "[40]"))
    assert read_config(config).deployments[0].profile == str(chip)
    monkeypatch.chdir("/")
    begin(tmp_path / "out", read_config(config))
    monkeypatch.setattr(campaign, "__version__", "0.0.1")
    for words in (["resume", tmp_path / "out"], [config, "--out", tmp_path / "out"]):
        code, out, err = command("campaign", *words)
        assert (code, out) == (2, "")
        assert "0.0.1" in err
    monkeypatch.undo()
    with chip.open("a", encoding="utf-8") as file:
        file.write("# Edited.\n")
    code, out, err = command("campaign", "resume", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "chip.toml: differs" in err


def test_a_failed_plan_leaves_the_folder_usable(tmp_path, command):
    config = campaign_file(tmp_path, CONFIG.replace("count = 3", "count = 9999"))
    code, _, err = command("campaign", config, "--out", tmp_path / "out")
    assert code == 2
    assert "images: got 9999" in err
    (tmp_path / "net.h5").rename(tmp_path / "other.h5")
    text = CONFIG.replace("count = 3", "count = 1").replace("net.h5", "other.h5")
    config.write_text(text.replace("[40, 120]", "[40]"), encoding="utf-8")
    code, _, err = command("campaign", config, "--out", tmp_path / "out")
    assert code == 0, err


def test_curves_need_two_points(tmp_path, command, on_one_core):
    figures, _ = on_one_core
    axes = curves_figure(figures["attacks"]).axes
    titles = [one.get_title(loc="left") for one in axes if one.get_visible()]
    assert [title.splitlines()[-1].split(", bound ") for title in titles] == [
        [goal, limit]
        for goal in ("untargeted", "targeted")
        for limit in ("l2=2", "local_sd@greedy-window")
    ]
    row = next(one for one in figures["attacks"] if one["attack"] == "random-noise")
    (line,) = [
        container.lines[0]
        for container in axes[0].containers
        if container.get_label() == "random-noise"
    ]
    assert line.get_ydata()[0] == pytest.approx(100 * row["success"])
    config = campaign_file(
        tmp_path,
        CONFIG.replace("count = 3", "count = 1")
        .replace("[40, 120]", "[40]")
        .replace('"local_sd@greedy-window"', '"l2=3"'),
    )
    assert command("campaign", config, "--out", tmp_path / "out")[0] == 0
    picture = tmp_path / "curves.png"
    assert command("campaign", "export", tmp_path / "out", "--curves", picture)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValidationError, match="curves: got"):
        curves_figure([row])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "workers: got 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "workers: got 2"),
    ],
)
def test_invalid_workers_are_refused_before_the_start(tmp_path, command, options, message):
    code, out, err = command("campaign", campaign_file(tmp_path), "--out", tmp_path / "o", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "o").exists()


def test_a_scheduler_without_dask_is_refused(tmp_path, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    config = campaign_file(tmp_path)
    code, out, err = command(
        "campaign", config, "--out", tmp_path / "o", "--scheduler", "tcp://x:1"
    )
    assert (code, out) == (2, "")
    assert "needs the extra `campaigns`" in err


@pytest.mark.slow
def test_a_real_scheduler_with_two_workers_gives_the_results_of_one_core(tmp_path, on_one_core):
    pytest.importorskip("distributed", reason="needs the extra `campaigns`")
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", address]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [
        subprocess.Popen(
            [*dask, "--host", "127.0.0.1", "--port", "0", "--scheduler-file", address], **quiet
        )
    ]
    try:
        wait_until(address.exists)
        processes += [
            subprocess.Popen([*worker, "--nthreads", "1", "--no-dashboard"], **quiet)
            for _ in range(2)
        ]
        wait_until(lambda: address.read_text().strip().endswith("}"))
        scheduler = json.loads(address.read_text())["address"]
        time.sleep(5)
        config = campaign_file(tmp_path)
        finished(start(config, tmp_path / "out", "--scheduler", scheduler, "--json"))
    finally:
        for process in processes[::-1]:
            process.terminate()
            process.wait(30)
    assert rows_of(tmp_path / "out") == on_one_core[1]
