"""The command that draws samples."""

import numpy as np
import pytest
from PIL import Image
from support.output import one_object, refused


def test_show_draws_an_event_sample(command, tmp_path):
    code, out, _ = command("show", "event-digits", "--index", 3, "--out", tmp_path, "--json")
    assert code == 0
    figures = one_object(out)
    assert figures["shape"] == [90, 2, 16, 16]
    assert figures["duration_s"] == pytest.approx(0.09)
    events = figures["events"]["clean"]
    assert events["total"] == events["on"] + events["off"] > 0
    assert figures["events"]["adversarial"] is None
    assert {path.name for path in tmp_path.iterdir()} == {
        "frames.png",
        "frames.gif",
        "space-time.png",
    }
    with Image.open(figures["files"]["animation"]) as picture:
        assert picture.n_frames == 30


def test_show_draws_an_image(command, tmp_path):
    code, out, _ = command("show", "digits", "--out", tmp_path)
    assert code == 0
    assert "28x28" in out
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("kind", [bool, float])
def test_show_draws_adversarial_samples(command, tmp_path, kind):
    arrays = np.random.default_rng(0).random((2, 2, 6, 5, 5)) < 0.2
    source = tmp_path / "images.npz"
    np.savez(source, original=arrays[0].astype(kind), adversarial=arrays[1].astype(kind))
    code, out, _ = command("show", source, "--index", 1, "--out", tmp_path / "out", "--json")
    assert code == 0
    figures = one_object(out)
    assert figures["is_of_events"] == (kind is bool)
    assert ("events" in figures["distances"]) == (kind is bool)
    assert len(figures["files"]) == (3 if kind is bool else 1)
    assert command("show", source, "--out", tmp_path / "out")[0] == 0


def test_show_refuses_bad_input_by_name(command, tmp_path):
    refused(command("show", "event-digits", "--index", 355), "image index", "355", "0 to 354")
    refused(command("show", "event-digits", "--index", -1), "image index", "-1")
    refused(command("show", "evnt-digits"), "evnt-digits", "event-digits")
    path = tmp_path / "images.npz"
    path.write_bytes(b"PNG")
    refused(command("show", path), path, "npz")
    refused(command("show", tmp_path / "missing.npz"), "missing.npz", "no such file")
    np.savez(path, original=np.zeros((1, 4, 4)), adversarial=np.zeros((1, 4, 4)))
    refused(command("show", path, "--index", 1), "sample index", "0 to 0")
    path.with_suffix("").write_text("a file")
    refused(command("show", path, "--out", path.with_suffix("")), "cannot be written")
