"""The data sets: `digits`, which needs no download, and `mnist`, checked byte for byte.

Both come in one shape, 28 x 28 grey levels in [0, 1] that are multiples of 1/255, so that
a network or a study made for one takes the other. Pooch and scikit-learn are imported where
they are used, because they take seconds and most commands need neither.
"""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, NeuroattackError, UnknownNameError
from neuroattack.files import require_file

__all__ = [
    "DATASETS",
    "DATA_VARIABLE",
    "MNIST_FILES",
    "Dataset",
    "Split",
    "fetch_mnist",
    "load_dataset",
    "read_mnist",
]

DATASETS = ("digits", "mnist")
"""The names that :func:`load_dataset` takes."""

DATA_VARIABLE = "NEUROATTACK_DATA"
"""The environment variable that may name a folder with the four files of MNIST."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Where :func:`fetch_mnist` looks, in this order."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Parameters
    ----------
    images : float32 array, shape (n, 28, 28)
        Grey levels in [0, 1], ink 1 on ground 0, multiples of 1/255.
    labels : uint8 array, shape (n,)
        The class of each image, from 0.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set, its arrays read-only.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.
    train, test : Split
        Disjoint parts.
    classes : int
        Number of classes; labels are below it.
    checksum : str
        SHA-256 in hexadecimal over type, shape and content of the four arrays.
    """

    name: str
    train: Split
    test: Split
    classes: int
    checksum: str


@dataclass(frozen=True)
class MnistFile:
    """What one of MNIST's gzip-compressed idx files must be.

    `sha256` is that of the compressed file, in hexadecimal; `shape` the extent of its unsigned
    bytes: (images, rows, columns), or (labels,).
    """

    name: str
    sha256: str
    shape: tuple[int, ...]


_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)

MNIST_FILES = (
    MnistFile("train-images-idx3-ubyte.gz", _SHA256[0], (60000, 28, 28)),
    MnistFile("train-labels-idx1-ubyte.gz", _SHA256[1], (60000,)),
    MnistFile("t10k-images-idx3-ubyte.gz", _SHA256[2], (10000, 28, 28)),
    MnistFile("t10k-labels-idx1-ubyte.gz", _SHA256[3], (10000,)),
)

_BOX, _FRAME, _SUBPIXELS = 20, 28, 4
"""Pixels along the box that a digit fills and along the image around it, as in MNIST; samples
along a pixel, whose mean smooths the edges."""

_INK_FROM, _INK_FULL = 8, 11
"""Strokes begin where half of a source pixel's 16 points are inked and saturate at 11;
together they give the mean intensity and the share of non-zero pixels that MNIST has."""


