"""Data sets of event recordings: layouts of folders, binning, and the file that is written."""

import numpy as np
import pytest
from support.event_files import (
    aedat2_bytes,
    aedat3_bytes,
    dvs128_address,
    polarity_event,
    write_nmnist,
    write_shd,
)

from neuroattack.datasets import load_dataset
from neuroattack.datasets.events.conversion import convert_recordings
from neuroattack.datasets.events.layouts import list_recordings
from neuroattack.encoding.events import bin_events
from neuroattack.errors import FileError, UnknownNameError, ValidationError

RNG = np.random.default_rng(5)
SETTINGS = {"steps": 10, "dt_s": 0.003}


def random_events(count, last_us=40_000):
    times = np.sort(RNG.integers(0, last_us, count)).tolist()
    pixels = RNG.integers(0, (34, 34, 2), (count, 3)).tolist()
    return [(t, *pixel) for t, pixel in zip(times, pixels, strict=True)]


def nmnist(folder, train=3, test=2, classes=("0", "1", "3")):
    """Write a data set in the layout of N-MNIST; return the events by part, class and name."""
    written = {}
    for part, count in (("Train", train), ("Test", test)):
        for name in classes:
            for index in range(count):
                events = random_events(200)
                write_nmnist(folder / part / name / f"{index:05}.bin", events)
                written[part.lower(), int(name), index] = events
    return written


