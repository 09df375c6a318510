"""One item of a campaign, done in this process."""

import pytest
from campaign_files import campaign_file

from neuroattack.campaign.plan import Item
from neuroattack.campaign.work import Failed, Task, attempt
from neuroattack.datasets import load_dataset


@pytest.fixture
def done(tmp_path):
    campaign_file(tmp_path)
    checksum = load_dataset("digits").checksum

    def do(place, attack="adaptive", settings=None, limit="l2=2"):
        item = Item(place, attack, settings or {}, limit, 200, 0, 0, None, 1)
        return attempt(Task(item, None, str(tmp_path / "net.h5"), "", "digits", checksum, 6))

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
    failed = attempt(Task(item, None, str(tmp_path / "net.h5"), "", "digits", "other", 6))
    assert isinstance(failed, Failed)
    assert "another data set" in failed.error
