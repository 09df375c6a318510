import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from neuroattack.datasets import (
    DATA_VARIABLE,
    DATASETS,
    MNIST_FILES,
    fetch_mnist,
    load_dataset,
    read_mnist,
)
from neuroattack.errors import FileError, NeuroattackError, UnknownNameError

DIGITS_CHECKSUM = "b747db89b0fe08ddcf3b30262a6ccba30f063d4802378106d54482018fa03578"
MNIST_CHECKSUM = "51c4eb40cf592d46991610d20f4675850f4eaff4e8cf7b222683f282fa624477"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in MNIST_FILES)

# Read at import, because tests change the variable.
MNIST_FOLDER = os.environ.get(DATA_VARIABLE)
needs_mnist = pytest.mark.skipif(
    not MNIST_FOLDER, reason=f"{DATA_VARIABLE} is unset: it should name a folder with MNIST"
)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def mnist():
    return read_mnist(Path(MNIST_FOLDER))


@pytest.fixture
def folder(tmp_path):
    """Return a temporary folder with MNIST whose files tests may damage."""
    for file in MNIST_FILES:
        # Links, so that a test copies only the file that it damages.
        (tmp_path / file.name).symlink_to(Path(MNIST_FOLDER).resolve() / file.name)
    return tmp_path


def replace(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def refusal(folder, name):
    """Return the error message for reading `folder`; it must name the file."""
    with pytest.raises(FileError) as caught:
        read_mnist(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / name}: ")
    assert "\n" not in message
    return message


def centers_of_mass(images):
    at = np.arange(images.shape[1])
    ink = images.sum(axis=(1, 2), dtype=np.float64)
    down = images.sum(axis=2, dtype=np.float64) @ at / ink
    right = images.sum(axis=1, dtype=np.float64) @ at / ink
    return np.stack([down, right])


def check_form(dataset, n_train, n_test):
    for split, n in ((dataset.train, n_train), (dataset.test, n_test)):
        assert split.images.shape == (n, 28, 28)
        assert split.images.dtype == np.float32
        assert split.labels.shape == (n,)
        assert split.labels.dtype == np.uint8
        assert split.images.flags.c_contiguous
        for array in (split.images, split.labels):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        assert split.images.min() == 0
        assert split.images.max() == 1
        assert set(split.labels.tolist()) == set(range(dataset.classes))
        levels = np.rint(split.images * 255).astype(np.uint8)
        np.testing.assert_array_equal(split.images, levels.astype(np.float32) / np.float32(255))
    assert dataset.classes == 10


def test_digits_form(digits):
    check_form(digits, 1442, 355)
    assert (digits.name, digits.checksum) == ("digits", DIGITS_CHECKSUM)


@needs_mnist
def test_mnist_form(mnist):
    check_form(mnist, 60000, 10000)
    assert mnist.name == "mnist"


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match=r"data set 'digit'.*mean 'digits'.*digits, mnist"):
        load_dataset("digit")
    assert DATASETS == ("digits", "event-digits", "mnist")


# --- digits


def test_checksum_is_over_type_shape_and_content(digits):
    digest = hashlib.sha256()
    train, test = digits.train, digits.test
    for array in (train.images, train.labels, test.images, test.labels):
        kind = {"float32": "<f4", "uint8": "|u1"}[array.dtype.name]
        digest.update(f"{kind} {array.shape}\n".encode() + array.tobytes())
    assert digest.hexdigest() == digits.checksum


def catmull_rom(t):
    t = abs(t)
    if t < 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def test_digits_are_the_source_drawn_in_floats(digits):
    """Compare the integer resampling with the same resampling in floating point."""
    from sklearn.datasets import load_digits

    source = load_digits()
    centers = (np.arange(80) + 0.5) / 10 - 0.5
    weights = np.array([[catmull_rom(x - j) for j in range(8)] for x in centers])
    seen = dict.fromkeys(range(10), 0)
    parts = {False: iter(digits.train.images), True: iter(digits.test.images)}
    labels = {False: iter(digits.train.labels), True: iter(digits.test.labels)}
    for image, label in zip(source.images, source.target, strict=True):
        seen[label] += 1
        test = seen[label] % 5 == 0
        drawn = 255 * next(parts[test]).astype(float)
        assert next(labels[test]) == label
        ink = np.clip((weights @ image @ weights.T - 8) / 3, 0, 1)
        box = 255 * ink.reshape(20, 4, 20, 4).mean(axis=(1, 3))
        # Compare rows and columns with ink, independently of the position of the box.
        expected = np.rint(box)
        expected = expected[expected.any(axis=1)][:, expected.any(axis=0)]
        found = drawn[drawn.any(axis=1)][:, drawn.any(axis=0)]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1.001
    # Every image of the source is in exactly one part.
    assert all(next(rest, None) is None for rest in parts.values())


