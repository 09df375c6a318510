"""A network that knows the data set `digits` somewhat, made from its class means in no time."""

import functools

import numpy as np

from neuroattack.datasets import load_dataset
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters


@functools.cache
def template_model():
    """Return a 784-10 SDBN whose weights are each class's mean image less the mean of all."""
    data = load_dataset("digits")
    images, labels = data.train.images.reshape(-1, 784), data.train.labels
    means = np.array([images[labels == label].mean(axis=0) for label in range(10)])
    weights = 4e-3 * (means - means.mean(axis=0)).T
    return SDBN(
        weights=(weights.astype(np.float32),),
        siegert=SiegertParameters(),
        noise_factor=1.0,
        image_shape=(28, 28),
        recipe="templates",
        dataset=data.name,
        dataset_checksum=data.checksum,
        seed=0,
        rate_accuracy=None,
    )
