"""Readers of event recordings, against files written from the published descriptions."""

import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.event_files import (
    aedat2_bytes,
    aedat3_bytes,
    davis_address,
    dvs128_address,
    nmnist_bytes,
    polarity_event,
    write_shd,
)

from neuroattack.datasets.events.formats.aedat2 import read_aedat2
from neuroattack.datasets.events.formats.aedat3 import read_aedat3, read_gestures
from neuroattack.datasets.events.formats.aedat4 import read_aedat4
from neuroattack.datasets.events.formats.nmnist import read_nmnist
from neuroattack.datasets.events.formats.shd import open_shd, read_shd_labels
from neuroattack.datasets.events.formats.structured import read_structured
from neuroattack.errors import FileError, NeuroattackError, ValidationError


def saved(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def rows(recording):
    """Return the events as tuples (t_us, polarity, row, column)."""
    columns = (np.rint(recording.t_s * 1e6).astype(int), *recording.addresses)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


@st.composite
def camera_events(draw, width, height, latest):
    """Draw sorted events (t_us, x, y, p)."""
    times = sorted(draw(st.lists(st.integers(0, latest), min_size=1, max_size=30)))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.integers(0, 1))
    return [(t, *draw(pixel)) for t in times]


@settings(deadline=None)
@given(events=camera_events(34, 34, 2**22))
def test_nmnist_round_trip(tmp_path_factory, events):
    path = saved(tmp_path_factory.mktemp("n"), "00001.bin", nmnist_bytes(events))
    recording = read_nmnist(path)
    assert recording.shape == (2, 34, 34)
    assert rows(recording) == [(t, p, y, x) for t, x, y, p in events]


def test_nmnist_bytes_of_one_event():
    # x 17, y 33, on, 1193046 us = 0x123456: by hand.
    assert nmnist_bytes([(0x123456, 17, 33, 1)]) == bytes([17, 33, 0x92, 0x34, 0x56])


