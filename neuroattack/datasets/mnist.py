"""Download, verification and reading of the four canonical files of MNIST."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.errors import FileError, NeuroattackError
from neuroattack.files import require_file

__all__ = ["DATA_VARIABLE", "MIRRORS", "MNIST_FILES", "fetch_mnist", "mnist_folder", "read_mnist"]

DATA_VARIABLE = "NEUROATTACK_DATA"
"""Environment variable for a folder with the four files of MNIST."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Download sources of :func:`fetch_mnist`, in the order in which they are tried."""


@dataclass(frozen=True)
class MnistFile:
    """Gzip-compressed idx file of MNIST, with its SHA-256 in hexadecimal and its array's shape."""

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


def fetch_mnist(folder: Path, mirrors: Sequence[str] = MIRRORS) -> None:
    """Download the files of MNIST that are missing in `folder`, and verify their SHA-256.

    The folder is created if it is missing; files that are not the canonical ones are replaced.
    Mirrors are URLs of folders, each ending with a slash, tried in order.

    Raises
    ------
    FileError
        If the folder cannot be written.
    NeuroattackError
        If no mirror serves a file; the message has the reasons and an alternative.
    """
    import pooch

    # By default Pooch logs each download to the terminal, which a library should not do.
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        waiting = list(mirrors)
        for file in MNIST_FILES:
            failed = _fetch_file(file, folder, waiting)
            # Try failed mirrors last, so that the timeout of a dead mirror is waited for only once.
            waiting = [mirror for mirror in waiting if mirror not in failed] + failed
    except OSError as error:
        raise FileError(folder, f"cannot store the files of MNIST: {error.strerror}") from error
    finally:
        logger.setLevel(level)


def read_mnist(folder: Path) -> Dataset:
    """Read MNIST from a folder with its four canonical files.

    Raises
    ------
    FileError
        If a file is missing, damaged or not the canonical one; the message names the file.
    """
    # Check for all files before reading any.
    for file in MNIST_FILES:
        require_file(folder / file.name, 2**24, f"a file of MNIST (folder set by {DATA_VARIABLE})")
    train_images, train_labels, test_images, test_labels = (
        _read_idx(folder / file.name, file) for file in MNIST_FILES
    )
    return Dataset.of(
        "mnist",
        Split.from_bytes(train_images, train_labels),
        Split.from_bytes(test_images, test_labels),
        classes=10,
    )


def mnist_folder() -> Path:
    """Return the folder of MNIST; download it into the user's cache if necessary.

    Raises FileError if the environment variable ``NEUROATTACK_DATA`` is set to something other
    than a folder, and NeuroattackError if no mirror serves MNIST.
    """
    named = os.environ.get(DATA_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise FileError(
                named, f"is not a folder, expected the folder with MNIST in {DATA_VARIABLE}"
            )
        return Path(named)
    import pooch

    folder = Path(pooch.os_cache("neuroattack"))
    fetch_mnist(folder)
    return folder


def _fetch_file(file: MnistFile, folder: Path, mirrors: Sequence[str]) -> list[str]:
    """Download one file from the first mirror that serves it; return the mirrors that failed."""
    import pooch

    failed: dict[str, str] = {}
    for mirror in mirrors:
        try:
            pooch.retrieve(
                mirror + file.name,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=10),
            )
            return list(failed)
        except OSError as error:
            # Network errors (from requests) have no errno. Disk errors do, and another mirror
            # would not help.
            if error.errno is not None:
                raise
            failed[mirror] = type(error).__name__
        except ValueError:
            failed[mirror] = "wrong SHA-256"
    tried = " or ".join(f"{mirror} ({reason})" for mirror, reason in failed.items())
    raise NeuroattackError(
        f"MNIST's {file.name} could not be downloaded from {tried}; without network access, set "
        f"the environment variable {DATA_VARIABLE} to a folder with the four files of MNIST"
    )


def _read_idx(path: Path, file: MnistFile) -> NDArray[np.uint8]:
    packed = path.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != file.sha256:
        raise FileError(
            path,
            f"is damaged or not the published file of MNIST: its SHA-256 is {found}, expected "
            f"{file.sha256}",
        )
    header_bytes = 4 + 4 * len(file.shape)
    content = gzip.decompress(packed)
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(file.shape)
