"""Data sets: ``digits``, ``mnist``, and files of users."""

from neuroattack.datasets.catalog import DATASETS, load_dataset, load_dataset_of
from neuroattack.datasets.dataset import Dataset, Labels, Split
from neuroattack.datasets.mnist import DATA_VARIABLE, MNIST_FILES, fetch_mnist, read_mnist
from neuroattack.datasets.own import OWN_SUFFIXES

__all__ = [
    "DATASETS",
    "DATA_VARIABLE",
    "MNIST_FILES",
    "OWN_SUFFIXES",
    "Dataset",
    "Labels",
    "Split",
    "fetch_mnist",
    "load_dataset",
    "load_dataset_of",
    "read_mnist",
]