def test_digits_split_is_stratified(digits):
    train, test = np.bincount(digits.train.labels), np.bincount(digits.test.labels)
    np.testing.assert_array_equal(train + test, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_array_equal(test, (train + test) // 5)


def test_no_test_image_is_a_training_image(digits):
    train = {image.tobytes() for image in digits.train.images}
    assert not any(image.tobytes() in train for image in digits.test.images)


def test_digits_are_centered_and_have_a_margin(digits):
    for split in (digits.train, digits.test):
        assert np.abs(centers_of_mass(split.images) - 14).max() <= 0.5 + 1e-6
        inked = split.images > 0
        assert inked.any(axis=1).sum(axis=1).max() <= 20
        assert inked.any(axis=2).sum(axis=1).max() <= 20


def test_digits_look_like_mnist(digits):
    images = digits.train.images
    # MNIST's training set: mean 0.1307, deviation 0.3081, 19.1 % of the pixels non-zero.
    assert images.mean() == pytest.approx(0.1307, abs=0.003)
    assert images.std() == pytest.approx(0.3081, abs=0.006)
    assert (images > 0).mean() == pytest.approx(0.1912, abs=0.005)


def test_digits_can_be_learnt(digits):
    from sklearn.svm import SVC

    classifier = SVC(C=5).fit(digits.train.images.reshape(-1, 784), digits.train.labels)
    assert classifier.score(digits.test.images.reshape(-1, 784), digits.test.labels) > 0.96


# --- MNIST, published files


@needs_mnist
def test_mnist_is_mnist(mnist):
    np.testing.assert_array_equal(
        np.bincount(mnist.train.labels),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    )
    np.testing.assert_array_equal(
        np.bincount(mnist.test.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train.images.mean(dtype=np.float64) == pytest.approx(0.1306605, abs=1e-6)
    assert mnist.train.images.std(dtype=np.float64) == pytest.approx(0.3081078, abs=1e-6)
    # First pixel with ink of the first image, a 5.
    assert np.argwhere(mnist.train.images[0])[0].tolist() == [5, 12]
    assert mnist.train.images[0, 5, 12] == np.float32(3) / np.float32(255)
    assert mnist.checksum == MNIST_CHECKSUM


@needs_mnist
def test_mnist_comes_from_the_named_folder(monkeypatch, folder):
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    assert load_dataset("mnist").checksum == MNIST_CHECKSUM


@needs_mnist
@pytest.mark.parametrize("name", [file.name for file in MNIST_FILES])
def test_a_missing_file_is_named(monkeypatch, folder, name):
    (folder / name).unlink()
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    with pytest.raises(FileError, match=f"{name}: no such file, .*{DATA_VARIABLE}"):
        load_dataset("mnist")


@needs_mnist
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (TRAIN_IMAGES, lambda packed: packed[:5_000_000]),
        (TRAIN_IMAGES, lambda packed: packed[:-4]),
        (TRAIN_LABELS, lambda packed: packed[:12]),
        (TEST_IMAGES, lambda packed: packed[:-8] + bytes(4) + packed[-4:]),
        (TEST_IMAGES, lambda packed: packed[:999] + bytes(99) + packed[1098:]),
        (TEST_LABELS, gzip.decompress),
        (TEST_LABELS, lambda packed: b"<html>404</html>"),
        (TEST_LABELS, lambda packed: packed + bytes(9)),
        (TEST_LABELS, lambda packed: gzip.compress(gzip.decompress(packed), 1)),
    ],
)
def test_damaged_files_are_refused(folder, name, damage):
    replace(folder / name, damage((folder / name).read_bytes()))
    canonical = {file.name: file.sha256 for file in MNIST_FILES}[name]
    assert f"expected {canonical}" in refusal(folder, name)


@needs_mnist
def test_an_empty_file_is_refused(folder):
    replace(folder / TEST_LABELS, b"")
    assert "is empty" in refusal(folder, TEST_LABELS)


@needs_mnist
def test_files_in_each_others_place_are_refused(folder):
    replace(folder / TRAIN_LABELS, (folder / TRAIN_IMAGES).read_bytes())
    assert f"expected {MNIST_FILES[1].sha256}" in refusal(folder, TRAIN_LABELS)


# --- MNIST, artificial files


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG" + bytes(60),
        struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
        struct.pack(">4B3I", 0, 0, 8, 3, 60000, 28, 28) + bytes(784),
    ],
)
def test_made_up_files_are_refused(tmp_path, content):
    for file in MNIST_FILES:
        (tmp_path / file.name).write_bytes(gzip.compress(content))
    assert f"expected {MNIST_FILES[0].sha256}" in refusal(tmp_path, TRAIN_IMAGES)


