"""Inputs of the cells of hardware studies: networks and images in the cells' folder."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.files import write_arrays
from neuroattack.ir.network import Network
from neuroattack.ir.storage import save_network

__all__ = ["cell_folder", "check_inputs", "keep_images", "keep_network", "read_images"]


@contextlib.contextmanager
def cell_folder(out: Path | None) -> Iterator[Path]:
    """Open the folder of a study's cells: ``cells`` in `out`, or a temporary folder."""
    if out is not None:
        yield out / "cells"
        return
    with tempfile.TemporaryDirectory(prefix="neuroattack-cells-") as folder:
        yield Path(folder)


def check_inputs(study: str, network: Network, *needed: object) -> None:
    """Raise an error if the network is in fixed point or a needed collection is empty."""
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            f"{study}: got a network in fixed point, expected floating point"
        )
    if not all(len(each) for each in needed):  # type: ignore[arg-type]
        raise ValidationError(study, "no image or setting", "at least one of each")


def keep_images(folder: Path, images: NDArray[np.float32], labels: Labels) -> str:
    """Store images and classes in a file named by their content, and return its name."""
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    digest.update(np.asarray(labels, np.int64).tobytes())
    file = f"images/{digest.hexdigest()[:12]}.npz"
    if not (folder / file).exists():
        write_arrays(folder / file, {"images": images, "labels": labels})
    return file


def read_images(folder: Path, file: str) -> tuple[NDArray[np.float32], Labels]:
    """Return images and their classes."""
    images, labels = read_kept(folder / file, "images", "labels")
    return images, labels


def keep_network(folder: Path, network: Network) -> str:
    """Store a network in a file named by its checksum, and return its name."""
    file = f"networks/{network.checksum()[:12]}.h5"
    if not (folder / file).exists():
        save_network(folder / file, network)
    return file
