"""Pictures of single samples: event samples or images, alone or with adversarial ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.distances import measure_distances
from neuroattack.datasets import load_dataset
from neuroattack.datasets.arrays import read_npz
from neuroattack.errors import FileError, ValidationError
from neuroattack.files import require_file
from neuroattack.report.events.animation import save_animation
from neuroattack.report.events.frames import frames_figure
from neuroattack.report.events.marks import Pair
from neuroattack.report.events.space_time import space_time_figure
from neuroattack.report.plots import comparison_figure
from neuroattack.report.studies import save_figure

__all__ = ["Sample", "load_sample", "save_pictures"]

_LARGEST_FILE = 2**31


@dataclass(frozen=True, eq=False)
class Sample:
    """Image or event sample, with an adversarial one if there is one.

    Parameters
    ----------
    original, adversarial : float64 array
        Clean and adversarial image, or event samples of shape (steps, ...).
    is_of_events : bool
        Whether these are event samples.
    label : int, optional
        True class.
    dt_s : float, optional
        Length of the time steps of event samples in seconds.
    """

    original: NDArray[np.float64]
    adversarial: NDArray[np.float64] | None
    is_of_events: bool
    label: int | None = None
    dt_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return shape, number of events, duration and distances as JSON values."""
        figures: dict[str, Any] = {
            "label": self.label,
            "shape": list(self.original.shape),
            "is_of_events": self.is_of_events,
        }
        samples = {"clean": self.original, "adversarial": self.adversarial}
        if self.is_of_events:
            steps = len(self.original)
            figures["dt_s"] = self.dt_s
            figures["duration_s"] = None if self.dt_s is None else steps * self.dt_s
            figures["events"] = {
                name: None if sample is None else _events(sample)
                for name, sample in samples.items()
            }
        figures["distances"] = (
            None
            if self.adversarial is None
            else measure_distances(self.original, self.adversarial, are_events=self.is_of_events)
        )
        return figures


def _events(sample: NDArray[np.float64]) -> dict[str, int]:
    """Return the number of events, also per polarity if there are two."""
    clean = Pair(sample).clean
    counts = {"total": int(clean.sum())}
    if clean.shape[1] == 2:
        counts |= {"on": int(clean[:, 0].sum()), "off": int(clean[:, 1].sum())}
    return counts


def load_sample(source: str, index: int) -> Sample:
    """Load a test sample of a data set, or a pair of samples of an npz file.

    Parameters
    ----------
    source : str
        Data set as in :func:`neuroattack.datasets.load_dataset`; or an npz file with the arrays
        ``original`` and ``adversarial`` and, for event samples, which are of type bool, ``dt_s``,
        as attacks write it.
    index : int
        Index of the test sample, or position in the arrays of the file.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    FileError
        If the file is damaged, or the arrays do not match.
    ValidationError
        If the index is out of range.
    """
    if source.lower().endswith(".npz"):
        arrays = read_npz(require_file(source, _LARGEST_FILE, "an npz file"), _LARGEST_FILE, "bfiu")
        if "adversarial" in arrays:
            return _pair(source, arrays, index)
    dataset = load_dataset(source)
    image, label = dataset.test.pick(index)
    return Sample(image, None, dataset.dt_s is not None, label, dataset.dt_s)


def _pair(path: str, arrays: dict[str, NDArray[Any]], index: int) -> Sample:
    original, adversarial = arrays.get("original"), arrays["adversarial"]
    if original is None or original.shape != adversarial.shape or original.ndim < 2:
        shape = "no such array" if original is None else f"an array of shape {original.shape}"
        raise FileError(
            path, f"original is {shape}, expected that of adversarial, {adversarial.shape}"
        )
    are_events = original.dtype == adversarial.dtype == np.bool_
    if are_events and original.ndim < 3:
        raise FileError(
            path, f"original has shape {original.shape}, expected (samples, steps, ...)"
        )
    dt_s = arrays.get("dt_s")
    if dt_s is not None and not (dt_s.shape == () and np.isfinite(dt_s) and dt_s > 0):
        raise FileError(path, f"dt_s is {dt_s}, expected a positive number of seconds")
    if not 0 <= index < len(original):
        raise ValidationError("sample index", index, f"0 to {len(original) - 1}")
    pixels = (original[index].astype(np.float64), adversarial[index].astype(np.float64))
    for each in pixels:
        if not (np.isfinite(each).all() and each.min() >= 0 and each.max() <= 1):
            raise FileError(path, "contains values outside [0, 1], expected intensities")
    return Sample(*pixels, are_events, dt_s=None if dt_s is None else float(dt_s))


def save_pictures(folder: Path, sample: Sample) -> dict[str, str]:
    """Draw a sample, and return the paths of the pictures by name.

    Event samples: ``frames.png``, ``space-time.png`` and ``frames.gif``; images: ``image.png``.
    """
    if not sample.is_of_events:
        path = save_figure(
            folder / "image.png", comparison_figure(sample.original, sample.adversarial)
        )
        return {"image": str(path)}
    pair = Pair(sample.original, sample.adversarial, sample.dt_s)
    save_animation(folder / "frames.gif", pair)
    return {
        "frames": str(save_figure(folder / "frames.png", frames_figure(pair))),
        "space_time": str(save_figure(folder / "space-time.png", space_time_figure(pair))),
        "animation": str(folder / "frames.gif"),
    }