def test_a_bomb_is_not_unpacked(tmp_path):
    compress = zlib.compressobj(1, wbits=31)
    packed = [compress.compress(struct.pack(">4B3I", 0, 0, 8, 3, 60000, 28, 28))]
    packed += [compress.compress(bytes(2**20)) for _ in range(500)]
    for file in MNIST_FILES:
        (tmp_path / file.name).write_bytes(b"not reached")
    (tmp_path / TRAIN_IMAGES).write_bytes(b"".join(packed) + compress.flush())
    tracemalloc.start()
    try:
        assert f"expected {MNIST_FILES[0].sha256}" in refusal(tmp_path, TRAIN_IMAGES)
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()


def test_a_folder_that_is_none_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match=f"nowhere: is not a folder.*{DATA_VARIABLE}"):
        load_dataset("mnist")


# --- mirrors


@contextlib.contextmanager
def serving(folder):
    """Serve a folder on loopback; yield its URL and the list of requested paths."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def dead_mirror():
    with serving(".") as (url, _):
        pass
    return url


@needs_mnist
def test_the_second_mirror_stands_in(tmp_path, capfd):
    bad = tmp_path / "bad"
    bad.mkdir()
    for file in MNIST_FILES:
        (bad / file.name).write_bytes(b"corrupt")
    cache = tmp_path / "deep" / "cache"
    with serving(bad) as (corrupt, asked), serving(MNIST_FOLDER) as (good, _):
        fetch_mnist(cache, mirrors=(corrupt, dead_mirror(), good))
        assert len(asked) == 1
        assert read_mnist(cache).checksum == MNIST_CHECKSUM
    assert capfd.readouterr() == ("", "")
    # All files exist now, so no mirror is needed.
    fetch_mnist(cache, mirrors=(dead_mirror(),))
    # A damaged copy is replaced.
    (cache / TEST_LABELS).write_bytes(b"corrupt")
    with serving(MNIST_FOLDER) as (good, asked):
        fetch_mnist(cache, mirrors=(good,))
    assert asked == [f"/{TEST_LABELS}"]
    assert sorted(path.name for path in cache.iterdir()) == sorted(f.name for f in MNIST_FILES)


def test_without_a_mirror_each_is_named_with_its_fault(tmp_path, capfd):
    (tmp_path / TRAIN_IMAGES).write_bytes(b"corrupt")
    dead = dead_mirror()
    with (
        serving(tmp_path) as (corrupt, _),
        serving(tmp_path / "nowhere") as (empty, _),
        pytest.raises(NeuroattackError) as caught,
    ):
        fetch_mnist(tmp_path / "cache", mirrors=(dead, corrupt, empty))
    message = str(caught.value)
    for words in (f"{dead} (ConnectionError)", corrupt, f"{empty} (HTTPError)", DATA_VARIABLE):
        assert words in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"cache: cannot .*: Not a directory"):
        fetch_mnist(tmp_path / "file" / "cache", mirrors=("http://127.0.0.1:9/",))
