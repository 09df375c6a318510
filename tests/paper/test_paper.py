"""Published numbers, choice of the attacked image, settings, and interrupted runs."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from neuroattack.errors import NeuroattackError, UnknownNameError, ValidationError
from neuroattack.paper import published
from neuroattack.paper.items import ITEMS, expand_items
from neuroattack.paper.sample import choose_sample
from neuroattack.paper.settings import PaperSettings

FILES = ("table2", "table3", "figure3", "figure9", "population", "transformations")


def test_published_numbers_have_the_shape_and_sums_of_the_tables():
    for columns in published.TABLE_I.values():
        assert list(columns) == ["train", "test", "train+test"]
        assert all(len(column) == len(published.DELTAS) for column in columns.values())
    # Column sums of Table I, from the text of the paper.
    sums = [sum(column) for columns in published.TABLE_I.values() for column in columns.values()]
    np.testing.assert_allclose(sums, [416.29, 469.09, 316.15, 464.97, 581.27, 422.75], atol=0.005)
    for rows in (published.TABLE_II, published.TABLE_III):
        assert [row.case for row in rows] == ["I"] * 3 + ["II"] * 3
    # (x, y) = ([14 17], [10 14]) counted from 1, in an image of rows and columns.
    image = np.zeros((28, 28))
    image[10 - 1 : 14, 14 - 1 : 17] = 1
    assert (published.MIDDLE.mask((28, 28)) == (image == 1)).all()
    assert published.CORNER.mask((28, 28)).sum() == 20


def run_of(labels, sdbn, dnn):
    """Return a stand-in for a run with labels and clean outputs by network."""
    outputs = {"sdbn": sdbn, "dnn": dnn}

    def clean_fractions(name, indices, _draws):
        spike_fractions = np.array(outputs[name])[indices]
        return spike_fractions.argmax(axis=1), spike_fractions

    labels = np.array(labels)
    return SimpleNamespace(
        dataset=SimpleNamespace(test=SimpleNamespace(labels=labels)),
        clean_fractions=clean_fractions,
    )


def spike_fractions(five, three):
    row = np.full(10, (1 - five - three) / 8)
    row[5], row[3] = five, three
    return row


def test_the_sample_is_the_five_nearest_to_the_papers_outputs():
    like_paper = spike_fractions(0.8269, 0.0764), spike_fractions(0.9879, 0.0089)
    near = spike_fractions(0.80, 0.07), spike_fractions(0.98, 0.01)
    wrong = spike_fractions(0.2, 0.7), spike_fractions(0.9879, 0.0089)
    rows = [like_paper, near, wrong, fractions_pair(0.6), near]
    # Image 0 is nearest, but not a "five".
    run = run_of([7, 5, 5, 5, 5], [row[0] for row in rows], [row[1] for row in rows])
    sample = choose_sample(run)
    assert sample.index == 1
    expected = (0.8269 - 0.80) + (0.0764 - 0.07) + (0.9879 - 0.98) + (0.01 - 0.0089)
    assert sample.mismatch == pytest.approx(expected)


def fractions_pair(five):
    return spike_fractions(five, 0.1), spike_fractions(five, 0.1)


def test_choosing_a_sample_fails_if_no_five_is_classified_correctly():
    run = run_of([5], [spike_fractions(0.1, 0.8)], [spike_fractions(0.9, 0.01)])
    with pytest.raises(NeuroattackError, match="no test image of class 5"):
        choose_sample(run)


def test_items_are_expanded_once_and_in_order():
    assert expand_items(["table3", "table1", "table3"]) == ["table1", "table3"]
    assert expand_items(["population", "all"]) == list(ITEMS)
    with pytest.raises(UnknownNameError, match="did you mean 'table1'"):
        expand_items(["tabel1"])


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"population": 0}, "population"),
        ({"trials": 0}, "trials"),
        ({"sweep": -1}, "sweep"),
        ({"training_seeds": 1}, "training seeds"),
        ({"steps": 0}, "steps"),
    ],
)
def test_settings_out_of_range_raise(changed, name):
    with pytest.raises(ValidationError, match=name):
        PaperSettings(**changed)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["table9"], "unknown item of the paper 'table9'"),
        (["table2", "--population", "0"], "population: got 0"),
        (["table2", "--images", "0", "--dataset", "digits"], "images: got 0"),
        (["table2", "--workers", "0", "--dataset", "digits"], "workers: got 0"),
        (["table2", "--backend", "brain"], "unknown backend 'brain'"),
        (["table2", "--out", "/dev/null/x"], "cannot be written"),
    ],
)
def test_bad_input_prints_one_line(command, tmp_path, arguments, part):
    if "--out" not in arguments:
        arguments = [*arguments, "--out", tmp_path / "paper"]
    code, out, err = command("paper", *arguments)
    assert (code, out) == (2, "")
    assert part in err
    assert len(err.strip().splitlines()) == 1


def started(folder, workers):
    options = ["--population", "2", "--trials", "3", "--images", "30", "--steps", "60"]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "neuroattack", "paper", *FILES, "--dataset", "digits"),
            *(*options, "--workers", str(workers), "--out", str(folder), "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_run_that_is_killed_twice_gives_the_same_results(tmp_path):
    uninterrupted = started(tmp_path / "uninterrupted", 1)
    rng = np.random.default_rng(0)
    for _ in range(2):
        killed = started(tmp_path / "killed", 2)
        time.sleep(rng.uniform(5, 20))
        # Kill only the parent; the workers must stop by themselves.
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    finished = started(tmp_path / "killed", 2)
    figures = []
    for run in (uninterrupted, finished):
        out, err = run.communicate()
        assert run.returncode == 0, err
        figures.append(json.loads(out))
    assert figures[0] == figures[1]
    assert set(figures[0]) == set(FILES)
    for item in FILES:
        for kind in ("json", "csv"):
            one, other = (tmp_path / run / f"{item}.{kind}" for run in ("uninterrupted", "killed"))
            assert one.read_bytes() == other.read_bytes()
