"""Pictures of event samples: frames, space-time plots, animations and reports."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.result import SearchResult, Verification
from neuroattack.errors import FileError, UnknownNameError, ValidationError
from neuroattack.experiments.attack import AttackedImage
from neuroattack.report.attack import render_report, save_report
from neuroattack.report.attack_result import AttackResult
from neuroattack.report.curves import curves_figure
from neuroattack.report.events.animation import save_animation
from neuroattack.report.events.frames import blend, draw_change, frames_figure, largest_count
from neuroattack.report.events.marks import Pair
from neuroattack.report.events.samples import load_sample, save_pictures
from neuroattack.report.events.space_time import space_time_figure

SHAPES = [(12, 2, 6, 5), (12, 6, 5), (2, 3, 4, 4), (1, 4), (12, 1, 40)]


def pair_of(shape, moved=False):
    """Return a clean and an adversarial sample of random events."""
    rng = np.random.default_rng(0)
    original = rng.random(shape) < 0.3
    adversarial = original ^ (rng.random(shape) < 0.1)
    if moved:
        adversarial = np.roll(original, 1, axis=0)
    return original.astype(np.float64), adversarial.astype(np.float64)


def attacked(shape=(12, 2, 6, 5), norm="events", *, moved=False):
    original, adversarial = pair_of(shape, moved)
    search = SearchResult(original, adversarial, Goal(0), 10, "budget")
    verified = Verification(3, 10, 1)
    image = AttackedImage(0, search, verified, verified, is_of_events=True)
    return AttackResult(RandomNoise(Bound(norm, 9), queries=10), (image, replace(image, index=1)))


def drawn(figure):
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("moved", [False, True])
def test_figures_of_every_shape(shape, moved, tmp_path):
    original, adversarial = pair_of(shape, moved)
    for pair in (Pair(original), Pair(original, adversarial, 1e-3), Pair(original, original)):
        for figure in (frames_figure(pair), space_time_figure(pair)):
            assert np.ptp(drawn(figure)) > 100
    assert save_animation(tmp_path / "frames.gif", pair, 4) == min(4, shape[0])


def test_samples_without_events_are_drawn(tmp_path):
    silent = np.zeros((6, 2, 3, 3))
    pair = Pair(silent, silent)
    drawn(frames_figure(pair))
    drawn(space_time_figure(pair))
    save_animation(tmp_path / "frames.gif", pair, 2)


@pytest.mark.parametrize(
    ("original", "adversarial"),
    [(np.zeros(5), None), (np.zeros((0, 4)), None), (np.zeros((5, 4)), np.zeros((5, 3)))],
)
def test_arrays_that_are_no_samples_are_refused(original, adversarial):
    with pytest.raises(ValidationError, match="event sample"):
        Pair(original, adversarial)


@pytest.mark.parametrize(("steps", "count"), [(90, 3), (10, 3), (2, 3), (1, 30), (7, 7)])
def test_windows_cover_all_steps(steps, count):
    windows = Pair(np.zeros((steps, 2))).windows(count)
    assert len(windows) == min(steps, count)
    assert [step for each in windows for step in range(steps)[each]] == list(range(steps))


def test_times_have_the_unit_of_the_step():
    sample = np.zeros((90, 4))
    window = slice(30, 60)
    assert Pair(sample, dt_s=2e-3).span(window) == "60\u2013120 ms"
    assert Pair(sample).span(window) == "30\u201360 steps"


def test_changes_are_the_inserted_and_the_deleted_events():
    original, adversarial = pair_of((12, 2, 6, 5))
    changes = Pair(original, adversarial).changes(slice(3, 9))
    np.testing.assert_array_equal(changes["inserted"], (adversarial > original)[3:9])
    np.testing.assert_array_equal(changes["deleted"], (adversarial < original)[3:9])


def test_pixels_have_the_color_of_their_polarity():
    sample = np.zeros((4, 2, 2, 2), bool)
    sample[:, 0, 0, 0] = sample[0, 0, 1, 0] = sample[:, 1, 0, 1] = True
    pair = Pair(sample)
    assert largest_count(pair, [slice(0, 4)]) == 4
    (on, off), (few, none) = blend(pair, sample, 4)
    assert on.argmax() == 2
    assert off.argmax() == 0
    assert few.argmax() == 2
    assert (few > on).all()
    assert (none == 1).all()


def test_differences_mark_each_change_once():
    sample = np.zeros((4, 2, 3, 3))
    changed = sample.copy()
    changed[:, 0, 1, 2] = 1
    changed[0, 1, 0, 0] = 1
    axes = Figure().subplots()
    draw_change(axes, Pair(sample, changed), slice(0, 4), 100)
    marks = [each.get_offsets().tolist() for each in axes.collections]
    assert marks == [[[2, 1]], [[0, 0]], [], []]
    assert [each.get_text() for each in axes.texts] == ["4"]


def test_moves_are_lines_of_the_length_of_the_shift():
    sample = np.zeros((9, 2, 2, 2))
    moved = sample.copy()
    sample[2, 1, 0, 1] = moved[6, 1, 0, 1] = 1
    axes = space_time_figure(Pair(sample, moved, 1e-3)).axes[0]
    lines = [
        line.tolist()
        for each in axes.collections
        if hasattr(each, "get_segments")
        for line in each.get_segments()
    ]
    assert lines == [[[2.5, 5], [6.5, 5]]]


def test_an_animation_repeats_its_frames(tmp_path):
    path = tmp_path / "frames.gif"
    save_animation(path, Pair(*pair_of((12, 2, 6, 5)), 1e-3), 6)
    with Image.open(path) as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 6, 0)
        first = np.asarray(picture.convert("RGB"))
        picture.seek(5)
        assert (np.asarray(picture.convert("RGB")) != first).any()


@pytest.mark.parametrize("shape", [(12, 2, 6, 5), (12, 9)])
def test_a_report_shows_frames_events_over_time_and_distances(shape):
    page = render_report([attacked(shape)], title="Events", provenance=[])
    assert page.count("<svg") == 2 * 3
    assert "Changed events per clean event" in page
    assert "L2 distance" not in page
    assert "Largest shift" not in page
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_a_report_of_retimed_events_shows_shifts():
    result = attacked((12, 2, 6, 5), "jitter", moved=True)
    distances = result.images[0].distances
    page = render_report([result], title="Events", provenance=[])
    assert ("Largest shift" in page) == (distances["jitter"] is not None)


def test_saved_event_samples_are_drawn_again(tmp_path):
    result = attacked()
    figures = {**result.as_json(), "provenance": {"dt_s": 2e-3}}
    save_report(tmp_path, [result], figures, title="Events", provenance=[], dt_s=2e-3)
    with np.load(tmp_path / "images.npz") as arrays:
        assert arrays["adversarial"].dtype == bool
        np.testing.assert_array_equal(arrays["adversarial"], result.adversarial)
    sample = load_sample(str(tmp_path / "images.npz"), 1)
    assert (sample.is_of_events, sample.dt_s) == (True, 2e-3)
    figures = sample.as_json()
    assert figures["distances"] == result.images[1].distances
    assert figures["events"]["adversarial"]["total"] == result.adversarial[1].sum()
    files = save_pictures(tmp_path, sample)
    assert set(files) == {"frames", "space_time", "animation"}
    for path in files.values():
        Image.open(path).verify()


def test_results_of_events_are_plotted_and_tabulated():
    result = attacked()
    assert len(result.plot().axes) == 6
    page = result._repr_html_()
    assert "<th>events</th>" in page
    assert "L2" not in page


def test_curves_of_bounds_on_events_are_apart_by_refractory_period():
    rows = [
        {
            "attack": "random-noise",
            "settings": {},
            "deployment": "native",
            "targeted": False,
            "bound": f"events={maximum}{further}",
            "budget": 10,
            "success": 0.5,
            "success_ci95": [0.4, 0.6],
        }
        for maximum in (0.02, 0.05)
        for further in ("", ",refractory_steps=2")
    ]
    figure = curves_figure(rows)
    drawn(figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == ["Changed events per clean event"] * 2
    assert len({axes.get_title(loc="left") for axes in shown}) == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"adversarial": np.zeros((2, 3, 4), bool)}, "original is no such array"),
        (
            {"original": np.zeros((2, 3, 5)), "adversarial": np.zeros((2, 3, 4))},
            re.escape("(2, 3, 5), expected that of adversarial, (2, 3, 4)"),
        ),
        (
            {"original": np.zeros((2, 3), bool), "adversarial": np.zeros((2, 3), bool)},
            "samples, steps",
        ),
        (
            {
                "original": np.zeros((2, 3, 4), bool),
                "adversarial": np.zeros((2, 3, 4), bool),
                "dt_s": np.float64(-1),
            },
            "dt_s is -1",
        ),
        ({"original": np.zeros((1, 3, 4)), "adversarial": np.full((1, 3, 4), np.nan)}, "outside"),
        ({"images": np.zeros(3)}, "expected test_images"),
    ],
)
def test_files_without_samples_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(FileError, match=words):
        load_sample(str(tmp_path / "x.npz"), 0)


def test_unknown_sources_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="event-digits"):
        load_sample("event-digit", 0)
    (tmp_path / "x.npz").write_text("events")
    with pytest.raises(FileError, match="npz"):
        load_sample(str(tmp_path / "x.npz"), 0)
