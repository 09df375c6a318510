import json

import numpy as np
import pytest
from support.campaign_files import CONFIG, campaign_file

from neuroattack.datasets import load_dataset
from neuroattack.errors import FileError
from neuroattack.experiments.campaign.config import read_config
from neuroattack.experiments.campaign.plan import plan_cells


def test_paths_are_relative_to_the_configuration(tmp_path):
    config = read_config(campaign_file(tmp_path))
    assert config.network == tmp_path / "net.h5"
    assert [str(spec) for spec in config.deployments] == ["native,steps=30"]
    assert config.attacks[1].settings == {"rounds": 2}
    assert (config.images.count, config.trials, config.seed) == (3, 4, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials = 4", "trials = 0", "trials: got 0"),
        ("trials = 4", "trial = 4", "did you mean 'trials'"),
        ("budgets = [40, 120]", "", "budgets: missing"),
        ("budgets = [40, 120]", "budgets = []", "budgets: got []"),
        ("budgets = [40, 120]", "budgets = 'x'", "budgets: got 'x'"),
        ('{ name = "random-noise" }', '"square"', "attacks.0: got 'square'"),
        ("native,steps=30", "dnn", "dnn: missing"),
        ("budgets = [40, 120]", "budgets = [40, 40]", "budgets: got [40, 40]"),
        ('"random"', '"targeted"', "goals.1: got 'targeted', expected 'untargeted', 'random', "),
        ('"random"', '"power"', "'energy' or 'latency'"),
        ("native,steps=30", "native,steps=none", "steps of a deployment: got 'none'"),
        ("native,steps=30", "nativ", "did you mean 'native'"),
        ('"l2=2"', '"l3=2"', "'l3'"),
        ('"l2=2"', '"l2=-2"', "bound on l2: got -2"),
        ('"l2=2"', '"l2"', "bound: got 'l2'"),
        ('"l2=2"', '"linf=2"', "bound on linf: got 2"),
        ("local_sd@greedy-window", "local_sd@square", "reference of a bound"),
        ('"random-noise"', '"random-nose"', "did you mean 'random-noise'"),
        ("rounds = 2", "round = 2", "did you mean 'rounds'"),
        ("rounds = 2", "rounds = 0", "rounds: got 0"),
        ("rounds = 2", 'rounds = "2"', "rounds: got '2'"),
        ("{ count = 3 }", "{ count = 3, indices = [1] }", "images: "),
        ("{ count = 3 }", "{}", "images: "),
        ("{ count = 3 }", "{ indices = [] }", "images.indices"),
        ("seed = 3", "seed = -1", "seed: got -1"),
        ("seed = 3", "seed = ", "cannot be read as TOML"),
    ],
)
def test_errors_name_the_invalid_key(tmp_path, command, old, new, message):
    assert old in CONFIG
    path = campaign_file(tmp_path, CONFIG.replace(old, new))
    with pytest.raises(FileError, match=r"campaign\.toml") as caught:
        read_config(path)
    assert message in str(caught.value)
    code, out, err = command("campaign", path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_bounds_by_algorithm_1_are_refused_with_labels(tmp_path, command):
    labels = '"native,steps=30,response=labels"'
    text = CONFIG.replace('"native,steps=30"', f'"native,steps=30", {labels}')
    code, out, err = command("campaign", campaign_file(tmp_path, text), "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "bounds: 'local_sd@greedy-window'" in err
    assert "'native,steps=30,response=labels'" in err
    text = text.replace(', "local_sd@greedy-window"', "").replace("random-noise", "sparse-rs")
    code, out, err = command("campaign", campaign_file(tmp_path, text), "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "attacks: 'sparse-rs'" in err
    assert not (tmp_path / "out").exists()


def test_the_former_name_of_count_regression_is_accepted(tmp_path):
    expected = read_config(campaign_file(tmp_path))
    with pytest.warns(FutureWarning, match="count-regression"):
        config = read_config(
            campaign_file(tmp_path, CONFIG.replace("count-regression", "adaptive"))
        )
    assert config == expected


def test_every_combination_is_a_cell_and_references_come_first(tmp_path):
    config = read_config(campaign_file(tmp_path))
    items = plan_cells(config, [(5, 1), (8, 0)], 10, {})
    assert len(items) == 2 * 2 * (1 + 2 * 2 * 2)
    assert [item.arguments["bound"] == "" for item in items] == [True] * 4 + [False] * 32
    assert len({item.key for item in items}) == len(items)
    references = {item.key for item in items[:4]}
    for item in items[4:]:
        assert (item.after in references) == item.arguments["bound"].endswith("@greedy-window")
        assert item.arguments["target_class"] != item.arguments["label"]


def test_a_random_target_class_depends_on_seed_and_image_only(tmp_path):
    config = read_config(campaign_file(tmp_path))

    def targets(images):
        cells = plan_cells(config, images, 10, {})
        return {one.arguments["index"]: one.arguments["target_class"] for one in cells}

    assert targets([(5, 1)])[5] == targets([(8, 0), (5, 1)])[5]
    many = [(index, 4) for index in range(300)]
    assert set(targets(many).values()) == set(range(10)) - {4} | {None} - {None}


def test_data_set_files_are_relative_to_the_configuration(tmp_path, monkeypatch, command):
    images = load_dataset("digits").test
    np.savez(tmp_path / "own.npz", test_images=images.images[:30], test_labels=images.labels[:30])
    text = CONFIG.replace("count = 3", 'count = 1, dataset = "own.npz"').replace(
        'goals = ["untargeted", "random"]', ""
    )
    path = campaign_file(tmp_path, text)
    assert read_config(path).images.dataset == str(tmp_path / "own.npz")
    monkeypatch.chdir("/")
    # Options may precede the file.
    code, out, err = command("campaign", "--workers", 1, path, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert {row["images"] for row in json.loads(out)["attacks"]} == {1}


def test_a_deployment_may_be_a_table_of_the_same_keys(tmp_path):
    table = '{ steps = 30, profile = "loihi1", allow_lossy = true }'
    config = read_config(campaign_file(tmp_path, CONFIG.replace('"native,steps=30"', table)))
    (spec,) = config.deployments
    assert str(spec) == "native,profile=loihi1,steps=30,allow_lossy=true"
    wrong = campaign_file(tmp_path, CONFIG.replace('"native,steps=30"', "{ stesp = 30 }"))
    with pytest.raises(FileError, match="steps"):
        read_config(wrong)