def load_dataset(name: str) -> Dataset:
    """Load a data set by name.

    ``digits``: the 1,797 handwritten 8 x 8 digits of Alpaydin and Kaynak that come with
    scikit-learn, drawn to 28 x 28 so that they look like MNIST. Within each class, every
    fifth image in file order is a test image (355 of them, and 1,442 for training). Writers
    are in both parts, so test accuracy is a little kinder than MNIST's.

    ``mnist``: 60,000 training and 10,000 test images, from the folder that the variable
    ``NEUROATTACK_DATA`` names if it is set, else downloaded once into the user's cache.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.

    Returns
    -------
    Dataset
        Equal, checksum included, on every platform.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    FileError
        If a file of MNIST is missing, damaged, or not the canonical one.
    NeuroattackError
        If MNIST is to be downloaded and no mirror serves it.

    References
    ----------
    MNIST: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86(11), 1998. Digits: E. Alpaydin, C. Kaynak,
    "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    if name == "digits":
        return _draw_digits()
    if name == "mnist":
        return read_mnist(_mnist_folder())
    raise UnknownNameError("data set", name, DATASETS)


def fetch_mnist(folder: Path, mirrors: Sequence[str] = MIRRORS) -> None:
    """Download what `folder` lacks of MNIST's four files, each checked by its SHA-256.

    Parameters
    ----------
    folder : Path
        Made if it is missing. A file there that is not the canonical one is replaced.
    mirrors : sequence of str, optional
        URLs of folders, each ending with a slash, tried in turn.

    Raises
    ------
    FileError
        If the folder cannot be written.
    NeuroattackError
        If no mirror serves a file; it says why, and what to do without a network.
    """
    import pooch

    # Pooch's logger reports each download on the user's terminal, which belongs to the caller.
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        waiting = list(mirrors)
        for file in MNIST_FILES:
            failed = _fetch_file(file, folder, waiting)
            # Those that failed go last: a dead mirror costs its timeout once, not four times.
            waiting = [mirror for mirror in waiting if mirror not in failed] + failed
    except OSError as error:
        raise FileError(folder, f"cannot hold the files of MNIST: {error.strerror}") from error
    finally:
        logger.setLevel(level)


def read_mnist(folder: Path) -> Dataset:
    """Read MNIST from a folder with its four canonical files.

    Parameters
    ----------
    folder : Path
        Where the files are, as published: gzip-compressed idx.

    Returns
    -------
    Dataset
        60,000 training and 10,000 test images.

    Raises
    ------
    FileError
        If a file is missing, damaged, or not the canonical one; names the file.
    """
    # All are looked for before any is read, so that a missing one is not found a second late.
    for file in MNIST_FILES:
        require_file(
            folder / file.name, 2**24, f"a file of MNIST ({DATA_VARIABLE} names their folder)"
        )
    train_images, train_labels, test_images, test_labels = (
        _read_idx(folder / file.name, file) for file in MNIST_FILES
    )
    return _dataset("mnist", _split(train_images, train_labels), _split(test_images, test_labels))


def _mnist_folder() -> Path:
    named = os.environ.get(DATA_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise FileError(
                named, f"is not a folder, expected the one with MNIST, as {DATA_VARIABLE} names it"
            )
        return Path(named)
    import pooch

    folder = Path(pooch.os_cache("neuroattack"))
    fetch_mnist(folder)
    return folder


def _fetch_file(file: MnistFile, folder: Path, mirrors: Sequence[str]) -> list[str]:
    """Fetch one file from the first mirror that serves it; return the mirrors that did not."""
    reasons: dict[str, str] = {}
    for mirror in mirrors:
        reason = _try_mirror(file, folder, mirror)
        if reason is None:
            return list(reasons)
        reasons[mirror] = reason
    tried = " or ".join(f"{mirror} ({reason})" for mirror, reason in reasons.items())
    raise NeuroattackError(
        f"MNIST's {file.name} could not be downloaded from {tried}: without a network, set the "
        f"variable {DATA_VARIABLE} to a folder with the four files of MNIST"
    )


def _try_mirror(file: MnistFile, folder: Path, mirror: str) -> str | None:
    """Fetch one file from one mirror; return why that failed, or None."""
    import pooch

    try:
        pooch.retrieve(
            mirror + file.name,
            known_hash=f"sha256:{file.sha256}",
            fname=file.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=10),
        )
    except OSError as error:
        # The network's errors come from requests, without a number; the disk's have one, and
        # no other mirror would help there.
        if error.errno is not None:
            raise
        return type(error).__name__
    except ValueError:
        return "its bytes are not the canonical file's"
    return None


def _read_idx(path: Path, file: MnistFile) -> NDArray[np.uint8]:
    packed = path.read_bytes()
    if packed[:2] != b"\x1f\x8b":
        raise FileError(path, "is not gzip, expected MNIST's gzip-compressed idx file")
    start = 4 + 4 * len(file.shape)
    end = start + math.prod(file.shape)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        # One byte beyond the end tells a file that goes on, and a bomb is never unpacked.
        content = unpacker.decompress(packed, end + 1)
    except zlib.error as error:
        raise FileError(path, f"is damaged ({error}), expected an intact gzip file") from error
    if not unpacker.eof and len(content) <= end:
        raise FileError(path, "is truncated: its gzip stream has no end")
    _check_header(path, content[:start], file.shape)
    if len(content) != end:
        amount = "more" if len(content) > end else "fewer"
        raise FileError(
            path, f"holds {amount} bytes than its header says, expected {end - start} after it"
        )
    values = np.frombuffer(content, np.uint8, offset=start).reshape(file.shape)
    if values.ndim == 1 and values.max() > 9:
        raise FileError(path, f"holds the label {values.max()}, expected labels from 0 to 9")
    found = hashlib.sha256(packed).hexdigest()
    if found != file.sha256:
        raise FileError(
            path,
            f"is well-formed but not the canonical MNIST file: its sha256 is {found}, "
            f"expected {file.sha256}",
        )
    return values


def _check_header(path: Path, header: bytes, shape: tuple[int, ...]) -> None:
    size = 4 + 4 * len(shape)
    if len(header) < size:
        raise FileError(path, f"ends within its idx header, expected {size} bytes of it")
    if header[:2] != b"\0\0":
        raise FileError(path, f"is not idx: it begins with 0x{header[:2].hex()}, expected 0x0000")
    if header[2] != 8:
        raise FileError(
            path, f"has elements of idx type 0x{header[2]:02x}, expected 0x08 (unsigned bytes)"
        )
    if header[3] != len(shape):
        raise FileError(path, f"has {header[3]} dimensions, expected {len(shape)}")
    found = tuple(int.from_bytes(header[k : k + 4], "big") for k in range(4, size, 4))
    if found != shape:
        what = "labels" if len(shape) == 1 else "pixels (images x rows x columns)"
        said, wanted = (" x ".join(map(str, extents)) for extents in (found, shape))
        raise FileError(path, f"says that it holds {said} {what}, expected {wanted}")


def _draw_digits() -> Dataset:
    from sklearn.datasets import load_digits

    source = load_digits()
    images = _centred(_upscaled(source.images.astype(np.int64)))
    labels = source.target.astype(np.uint8)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return _dataset(
        "digits", _split(images[~test], labels[~test]), _split(images[test], labels[test])
    )


def _upscaled(source: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw (n, 8, 8) counts of 0 to 16 as (n, 20, 20) grey levels of 0 to 255.

    Catmull-Rom interpolation to 80 x 80, a steep ramp, and the mean of each 4 x 4 block.
    In integers throughout, so that neither platform nor library version can move a level.
    """
    # Distances from samples to source pixels, in twentieths of a source pixel: there the
    # kernel's weights, times 16,000, are whole numbers.
    distance = np.abs(2 * np.arange(_BOX * _SUBPIXELS)[:, None] - 9 - 20 * np.arange(8))
    near = 3 * distance**3 - 100 * distance**2 + 16000
    far = -(distance**3) + 100 * distance**2 - 3200 * distance + 32000
    weights = np.where(distance < 20, near, np.where(distance < 40, far, 0))
    unit = 16000**2
    ramp = (_INK_FULL - _INK_FROM) * unit
    ink = np.clip(weights @ source @ weights.T - _INK_FROM * unit, 0, ramp)
    blocks = ink.reshape(-1, _BOX, _SUBPIXELS, _BOX, _SUBPIXELS).sum(axis=(2, 4))
    full = ramp * _SUBPIXELS**2
    return np.asarray((2 * 255 * blocks + full) // (2 * full))


def _centred(boxes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Place (n, 20, 20) levels in (n, 28, 28), centre of mass nearest to (14, 14) as in MNIST.

    The nearest whole shift, in integers for the same reason as above.
    """
    total = boxes.sum(axis=(1, 2))
    margin = _BOX  # a box may lap over the frame by its empty rim
    down, right = (
        (2 * (_FRAME // 2 * total - boxes.sum(axis=axis) @ np.arange(_BOX)) + total) // (2 * total)
        + margin
        for axis in (2, 1)
    )
    canvas = np.zeros((len(boxes), _FRAME + 2 * margin, _FRAME + 2 * margin), dtype=np.uint8)
    for image, box, y, x in zip(canvas, boxes, down, right, strict=True):
        image[y : y + _BOX, x : x + _BOX] = box
    return canvas[:, margin:-margin, margin:-margin]


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    return Split(np.divide(images, np.float32(255), dtype=np.float32), labels)


def _dataset(name: str, train: Split, test: Split) -> Dataset:
    digest = hashlib.sha256()
    for array in (train.images, train.labels, test.images, test.labels):
        # Little-endian everywhere, so that the checksum is the data's and not the machine's.
        portable = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{portable.dtype.str} {portable.shape}\n".encode())
        digest.update(portable.data)
        array.flags.writeable = False
    return Dataset(name, train, test, 10, digest.hexdigest())
