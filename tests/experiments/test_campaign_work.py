"""One item of a campaign, done in this process."""

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.campaign_files import campaign_file

from neuroattack.datasets import load_dataset
from neuroattack.experiments.campaign.plan import Item
from neuroattack.experiments.campaign.work import Failed, Task, attempt
from neuroattack.ir.storage import load_network, save_network


def task(item, network, checksum=None, digest=None):
    """Return an item with what a worker has to know, the network being what it is now."""
    return Task(
        item,
        None,
        str(network),
        "",
        {str(network): digest or hashlib.sha256(network.read_bytes()).hexdigest()},
        "digits",
        checksum or load_dataset("digits").checksum,
        6,
    )


@pytest.fixture
def done(tmp_path):
    campaign_file(tmp_path)

    def do(place, attack="adaptive", settings=None, limit="l2=2"):
        item = Item(place, attack, settings or {}, limit, 200, 0, 0, None, 1)
        return attempt(task(item, tmp_path / "net.h5"))

    return do


def test_a_search_may_have_draws_in_common_and_a_verdict_never_does(done):
    usual, common = done("native,steps=60"), done("native,steps=60,search_draws=common")
    assert (usual.adversarial != common.adversarial).any()
    # The original is judged alike: on the same independent draws.
    assert usual.record["clean_success"] == common.record["clean_success"]
    assert common.record["queries"] <= 200


def test_an_attack_that_needs_counts_is_refused_where_the_class_alone_is_told(done):
    refused = done("native,steps=60,answers=labels", "sparse-rs")
    assert isinstance(refused, Failed)
    assert "'sparse-rs' needs spike counts of every class" in refused.error
    found = done("native,steps=60,answers=labels", "adaptive")
    assert found.record["queries"] <= 200


def test_judged_on_labels_an_image_fares_as_on_counts(done):
    noise = {"attack": "random-noise"}
    on_counts = done("native,steps=60", **noise)
    on_labels = done("native,steps=60,answers=labels", **noise)
    assert on_counts.record["clean_success"] == on_labels.record["clean_success"]


def test_another_data_set_than_the_plan_s_is_an_error(tmp_path):
    campaign_file(tmp_path)
    item = Item("native", "random-noise", {}, "l2=2", 10, 0, 0, None, 1)
    failed = attempt(task(item, tmp_path / "net.h5", checksum="other"))
    assert isinstance(failed, Failed)
    assert "another data set" in failed.error


def test_a_worker_that_outlives_a_campaign_attacks_what_the_next_one_names(tmp_path):
    campaign_file(tmp_path)
    path = tmp_path / "net.h5"
    item = Item("native,steps=60", "random-noise", {}, "l2=2", 20, 0, 0, None, 1)
    before = attempt(task(item, path))
    network = load_network(path)
    silent = [dataclasses.replace(p, threshold_v=1e6) for p in network.populations]
    save_network(path, dataclasses.replace(network, populations=tuple(silent)))
    after = attempt(task(item, path))
    assert before.record["success"]["successes"] > 0
    # Silence is undecided, which is no success.
    assert after.record["success"]["successes"] == 0


def test_another_model_than_the_plan_s_is_an_error(tmp_path):
    campaign_file(tmp_path)
    item = Item("native,steps=61", "random-noise", {}, "l2=2", 10, 0, 0, None, 1)
    failed = attempt(task(item, tmp_path / "net.h5", digest="0" * 64))
    assert isinstance(failed, Failed)
    assert "net.h5: is another one here" in failed.error


def test_items_on_several_threads_of_a_process_are_as_one_after_the_other(tmp_path):
    pytest.importorskip("art", reason="needs the extra attacks")
    campaign_file(tmp_path)
    names = ("simba", "square") * 3
    tasks = [
        task(
            Item("native,steps=30", name, {}, "l2=2", 60, place, 0, None, place),
            tmp_path / "net.h5",
        )
        for place, name in enumerate(names)
    ]
    alone = [attempt(one) for one in tasks]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(attempt, tasks))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.adversarial, other.adversarial)
        assert one.record["success"] == other.record["success"]
