"""Data sets from npz and CSV files: reading and validation."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from neuroattack.datasets import load_dataset, load_dataset_of
from neuroattack.datasets.image_files import read_image
from neuroattack.errors import FileError, UnknownNameError, ValidationError

RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 4, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def npz(path, **arrays):
    np.savez(path, **{"test_images": IMAGES, "test_labels": LABELS, **arrays})
    return str(path)


def test_an_npz_file_is_a_data_set(tmp_path):
    path = npz(tmp_path / "mine.npz", train_images=IMAGES[:2], train_labels=LABELS[:2])
    data = load_dataset(path)
    assert data.name == path
    assert data.classes == 3
    np.testing.assert_array_equal(data.test.images, IMAGES)
    np.testing.assert_array_equal(data.test.labels, LABELS)
    np.testing.assert_array_equal(data.train.images, IMAGES[:2])
    assert load_dataset(path).checksum == data.checksum
    other = npz(tmp_path / "other.npz", test_labels=LABELS[::-1].copy())
    assert load_dataset(other).checksum != data.checksum


def test_bytes_are_gray_levels(tmp_path):
    levels = RNG.integers(0, 256, (6, 5, 5)).astype(np.uint8)
    data = load_dataset(npz(tmp_path / "b.npz", test_images=levels))
    np.testing.assert_array_equal(data.test.images, levels.astype(np.float32) / np.float32(255))


def test_classes_may_be_more_than_the_labels_show_and_more_than_a_byte(tmp_path):
    assert load_dataset(npz(tmp_path / "c.npz", classes=7)).classes == 7
    many = load_dataset(npz(tmp_path / "m.npz", test_labels=LABELS + 300))
    assert many.classes == 303
    np.testing.assert_array_equal(many.test.labels, LABELS + 300)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_however_they_were_written(tmp_path, compressed, order):
    save = np.savez_compressed if compressed else np.savez
    images = np.asarray(IMAGES, np.float64, order=order)
    save(tmp_path / "o.npz", test_images=images, test_labels=LABELS.astype(">i2"))
    data = load_dataset(str(tmp_path / "o.npz"))
    np.testing.assert_array_equal(data.test.images, IMAGES)
    np.testing.assert_array_equal(data.test.labels, LABELS)


@pytest.mark.parametrize("header", ["", "label,p0,p1,p2,p3\n"])
def test_a_csv_file_is_labels_and_pixels(tmp_path, header):
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}2,0,255,51,0\n0,1,2,3,4\n")
    data = load_dataset(str(path))
    expected = np.array([[[0, 255], [51, 0]], [[1, 2], [3, 4]]]) / 255
    np.testing.assert_allclose(data.test.images, expected, rtol=1e-6)
    np.testing.assert_array_equal(data.test.labels, [2, 0])
    assert len(data.train.labels) == 0
    path.write_text(f"{header}1,0.5,0,1\n")
    np.testing.assert_array_equal(load_dataset(str(path)).test.images, [[0.5, 0, 1]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"test_images": IMAGES[0, 0]}, r"test_images has shape \(3,\)"),
        ({"test_images": IMAGES[:0]}, "test_images has shape"),
        ({"test_images": IMAGES + 1}, r"expected intensities in \[0, 1\]"),
        ({"test_images": np.full_like(IMAGES, np.nan)}, r"expected intensities in \[0, 1\]"),
        ({"test_images": np.ones((6, 4, 3), int)}, "expected floating point or uint8"),
        ({"test_labels": LABELS[:3]}, r"test_labels is int64 of shape \(3,\), expected"),
        ({"test_labels": LABELS * 0.5}, "test_labels is float64"),
        ({"test_labels": LABELS - 1}, "test_labels are -1 to 1"),
        ({"train_images": IMAGES}, "train_images but no train_labels"),
        ({"train_images": IMAGES[:, 1:], "train_labels": LABELS}, r"train_images .*\(3, 3\)"),
        ({"classes": 2}, "classes is 2, expected .* from 3"),
        ({"classes": np.array([3, 3])}, "classes is"),
    ],
)
def test_what_is_no_data_set_is_refused_by_the_array(tmp_path, arrays, message):
    with pytest.raises(FileError, match=message) as caught:
        load_dataset(npz(tmp_path / "bad.npz", **arrays))
    assert "bad.npz" in str(caught.value)


def test_a_file_without_test_images_says_what_it_has(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    with pytest.raises(FileError, match="images, labels, expected test_images"):
        load_dataset(str(tmp_path / "x.npz"))


def test_nothing_in_a_file_is_executed(tmp_path):
    path = tmp_path / "pickle.npz"
    np.savez(path, test_images=np.array([{"a": 1}], object), test_labels=LABELS)
    with pytest.raises(FileError, match="an array of type object"):
        load_dataset(str(path))


def test_declared_sizes_are_checked_before_they_are_allocated(tmp_path):
    path = tmp_path / "huge.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"shape": (10**6, 10**6), "fortran_order": False, "descr": "<f8"}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("test_images.npy", header.getvalue() + bytes(64))
    with pytest.raises(FileError, match=r"declares .*\(1000000, 1000000\)"):
        load_dataset(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3\n", "is not a CSV file of numbers"),
        ("label,pixel\n", "has 0 lines"),
        ("1\n2\n", "has 2 lines of 1 numbers"),
        ("0.5,1,2\n", "non-integer labels"),
        ("1,300,2\n", "pixels from 2 to 300"),
        ("1,-1,0\n", r"expected intensities in \[0, 1\]"),
        ("nan,1,0\n", "non-integer labels"),
        ("-1,1,0\n", "test_labels are -1"),
    ],
)
def test_csv_files_that_are_no_data_set_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(FileError, match=message):
        load_dataset(str(path))


def test_damaged_files_and_other_names_are_refused(tmp_path):
    path = tmp_path / "cut.npz"
    npz(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileError, match="is not a valid npz file"):
        load_dataset(str(path))
    with pytest.raises(FileError, match="no such file"):
        load_dataset(str(tmp_path / "none.npz"))
    with pytest.raises(UnknownNameError, match=r"expected one of FILE\.csv, FILE\.npz, digits"):
        load_dataset("faces")


def test_a_network_trained_on_a_file_knows_it_when_it_changes(tmp_path):
    path = npz(tmp_path / "mine.npz")
    origin = {"dataset": path, "dataset_checksum": load_dataset(path).checksum}
    assert load_dataset_of(None, origin).name == path
    npz(tmp_path / "mine.npz", test_labels=LABELS[::-1].copy())
    with pytest.raises(ValidationError, match="of the network: got checksum"):
        load_dataset_of(None, origin)


def test_color_pictures_have_three_channels(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(colors).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", (3, 4, 5))
    np.testing.assert_array_equal(found, np.moveaxis(colors, -1, 0) / 255)
    assert read_image(tmp_path / "a.png", (4, 5)).shape == (4, 5)
    with pytest.raises(FileError, match=r"has shape \(4, 5\), expected \(3, 5, 4\)"):
        read_image(tmp_path / "a.png", (3, 5, 4))
