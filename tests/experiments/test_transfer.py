import csv
import json
from importlib.resources import files

import numpy as np
import pytest
from support.campaign_files import campaign_file

from neuroattack.attacks.goals import Goal
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import verification_stream
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.experiments.transfer import TransferSettings
from neuroattack.statistics import wilson_interval

PLACES = ["native,steps=40", "native,steps=60,seed=2", "native,steps=40,encoder=regular"]


def arguments(folder, *options):
    places = [part for place in PLACES for part in ("--deployment", place)]
    small = ["--images", "3", "--queries", "200", "--trials", "6", "--bound", "3"]
    return ["transfer", folder / "net.h5", *places, *small, "--out", folder / "out", *options]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("transfer")
    campaign_file(made)
    return made


@pytest.fixture
def found(folder, command):
    code, out, err = command(*arguments(folder, "--json"))
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_the_matrix_agrees_with_repeated_verification(folder, found):
    assert found["rows"] == found["columns"] == PLACES
    test = load_dataset("digits").test
    archives = sorted((folder / "out" / "cells" / "images").glob("*.npz"))
    assert len(archives) == 3
    made = [np.load(path)["images"] for path in archives]
    shown = set()
    for images in made:
        line = []
        for text in PLACES:
            with open_target(DeploymentSpec.from_text(text), folder / "net.h5") as opened:
                reached = []
                for image, image_goal in zip(images, found["images"], strict=True):
                    label = int(test.labels[image_goal["index"]])
                    box = opened(verification_stream(image_goal["index"], None))
                    reached.append(Goal(label).reached(box.query(np.array([image] * 6))).mean())
                line.append(float(np.mean(reached)))
        shown.add(tuple(line))
    assert {tuple(row) for row in found["success"]} == shown
    for row, line in enumerate(found["success_rates"]):
        for column, success_rates in enumerate(line):
            low, high = wilson_interval(sum(success_rates), 3)
            assert found["ci95"][row][column] == [low, high]
            assert found["success"][row][column] == pytest.approx(np.mean(success_rates))
    assert any(found["success"][k][k] > 0 for k in range(3))


def test_images_are_within_the_bound_and_clean_images_are_classified_correctly(folder, found):
    test = load_dataset("digits").test
    for path in (folder / "out" / "cells" / "images").glob("*.npz"):
        for image, image_goal in zip(np.load(path)["images"], found["images"], strict=True):
            away = np.linalg.norm(image - test.images[image_goal["index"]].astype(float))
            assert 0 < away <= 3 * (1 + 1e-6)
    assert max(found["clean_error_rates"]) < 0.5


def test_a_second_run_uses_stored_results(folder, found, command):
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "cells").rglob("*.*")}
    code, out, _ = command(*arguments(folder, "--json"))
    again = json.loads(out)
    assert code == 0
    assert {**again, "provenance": 0} == {**found, "provenance": 0}
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_table_figure_and_text(folder, found, command):
    with (folder / "out" / "transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["success"]) for row in rows] == [x for line in found["success"] for x in line]
    assert (folder / "out" / "transfer.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = command(*arguments(folder))
    assert code == 0
    assert all(name in out for name in found["columns"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--deployment", "native"], "at least two"),
        (["--deployment", "native", "--deployment", "native"], "deployments: got"),
        (["--deployment", "native", "--deployment", "dnn"], "deployment: got dnn"),
        (["--deployment", "native", "--deployment", "nativ"], "did you mean 'native'"),
        (["--attack", "count-regresion"], "did you mean 'count-regression'"),
        (["--bound", "0"], "bound on l2"),
        (["--trials", "0"], "trials"),
        (["--queries", "0"], "queries of an attack"),
        (["--images", "0"], "images"),
    ],
)
def test_bad_input_is_refused(folder, command, options, message):
    code, out, err = command("transfer", folder / "net.h5", "--out", folder / "no", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") <= 2


def test_an_unknown_goal_is_refused():
    with pytest.raises(Exception, match="goal"):
        TransferSettings((DeploymentSpec(), DeploymentSpec(steps=9)), goal="targeted")


@pytest.mark.slow
def test_a_changed_profile_invalidates_earlier_results(folder, tmp_path, command):
    chip = (files("neuroattack.hardware_profiles") / "loihi1.toml").read_text(encoding="utf-8")
    profile = tmp_path / "chip.toml"
    places = [
        "--deployment",
        "native,steps=30",
        "--deployment",
        f"native,steps=30,profile={profile}",
    ]

    def matrix(out):
        small = ("--images", 3, "--queries", 60, "--trials", 6, "--bound", 3)
        code, told, err = command(
            "transfer", folder / "net.h5", *places, *small, "--out", out, "--json"
        )
        assert code == 0, err
        return json.loads(told)["success_rates"]

    profile.write_text(chip, encoding="utf-8")
    before = matrix(tmp_path / "kept")
    assert "weight_bits = { v = 8," in chip
    profile.write_text(chip.replace("weight_bits = { v = 8,", "weight_bits = { v = 3,"))
    after = matrix(tmp_path / "kept")
    assert after == matrix(tmp_path / "fresh")
    assert after != before