def sample(events, steps=10, dt_us=3000, side=34, factor=1):
    """Bin the events of a camera by a plain loop; also count merged and late events."""
    size = -(-side // factor)
    cells = np.zeros((steps, 2, size, size), bool)
    merged = late = 0
    for t, x, y, p in events:
        step = (t - events[0][0]) // dt_us
        if step >= steps:
            late += 1
            continue
        merged += cells[step, p, y // factor, x // factor]
        cells[step, p, y // factor, x // factor] = True
    return cells, merged, late


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_samples_are_those_of_a_plain_loop(tmp_path, factor):
    written = nmnist(tmp_path / "N-MNIST")
    target = tmp_path / "n.npz"
    done = convert_recordings(tmp_path / "N-MNIST", target, **SETTINGS, downsample=factor)
    data = load_dataset(str(target))
    assert data.dt_s == 0.003
    assert data.classes == 4
    assert done.classes == ("0", "1", "2", "3")
    assert done.shape == data.test.images.shape[1:]
    for part, split, count in (("train", data.train, 3), ("test", data.test, 2)):
        # One recording of each class in turn.
        order = [(label, index) for index in range(count) for label in (0, 1, 3)]
        np.testing.assert_array_equal(split.labels, [label for label, _ in order])
        binned = [sample(written[(part, *key)], factor=factor) for key in order]
        assert split.images.dtype == bool
        np.testing.assert_array_equal(split.images, np.stack([cells for cells, *_ in binned]))
        counts = done.splits[part]
        assert counts.recordings == [count, count, 0, count]
        assert counts.events == 200 * 3 * count
        assert counts.merged == sum(merged for _, merged, _ in binned)
        assert counts.late == sum(late for *_, late in binned)
        assert counts.late > 0


def test_events_at_the_beginning_of_a_step_are_in_it():
    microseconds = np.arange(0, 100) * 50_000
    for start in (0, 500_000, 3_600_000_000):
        t_s = (start + microseconds) * 1e-6
        binned = bin_events(t_s, (np.zeros(100, int),), (1,), 100, 0.05)
        assert binned.sample.all()
        assert binned.late == 0


def test_equal_recordings_give_equal_files(tmp_path):
    nmnist(tmp_path / "n")
    for name in ("a.npz", "b.npz"):
        convert_recordings(tmp_path / "n", tmp_path / name, **SETTINGS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_limit_is_per_split_and_balanced(tmp_path):
    nmnist(tmp_path / "n")
    seen = []
    done = convert_recordings(
        tmp_path / "n",
        tmp_path / "n.npz",
        **SETTINGS,
        limit=3,
        progress=lambda *at: seen.append(at),
    )
    assert {part: counts.recordings for part, counts in done.splits.items()} == {
        "train": [1, 1, 0, 1],
        "test": [1, 1, 0, 1],
    }
    assert seen == [(k, 6) for k in range(1, 7)]


def test_of_folders_of_classes_every_fifth_recording_is_for_testing(tmp_path):
    for name, count in (("cat", 11), ("ant", 5)):
        for index in range(count):
            write_nmnist(tmp_path / "c" / name / f"image_{index:04}.bin", [(0, index, 0, 0)])
    listing = list_recordings(tmp_path / "c")
    assert listing.classes == ("ant", "cat")
    assert listing.file_format == "nmnist"
    found = {
        part: [(item.label, int(item.path.stem[-4:])) for item in items]
        for part, items in listing.splits.items()
    }
    assert found["test"] == [(0, 4), (1, 4), (1, 9)]
    assert found["train"][:4] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert len(found["train"]) == 13


def gestures(folder):
    """Write two recordings of gestures; return their events."""
    folder.mkdir()
    events = [(1000 * k, k % 128, (3 * k) % 128, k % 2) for k in range(3000)]
    packets = [
        (1, 0, 8, [polarity_event(*event) for event in events[k : k + 500]])
        for k in range(0, 3000, 500)
    ]
    table = "class,startTime_usec,endTime_usec\n2,500000,1500000\n11,2000000,2900500\n"
    for name in ("user01_led", "user02_lab"):
        (folder / f"{name}.aedat").write_bytes(aedat3_bytes(packets))
        (folder / f"{name}_labels.csv").write_text(table)
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\n")
    (folder / "trials_to_test.txt").write_text("user02_lab.aedat\n\n")
    return events


def test_gestures_are_parts_of_recordings(tmp_path):
    events = gestures(tmp_path / "DvsGesture")
    target = tmp_path / "g.npz"
    settings = {"steps": 20, "dt_s": 0.05, "downsample": 4}
    done = convert_recordings(tmp_path / "DvsGesture", target, **settings)
    data = load_dataset(str(target))
    assert done.file_format == "aedat3"
    assert data.classes == 11
    np.testing.assert_array_equal(data.train.labels, [1, 10])
    np.testing.assert_array_equal(data.test.labels, [1, 10])
    for index, (start, end) in enumerate(((500_000, 1_500_000), (2_000_000, 2_900_500))):
        inside = [event for event in events if start <= event[0] < end]
        cells, _, _ = sample(inside, steps=20, dt_us=50_000, side=128, factor=4)
        np.testing.assert_array_equal(data.test.images[index], cells)
    assert done.splits["test"].events == 1000 + 901


def test_one_recording_of_gestures(tmp_path):
    gestures(tmp_path / "g")
    listing = list_recordings(tmp_path / "g" / "user01_led.aedat")
    assert [item.label for item in listing.splits["test"]] == [1, 10]
    assert "train" not in listing.splits


def test_shd_and_its_units(tmp_path):
    folder = tmp_path / "shd"
    folder.mkdir()
    trains = [([0.0, 0.25, 0.5], [699, 0, 10]), ([0.5, 0.5], [4, 5])]
    write_shd(folder / "shd_train.h5", trains, [7, 2])
    write_shd(folder / "shd_test.h5", trains[:1], [19])
    settings = {"steps": 4, "dt_s": 0.125, "downsample": 5}
    done = convert_recordings(folder, tmp_path / "s.npz", **settings)
    data = load_dataset(str(tmp_path / "s.npz"))
    assert data.classes == 20
    assert done.shape == (4, 140)
    np.testing.assert_array_equal(data.train.labels, [7, 2])
    # 0.5 s is step 4, after the last one. The second recording begins at its first spike.
    assert np.argwhere(data.test.images[0]).tolist() == [[0, 139], [2, 0]]
    assert np.argwhere(data.train.images[1]).tolist() == [[0, 0], [0, 1]]
    assert (done.splits["train"].late, done.splits["train"].merged) == (1, 0)
    single = list_recordings(folder / "shd_test.h5")
    assert [item.label for item in single.splits["test"]] == [19]


def test_a_file_is_one_test_recording(tmp_path):
    words = [(dvs128_address(5, 6, 1), t) for t in (100, 200)]
    (tmp_path / "r.aedat").write_bytes(aedat2_bytes(words))
    done = convert_recordings(tmp_path / "r.aedat", tmp_path / "r.npz", **SETTINGS)
    assert done.file_format == "aedat2"
    data = load_dataset(str(tmp_path / "r.npz"))
    assert np.argwhere(data.test.images).tolist() == [[0, 0, 1, 121, 5]]
    assert len(data.train) == 0


def test_structured_arrays_need_a_sensor(tmp_path):
    events = np.array([(5, 6, 1000, 1)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])
    folder = tmp_path / "s"
    for index in range(5):
        (folder / "a").mkdir(parents=True, exist_ok=True)
        np.save(folder / "a" / f"{index}.npy", events)
    with pytest.raises(ValidationError, match="sensor: got none, expected height x width"):
        convert_recordings(folder, tmp_path / "s.npz", **SETTINGS)
    assert not (tmp_path / "s.npz").exists()
    done = convert_recordings(folder, tmp_path / "s.npz", **SETTINGS, sensor=(8, 9))
    assert done.shape == (10, 2, 8, 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps: got 0"),
        ({"dt_s": -1.0}, "time step: got -1.0"),
        ({"downsample": 0}, "downsampling factor: got 0"),
        ({"limit": 0}, "limit: got 0"),
        ({"sensor": (34,)}, "sensor: got 34, expected height x width"),
        ({"sensor": (0, 34)}, "sensor: got 0x34, expected height x width"),
        ({"steps": 1_000_000}, "event samples: got 15 of 1000000x2x34x34, 32 GiB in memory"),
    ],
)
def test_invalid_settings_are_refused(tmp_path, settings, message):
    nmnist(tmp_path / "n")
    with pytest.raises(ValidationError, match=message):
        convert_recordings(tmp_path / "n", tmp_path / "n.npz", **{**SETTINGS, **settings})
    assert not (tmp_path / "n.npz").exists()


def test_a_sensor_that_the_files_contain_is_not_accepted(tmp_path):
    (tmp_path / "r.aedat").write_bytes(aedat2_bytes([]))
    with pytest.raises(ValidationError, match="sensor: got 128x128, expected none"):
        convert_recordings(tmp_path / "r.aedat", tmp_path / "r.npz", **SETTINGS, sensor=(128, 128))
    with pytest.raises(ValidationError, match=r"a name that ends in .npz"):
        convert_recordings(tmp_path / "r.aedat", tmp_path / "r.h5", **SETTINGS)


def test_sources_without_valid_recordings_are_refused(tmp_path):
    def refused(source, message, **settings):
        with pytest.raises((FileError, UnknownNameError), match=message):
            convert_recordings(source, tmp_path / "out.npz", **{**SETTINGS, **settings})
        assert not (tmp_path / "out.npz").exists()

    refused(tmp_path / "none", "no such file or folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "has no recordings, expected folders of classes")
    (tmp_path / "text.txt").write_text("text")
    refused(tmp_path / "text.txt", "has the suffix .txt, expected a recording")
    (tmp_path / "r.aedat").write_bytes(b"#!AER-DAT1.0\r\n")
    refused(tmp_path / "r.aedat", "is an AEDAT 1.0 file, expected version 2.0, 3.1 or 4.0")
    nmnist(tmp_path / "n", test=0)
    refused(tmp_path / "n", "has no test recordings")
    refused(tmp_path / "n", "unknown format of recordings 'nmist'", file_format="nmist")
    refused(tmp_path / "n", "has no recordings", file_format="aedat2")
    write_nmnist(tmp_path / "n" / "Test" / "0" / "00000.bin", [(0, 40, 0, 0)])
    refused(tmp_path / "n", "00000.bin: event 0 has x 40")
    np.save(tmp_path / "n" / "Test" / "0" / "1.npy", np.ones(2))
    refused(tmp_path / "n", "files in the formats nmnist, structured; use --format")


def test_trials_in_other_folders_are_refused(tmp_path):
    gestures(tmp_path / "g")
    (tmp_path / "g" / "trials_to_test.txt").write_text("../secret.aedat\n")
    with pytest.raises(FileError, match=r"names the file '../secret.aedat'"):
        list_recordings(tmp_path / "g")
    (tmp_path / "g" / "trials_to_test.txt").write_text("")
    with pytest.raises(UnknownNameError, match="format of this data set 'shd'"):
        list_recordings(tmp_path / "g", "shd")


def packed(path, **changed):
    samples = RNG.random((3, 4, 5)) < 0.5
    arrays = {
        "test_events": np.packbits(samples.reshape(3, -1), axis=1),
        "test_labels": [0, 1, 1],
        "shape": [4, 5],
        "dt_s": 0.01,
        **changed,
    }
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return samples


def test_users_may_pack_samples_themselves(tmp_path):
    samples = packed(tmp_path / "p.npz")
    data = load_dataset(str(tmp_path / "p.npz"))
    np.testing.assert_array_equal(data.test.images, samples)
    np.testing.assert_array_equal(data.test.labels, [0, 1, 1])
    assert data.dt_s == 0.01
    assert data.classes == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": None}, "expected test_events, shape and dt_s"),
        ({"dt_s": None}, "expected test_events, shape and dt_s"),
        ({"dt_s": np.nan}, "dt_s is nan"),
        ({"dt_s": 1}, "dt_s is 1"),
        ({"shape": [20]}, "shape is .20., expected 2 to 4 positive integers"),
        ({"shape": [4, 0]}, "shape is .4 0., expected"),
        ({"shape": [4.0, 5.0]}, "shape is .4. 5.., expected"),
        ({"shape": [4, 7]}, "expected uint8 of shape .samples, 4.: 4x7 bits"),
        ({"test_events": np.zeros((3, 3))}, "test_events is float64"),
        ({"test_events": np.zeros((0, 3), "u1")}, "test_events has no sample"),
        ({"test_events": np.full((3, 3), 255, "u1")}, "bits after the end of a sample"),
        ({"test_labels": None}, "has test_events but no test_labels"),
        ({"test_labels": [0, 1]}, "test_labels is int64"),
        ({"train_events": np.zeros((2, 3), "u1")}, "has train_events but no train_labels"),
    ],
)
def test_invalid_files_of_samples_are_refused(tmp_path, changed, message):
    packed(tmp_path / "p.npz", **changed)
    with pytest.raises(FileError, match=message):
        load_dataset(str(tmp_path / "p.npz"))


def test_samples_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    packed(tmp_path / "p.npz")
    monkeypatch.setattr("neuroattack.datasets.events.packed._MOST_CELLS", 59)
    with pytest.raises(FileError, match="event samples: got 3 of 4x5"):
        load_dataset(str(tmp_path / "p.npz"))