def test_marks_of_the_clock_in_nmnist_files_delay_later_events(tmp_path):
    events = [(5, 1, 2, 0), (9, 0, 240, 0), (10, 3, 4, 1), (11, 0, 240, 1), (12, 5, 6, 0)]
    found = rows(read_nmnist(saved(tmp_path, "m.bin", nmnist_bytes(events))))
    assert found == [(5, 0, 2, 1), (10 + 8192, 1, 4, 3), (12 + 2 * 8192, 0, 6, 5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"1234567", "is truncated: it has 7 bytes, expected a multiple of 5"),
        (nmnist_bytes([(0, 3, 3, 0), (1, 34, 5, 1)]), "event 1 has x 34, expected 0 to 33"),
        (nmnist_bytes([(0, 3, 36, 0)]), "event 0 has y 36, expected 0 to 33"),
        (nmnist_bytes([(2**23 - 1, 3, 3, 0), (2, 3, 3, 1)]), "wraps around at event 1"),
    ],
)
def test_invalid_nmnist_files_are_refused(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        read_nmnist(saved(tmp_path, "bad.bin", content))


def test_nmnist_sensors_may_be_larger(tmp_path):
    path = saved(tmp_path, "c.bin", nmnist_bytes([(0, 239, 179, 0)]))
    assert read_nmnist(path, (180, 240)).shape == (2, 180, 240)


@settings(deadline=None)
@given(events=camera_events(128, 128, 2**31 - 1))
def test_aedat2_round_trip_of_a_dvs128(tmp_path_factory, events):
    words = [(dvs128_address(x, y, p), t) for t, x, y, p in events]
    recording = read_aedat2(saved(tmp_path_factory.mktemp("a"), "a.aedat", aedat2_bytes(words)))
    assert recording.shape == (2, 128, 128)
    assert rows(recording) == [(t, p, 127 - y, x) for t, x, y, p in events]


@settings(deadline=None)
@given(events=camera_events(240, 180, 2**31 - 1))
def test_aedat2_round_trip_of_a_davis240(tmp_path_factory, events):
    words = [(davis_address(x, y, p), t) for t, x, y, p in events]
    content = aedat2_bytes(words, "eu.seebetter.ini.chips.davis.Davis240C")
    recording = read_aedat2(saved(tmp_path_factory.mktemp("d"), "d.aedat", content))
    assert recording.shape == (2, 180, 240)
    assert rows(recording) == [(t, p, 179 - y, x) for t, x, y, p in events]


def test_frames_and_external_events_in_aedat2_are_skipped(tmp_path):
    davis = [(davis_address(1, 2, 1), 5), (2**31 + 77, 6), (2**10, 7), (davis_address(3, 4, 0), 8)]
    content = aedat2_bytes(davis, "eu.seebetter.ini.chips.davis.DAVIS240B")
    assert len(rows(read_aedat2(saved(tmp_path, "d.aedat", content)))) == 2
    dvs = [(dvs128_address(1, 2, 1), 5), (2**15, 6)]
    assert len(rows(read_aedat2(saved(tmp_path, "e.aedat", aedat2_bytes(dvs))))) == 1


def test_an_aedat2_event_may_begin_like_a_header_line(tmp_path):
    # 0x23 is "#". Bits above 15 are unused with a DVS128.
    content = aedat2_bytes([(0x23000000 | dvs128_address(5, 6, 0), 10)])
    without_end = content.replace(b"#End Of ASCII Header\r\n", b"")
    for each in (content, without_end):
        assert rows(read_aedat2(saved(tmp_path, "a.aedat", each))) == [(10, 0, 121, 5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "is not an AEDAT file, expected #!AER-DAT2.0"),
        (aedat3_bytes([]), "is an AEDAT 3.1 file, expected #!AER-DAT2.0"),
        (aedat2_bytes([(0, 0)])[:-1], "is truncated: it has 7 bytes of events"),
        (aedat2_bytes([(0, 9), (0, 3)]), "event 1 is at 3 us after one at 9 us"),
        (aedat2_bytes([(davis_address(240, 0, 0), 1)], "a.Davis240C"), "event 0 has x 240"),
        (aedat2_bytes([(davis_address(0, 200, 0), 1)], "a.Davis240C"), "event 0 has y -21"),
        (aedat2_bytes([(0, 9)], "a.b.Cochlea"), "of the camera Cochlea, expected DVS128"),
    ],
)
def test_invalid_aedat2_files_are_refused(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        read_aedat2(saved(tmp_path, "bad.aedat", content))


@settings(deadline=None)
@given(events=camera_events(128, 128, 2**31 - 1), cut=st.integers(0, 30))
def test_aedat3_round_trip(tmp_path_factory, events, cut):
    packed = [polarity_event(*event) for event in events]
    # A special event (type 0) has the same size; the second packet is after the clock's overflow.
    special = struct.pack("<Ii", 1, 0)
    packets = [(1, 0, 8, packed[:cut]), (0, 0, 8, [special]), (1, 1, 8, packed)]
    recording = read_aedat3(saved(tmp_path_factory.mktemp("a"), "a.aedat", aedat3_bytes(packets)))
    assert recording.shape == (2, 128, 128)
    expected = [(t, p, y, x) for t, x, y, p in events[:cut]]
    expected += [(t + 2**31, p, y, x) for t, x, y, p in events]
    assert rows(recording) == expected


def test_invalid_events_in_aedat3_are_skipped_and_the_camera_gives_the_sensor(tmp_path):
    events = [polarity_event(1, 239, 179, 1), polarity_event(2, 5, 5, 0, valid=0)]
    content = aedat3_bytes([(1, 0, 8, events)], "DAVIS240C")
    recording = read_aedat3(saved(tmp_path, "a.aedat", content))
    assert recording.shape == (2, 180, 240)
    assert rows(recording) == [(1, 1, 179, 239)]


def packet(**changed):
    """Return a file with one packet whose header differs from a valid one."""
    header = {
        "kind": 1, "source": 1, "size": 8, "offset": 4, "overflows": 0, "capacity": 1,
        "number": 1, "valid": 1, **changed,
    }  # fmt: skip
    return aedat3_bytes([]) + struct.pack("<2h6i", *header.values()) + polarity_event(1, 2, 3, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (aedat2_bytes([]), "is an AEDAT 2.0 file, expected #!AER-DAT3.1"),
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "no end of its header"),
        (b"#!AER-DAT3.1\r\n#Format: Serial\r\n#!END-HEADER\r\n", "expected #Format: RAW"),
        (aedat3_bytes([], "Cochlea"), "has the sources Cochlea, expected one of DVS128"),
        (aedat3_bytes([]) + b"\x01", "truncated in a packet header"),
        (packet(capacity=2**31 - 1, number=2**31 - 1), "a packet declares 17,179,869,176 bytes"),
        (packet()[:-1], "a packet declares 8 bytes .* of which 7"),
        (packet(number=-1), "a packet of -1 events"),
        (packet(size=0), "a packet of 1 events of 0 bytes"),
        (packet(size=4), "polarity events of 4 bytes"),
        (aedat3_bytes([(1, 0, 8, [polarity_event(1, 128, 0, 0)])]), "event 0 has x 128"),
        (
            aedat3_bytes([(1, 0, 8, [polarity_event(t, 0, 0, 0) for t in (7, 6)])]),
            "event 1 is at 6 us after one at 7 us",
        ),
    ],
)
def test_invalid_aedat3_files_are_refused(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        read_aedat3(saved(tmp_path, "bad.aedat", content))


def test_labels_of_gestures(tmp_path):
    table = "class,startTime_usec,endTime_usec\r\n1,1000000,2500000\r\n11,3000000,4000000\r\n"
    found = read_gestures(saved(tmp_path, "u_labels.csv", table.encode()))
    assert found == [(0, 1.0, 2.5), (10, 3.0, 4.0)]
    for bad, message in {
        "class,begin\n1,2\n": "not a table of gestures",
        "class,startTime_usec,endTime_usec\n1,x,3\n": "not a table of gestures",
        "class,startTime_usec,endTime_usec\n0,1,3\n": "has class 0 from 1 to 3 us",
        "class,startTime_usec,endTime_usec\n1,4,3\n": "has class 1 from 4 to 3 us",
    }.items():
        with pytest.raises(FileError, match=message):
            read_gestures(saved(tmp_path, "bad.csv", bad.encode()))


def test_shd(tmp_path):
    trains = [([0.25, 0.5], [699, 0]), ([], []), ([0.125], [3])]
    write_shd(tmp_path / "shd.h5", trains, [4, 0, 19])
    np.testing.assert_array_equal(read_shd_labels(tmp_path / "shd.h5"), [4, 0, 19])
    with open_shd(tmp_path / "shd.h5") as spikes:
        np.testing.assert_array_equal(spikes.labels, [4, 0, 19])
        for index, (times, units) in enumerate(trains):
            recording = spikes.recording(index)
            assert recording.shape == (700,)
            np.testing.assert_array_equal(recording.t_s, times)
            np.testing.assert_array_equal(recording.addresses[0], units)


def test_shd_without_spikes(tmp_path):
    write_shd(tmp_path / "shd.h5", [([], [])], [0])
    with open_shd(tmp_path / "shd.h5") as spikes:
        assert len(spikes.recording(0).t_s) == 0


def edited(path, edit):
    write_shd(path, [([0.25], [3]), ([0.5, 0.75], [1, 2])], [0, 1])
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def replaced(name, **data):
    def edit(file):
        del file[name]
        file.create_dataset(name, **data)

    return edit


def linked(file):
    del file["labels"]
    file["labels"] = h5py.ExternalLink("other.h5", "/labels")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.__delitem__("labels"), "has no array labels"),
        (lambda file: file.__delitem__("spikes/units"), "has no array spikes/units"),
        (linked, "labels is a soft or external link"),
        (replaced("labels", data=[0.5, 1.5]), "labels is float64"),
        (replaced("labels", data=[0, -1]), "has labels -1 to 0, expected 0 to 65535"),
        (replaced("labels", shape=(10**12,), dtype="u1", chunks=(1024,)), "1,000,000,000,000 rec"),
        (replaced("labels", data=[0, 1, 2]), r"spikes/times has shape \(2,\), expected \(3,\)"),
        (replaced("spikes/times", data=np.ones((2, 5))), "spikes/times is float64, expected"),
    ],
)
def test_invalid_shd_files_are_refused(tmp_path, edit, message):
    path = edited(tmp_path / "bad.h5", edit)
    with pytest.raises(FileError, match=message):
        with open_shd(path):
            pass


