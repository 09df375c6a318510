"""Event samples as images of event counts, for training a rate network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.errors import ValidationError

__all__ = ["count_images"]


def count_images(dataset: Dataset) -> Dataset:
    """Return a data set of images: the number of events of each neuron in a sample.

    Intensities are counts divided by the largest count of a training sample; larger counts of test
    samples are 1. Name and checksum are those of the event data set. A data set of images is
    returned as it is.

    Raises
    ------
    ValidationError
        If the training samples have no event.
    """
    if dataset.dt_s is None:
        return dataset
    most = _counts(dataset.train).max(initial=0)
    if not most:
        raise ValidationError(f"data set {dataset.name!r}", "no event", "events to train on")
    train, test = (
        Split(
            np.minimum(_counts(split) / np.float32(most), 1, dtype=np.float32),
            split.labels,
            split.indices,
        )
        for split in (dataset.train, dataset.test)
    )
    return replace(dataset, train=train, test=test, dt_s=None)


def _counts(split: Split) -> NDArray[np.float32]:
    counts: NDArray[np.float32] = split.images.sum(axis=1, dtype=np.int32).astype(np.float32)
    return counts
