"""Data sets by name.

The named data sets have the same format, 28 x 28 gray levels in [0, 1] that are multiples of
1/255, so that networks and studies made for one can be used with the other. Images in files of
users may have any shape.
"""

from __future__ import annotations

from collections.abc import Mapping

from neuroattack.datasets.dataset import Dataset
from neuroattack.datasets.digits import draw_digits
from neuroattack.datasets.events.digits import record_digits
from neuroattack.datasets.mnist import mnist_folder, read_mnist
from neuroattack.datasets.own import OWN_SUFFIXES, read_own
from neuroattack.errors import UnknownNameError, ValidationError

__all__ = ["DATASETS", "load_dataset", "load_dataset_of"]

DATASETS = ("digits", "event-digits", "mnist")
"""Names of the data sets of :func:`load_dataset`."""


def load_dataset(name: str) -> Dataset:
    """Load a data set by name.

    ``digits``: the 1,797 handwritten 8 x 8 digits of Alpaydin and Kaynak that come with
    scikit-learn, resampled to 28 x 28 pixels in the style of MNIST. Within each class, every
    fifth image in file order is a test image (355 test and 1,442 training images). The same
    writers are in both parts, so test accuracy is slightly optimistic compared with MNIST.

    ``event-digits``: the same digits in front of a simulated event camera that moves along a
    triangle: samples of 90 time steps of 1 ms, two polarities and 16 x 16 pixels, see
    :func:`neuroattack.datasets.events.digits.record_digits`.

    ``mnist``: 60,000 training and 10,000 test images, from the folder in the environment variable
    ``NEUROATTACK_DATA`` if it is set, otherwise downloaded once into the user's cache.

    A name that ends in .npz or .csv is a file in the format of
    :func:`neuroattack.datasets.own.read_own`.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`, or a file.

    Returns
    -------
    Dataset
        The data set; its content and checksum are the same on every platform.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    FileError
        If a file of MNIST is missing, damaged or not the canonical one, or the given file is not a
        valid data set.
    NeuroattackError
        If MNIST must be downloaded and no mirror serves it.

    References
    ----------
    MNIST: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86(11), 1998. Digits: E. Alpaydin, C. Kaynak,
    "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    if name == "digits":
        return draw_digits()
    if name == "event-digits":
        return record_digits()
    if name == "mnist":
        return read_mnist(mnist_folder())
    if name.lower().endswith(OWN_SUFFIXES):
        return read_own(name)
    raise UnknownNameError("data set", name, (*DATASETS, *(f"FILE{end}" for end in OWN_SUFFIXES)))


def load_dataset_of(name: str | None, origin: Mapping[str, str]) -> Dataset:
    """Load a data set by name, or (None) the data set on which a network was trained.

    `origin` is the provenance of the network.

    Raises
    ------
    ValidationError
        If no name is given and the origin does not contain one, or its checksum differs.
    UnknownNameError, FileError, NeuroattackError
        As :func:`load_dataset`.
    """
    chosen = origin.get("dataset") if name is None else name
    if chosen is None:
        raise ValidationError(
            "data set", "none, and none in the network file", f"{' or '.join(DATASETS)}"
        )
    dataset = load_dataset(chosen)
    trained_on = origin.get("dataset_checksum")
    if name is None and trained_on and trained_on != dataset.checksum:
        raise ValidationError(
            f"data set {chosen!r} of the network",
            f"checksum {trained_on[:12]}",
            f"{dataset.checksum[:12]}; name the data set explicitly to use it anyway",
        )
    return dataset