def test_invalid_spikes_in_shd_files_are_refused(tmp_path):
    for name, train, message in (
        ("u.h5", ([0.5], [700]), "event 0 has unit 700, expected 0 to 699"),
        ("t.h5", ([-0.5], [7]), "recording 0 has a negative or infinite time"),
        ("n.h5", ([np.nan], [7]), "recording 0 has a negative or infinite time"),
    ):
        write_shd(tmp_path / name, [train], [0])
        with open_shd(tmp_path / name) as spikes, pytest.raises(FileError, match=message):
            spikes.recording(0)
    write_shd(tmp_path / "l.h5", [([0.5, 0.75], [7])], [0])
    with pytest.raises(FileError, match="recording 0 has 2 times and 1 units"):
        with open_shd(tmp_path / "l.h5"):
            pass


def test_damaged_shd_files_are_refused(tmp_path):
    write_shd(tmp_path / "shd.h5", [([0.25], [3])] * 20, [0] * 20)
    content = (tmp_path / "shd.h5").read_bytes()
    for name, damaged in (("c.h5", content[: len(content) // 2]), ("d.h5", b"HDF5" * 100)):
        with pytest.raises(FileError, match=r"is not valid HDF5|is damaged"):
            read_shd_labels(saved(tmp_path, name, damaged))


CAMERA = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
UNITS = np.dtype([("t", np.int64), ("x", np.int64), ("p", np.int64)])


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_structured_arrays(tmp_path, suffix):
    save = {".npy": np.save, ".npz": np.savez}[suffix]
    path = tmp_path / f"r{suffix}"
    save(path, np.array([(5, 6, 1000, True), (1, 2, 500, False)], CAMERA))
    recording = read_structured(path, (8, 9))
    assert recording.shape == (2, 8, 9)
    assert rows(recording) == [(500, 1, 6, 5), (0, 0, 2, 1)]
    np.testing.assert_allclose(read_structured(path, (8, 9), 1e-3).t_s, [0.5, 0])
    save(path, np.array([(1000, 699, 1)], UNITS))
    assert rows(read_structured(path, (700,))) == [(0, 699)]


def test_invalid_structured_arrays_are_refused(tmp_path):
    events = np.array([(5, 6, 1000, True)], CAMERA)
    for array, message in (
        (np.ones(3), "an array of type float64"),
        (np.array([{}]), "an array of type object"),
        (np.array([(1, 2)], [("t", "i8"), ("y", "i8")]), "with the fields t, y"),
        (events.reshape(1, 1), r"of shape \(1, 1\)"),
        (events.astype([(n, "f4" if n == "x" else "i8") for n in "xytp"]), "field x is float32"),
        (np.array([(np.nan, 1)], [("t", "f8"), ("x", "i8")]), "field|sensor|finite"),
    ):
        np.save(tmp_path / "bad.npy", array, allow_pickle=True)
        with pytest.raises((FileError, ValidationError), match=message):
            read_structured(tmp_path / "bad.npy", (8, 9))
    np.save(tmp_path / "ok.npy", events)
    with pytest.raises(ValidationError, match="sensor: got none, expected height x width"):
        read_structured(tmp_path / "ok.npy", None)
    with pytest.raises(ValidationError, match="sensor: got 700, expected height x width"):
        read_structured(tmp_path / "ok.npy", (700,))
    with pytest.raises(FileError, match="event 0 has y 6, expected 0 to 4"):
        read_structured(tmp_path / "ok.npy", (5, 9))
    np.save(tmp_path / "u.npy", np.array([(1000, 699, 0)], UNITS))
    with pytest.raises(FileError, match="a p other than 1"):
        read_structured(tmp_path / "u.npy", (700,))
    with pytest.raises(FileError, match="is not a valid npy file"):
        read_structured(saved(tmp_path, "t.npy", (tmp_path / "ok.npy").read_bytes()[:-3]), (8, 9))
    np.savez(tmp_path / "two.npz", a=events, b=events)
    with pytest.raises(FileError, match="contains 2 arrays, expected one"):
        read_structured(tmp_path / "two.npz", (8, 9))


def test_a_structured_array_that_declares_too_much_is_refused(tmp_path):
    np.save(tmp_path / "ok.npy", np.array([(5, 6, 1000, True)], CAMERA))
    content = (tmp_path / "ok.npy").read_bytes()
    large = content.replace(b"(1,), }" + b" " * 12, b"(1000000000000,), }")
    assert large != content
    with pytest.raises(FileError, match=r"declares shape .*, more than the file can contain"):
        read_structured(saved(tmp_path, "large.npy", large), (8, 9))


@pytest.fixture
def valid_files(tmp_path):
    """Return the content of a valid file of each format, and its reader."""
    events = np.array([(5, 6, 1000, True)] * 5, CAMERA)
    np.save(tmp_path / "s.npy", events)
    np.savez_compressed(tmp_path / "s.npz", events)
    packets = [(1, 0, 8, [polarity_event(k, k, k, 1) for k in range(9)]), (0, 0, 8, [bytes(8)])]

    def structured(path):
        return read_structured(path, (34, 34))

    return {
        "a.bin": (nmnist_bytes([(k, k, k, k % 2) for k in range(9)]), read_nmnist),
        "a2.aedat": (aedat2_bytes([(dvs128_address(k, k, 1), k) for k in range(9)]), read_aedat2),
        "a3.aedat": (aedat3_bytes(packets), read_aedat3),
        "s.npy": ((tmp_path / "s.npy").read_bytes(), structured),
        "s.npz": ((tmp_path / "s.npz").read_bytes(), structured),
    }


def test_files_with_random_changes_are_read_or_refused(tmp_path, valid_files):
    rng = np.random.default_rng(0)
    for name, (content, read) in valid_files.items():
        refused = 0
        for _ in range(200):
            changed = bytearray(content)
            for at in rng.integers(0, len(content), rng.integers(1, 5)):
                removed, added = rng.integers(0, 5, 2)
                changed[at : at + removed] = rng.bytes(added)
            try:
                read(saved(tmp_path, name, bytes(changed)))
            except FileError:
                refused += 1
        assert refused > 20


def test_aedat4_is_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(FileError, match="is not an AEDAT 4 file"):
        read_aedat4(saved(tmp_path, "a.aedat4", aedat2_bytes([])))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NeuroattackError, match=r"pip install 'neuroattack\[aedat4\]'"):
        read_aedat4(saved(tmp_path, "b.aedat4", b"#!AER-DAT4.0\r\n"))


def test_aedat4_files_of_its_developers_library(tmp_path):
    pytest.importorskip("aedat")
    dv = pytest.importorskip("dv_processing")
    events = [(1_000_000 + 40 * k, k % 64, k % 48, k % 3 == 0) for k in range(3000)]
    store = dv.EventStore()
    for event in events:
        store.push_back(*event)
    path = tmp_path / "a.aedat4"
    writer = dv.io.MonoCameraWriter(
        str(path), dv.io.MonoCameraWriter.EventOnlyConfig("DVXplorer_sample", (64, 48))
    )
    writer.writeEvents(store)
    del writer
    recording = read_aedat4(path)
    assert recording.shape == (2, 48, 64)
    assert rows(recording) == [(t - 1_000_000, int(p), y, x) for t, x, y, p in events]
    content = path.read_bytes()
    with pytest.raises(FileError, match=r"is not valid AEDAT 4|is damaged"):
        read_aedat4(saved(tmp_path, "cut.aedat4", content[: len(content) // 2]))
