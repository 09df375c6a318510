"""Atomic writes."""

import errno
import json
import os

import numpy as np
import pytest

from neuroattack.errors import OutputError
from neuroattack.files import atomic_path, check_writable, write_arrays, write_json, write_text


def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.txt"
    write_text(target, "old")

    def half_a_write():
        with atomic_path(target) as path:
            path.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_a_write()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_a_device_that_is_full_is_an_error_in_one_sentence(tmp_path):
    target = tmp_path / "result.txt"

    def write_to_a_full_device():
        with atomic_path(target), open("/dev/full", "w") as full:
            full.write("x")

    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
        write_to_a_full_device()
    assert not target.exists()


def test_folders_are_made_and_permissions_are_the_users(tmp_path):
    target = tmp_path / "a" / "b" / "result.json"
    write_json(target, {"x": 1})
    assert json.loads(target.read_text()) == {"x": 1}
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_arrays_come_back_without_pickle(tmp_path):
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3.0)})
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz", allow_pickle=False)["x"], [0, 1, 2])


def test_writability_is_checked_without_leaving_a_file(tmp_path):
    check_writable(tmp_path / "new" / "x.json")
    assert os.listdir(tmp_path / "new") == []
    with pytest.raises(OutputError, match="it is a folder"):
        check_writable(tmp_path)


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"
