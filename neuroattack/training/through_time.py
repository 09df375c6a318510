"""Training of a spiking network through time, by surrogate gradients.

Adam minimizes the cross-entropy of the softmax of the logarithmic class scores: the predicted
probability of a class is its fraction of the output spikes (plus half a spike each). The weights
are trained; thresholds, time constants and delays are not. Every epoch encodes the images again,
with other random numbers, so that input noise is part of the training. The gradients are those of
:mod:`neuroattack.ir.torch_dynamics`.

Reference: E. O. Neftci, H. Mostafa and F. Zenke, "Surrogate gradient learning in spiking neural
networks", IEEE Signal Processing Magazine 36(6), 2019.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Dataset, Split
from neuroattack.encoding.encoders import Encoder
from neuroattack.encoding.images import validate_images
from neuroattack.errors import FileError, ValidationError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_array, read_attribute, read_group
from neuroattack.ir.input import MAX_STEPS
from neuroattack.ir.network import Network
from neuroattack.ir.projection import to_grid
from neuroattack.ir.torch_dynamics import (
    TorchDynamics,
    check_differentiable,
    dense_input,
    import_torch,
)
from neuroattack.training.checkpoint import check_identity
from neuroattack.training.recipes import Progress
from neuroattack.validation import check_integer, check_positive

__all__ = ["train_through_time"]

_BATCH = 48
_TEST_BATCH = 200
# Trained with narrower surrogates, a network of three layers learns more slowly.
_SHARPNESS = 4.0
_KIND = "through-time-checkpoint"
_SCHEMA = 1
_MOMENTS = ("exp_avg", "exp_avg_sq")


def train_through_time(
    network: Network,
    dataset: Dataset,
    *,
    steps: int | None = None,
    epochs: int = 8,
    learning_rate: float = 0.03,
    seed: int = 0,
    encoder: Encoder | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Network:
    """Train the weights of a spiking network through time.

    The same arguments give the same network on the same machine with the same number of threads,
    also if the training is interrupted and resumed.

    Parameters
    ----------
    network : Network
        Network in floating point, converted or imported; it is not changed.
    dataset : Dataset
        Training and test samples, which are used to measure accuracy only.
    steps : int, optional
        Number of time steps T; by default 350, or that of the event samples.
    epochs : int, optional
        Number of passes over the training samples.
    learning_rate : float, optional
        Step size of Adam, relative to the standard deviation of a projection's weights.
    seed : int, optional
        Random seed of the order of the samples and of their input spikes.
    encoder : Encoder, optional
        Encoder in training, such as one with sensor noise; by default that of the network.
    checkpoint : path, optional
        File of the state after every epoch.
    resume : bool, optional
        Whether to continue from the checkpoint.
    progress : callable, optional
        Called after every epoch; the accuracy is that of the spiking network, on up to 1,000 test
        samples.

    Returns
    -------
    Network
        With other weights.

    Raises
    ------
    BackendUnavailableError
        If PyTorch is not installed.
    UnsupportedFeatureError
        If the network is in fixed point.
    ValidationError
        If a parameter is out of range, or the data set does not fit the network.
    FileError
        If the checkpoint is damaged, or of another training.
    """
    check_differentiable(network)
    steps = network.input.time_steps(steps, dataset.train.images.shape)
    check_integer("steps", steps, 1, MAX_STEPS)
    check_integer("epochs", epochs, 1, 100_000)
    check_positive("learning rate", learning_rate)
    check_integer("seed", seed, 0)
    if dataset.classes > network.classes:
        raise ValidationError(
            f"data set {dataset.name!r}",
            f"{dataset.classes} classes",
            f"at most {network.classes}, those of the network",
        )
    trained = network
    if encoder is not None:
        own = network.input.encoder
        shape = network.input.shape
        if encoder.sample_shape(shape, steps) != own.sample_shape(shape, steps):
            raise ValidationError("encoder in training", encoder.describe(), f"one of {own.kind}")
        trained = replace(network, input=replace(network.input, encoder=encoder))
    training = _Training(trained, steps, learning_rate, seed)
    identity = {
        "network": network.checksum(),
        "dataset_checksum": dataset.checksum,
        "encoder": repr(trained.input.encoder),
        "settings": f"steps={steps}, learning_rate={learning_rate!r}, seed={seed}",
    }
    first = 0
    if checkpoint is not None and resume:
        first = training.load(checkpoint, identity)
    started = time.perf_counter()
    for epoch in range(first, epochs):
        training.run_epoch(dataset.train, epoch)
        if checkpoint is not None:
            training.save(checkpoint, identity, epoch + 1)
        if progress is not None:
            progress(
                Progress(
                    stage="through time",
                    epoch=epoch + 1,
                    epochs=epochs,
                    fraction=(epoch + 1) / epochs,
                    accuracy=training.accuracy(dataset.test[:1000]) if len(dataset.test) else None,
                    seconds=time.perf_counter() - started,
                )
            )
    origin = {
        "through_time_epochs": str(epochs),
        "through_time_dataset": dataset.name,
        "through_time_dataset_checksum": dataset.checksum,
        "through_time_seed": str(seed),
    }
    return replace(
        network,
        projections=tuple(
            p.with_grid(*to_grid(p.label, weights))
            for p, weights in zip(network.projections, training.weights_v, strict=True)
        ),
        origin={**network.origin, **origin},
    )


class _Training:
    """Weights and optimizer."""

    def __init__(self, network: Network, steps: int, learning_rate: float, seed: int) -> None:
        self._torch: Any = import_torch()
        self._network, self._steps, self._seed = network, steps, seed
        self._dynamics = TorchDynamics(network, sharpness=_SHARPNESS)
        self._units = [2.0**p.exponent for p in network.projections]
        self._weights = [
            (grid * unit).requires_grad_()
            for grid, unit in zip(self._dynamics.grids, self._units, strict=True)
        ]
        self._optimizer = self._torch.optim.Adam(
            {"params": [each], "lr": learning_rate * (float(each.detach().std()) or 1.0)}
            for each in self._weights
        )

    @property
    def weights_v(self) -> list[NDArray[np.float64]]:
        """Weights of the projections in volts per spike."""
        return [each.detach().numpy().copy() for each in self._weights]

    def run_epoch(self, split: Split, epoch: int) -> None:
        """Train on all samples once."""
        torch = self._torch
        order = np.random.default_rng((self._seed, epoch)).permutation(len(split))
        widths = None
        for start in range(0, len(split), _BATCH):
            rows = order[start : start + _BATCH]
            inputs = self._encode(split, rows, 1 + epoch)
            if widths is None:
                with torch.no_grad():
                    widths = self._dynamics.run(inputs, None, self._grids()).widths
            recording = self._dynamics.run(inputs, widths, self._grids())
            # Widths change slowly: those of a batch fit the next one.
            widths = {name: width.detach() for name, width in recording.widths.items()}
            loss = torch.nn.functional.cross_entropy(
                self._dynamics.log_scores(self._dynamics.outputs(recording)),
                torch.from_numpy(split.labels[rows].astype(np.int64)),
            )
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()

    def accuracy(self, split: Split) -> float:
        """Return the accuracy on a split, of one trial each."""
        correct = 0
        for start in range(0, len(split), _TEST_BATCH):
            rows = np.arange(start, min(start + _TEST_BATCH, len(split)))
            with self._torch.no_grad():
                recording = self._dynamics.run(self._encode(split, rows, 0), None, self._grids())
                outputs = self._dynamics.outputs(recording).numpy()
            correct += int(np.count_nonzero(outputs.argmax(axis=1) == split.labels[rows]))
        return correct / len(split)

    def save(self, path: str | os.PathLike[str], identity: dict[str, str], epoch: int) -> None:
        """Write a checkpoint, atomically."""
        with create_hdf5(path, _KIND, _SCHEMA) as file:
            file.create_group("identity").attrs.update(identity)
            file.attrs["epoch"] = epoch
            file.attrs["adam_steps"] = int(self._state(0)["step"])
            for index, weights in enumerate(self.weights_v):
                file[f"weights/{index}"] = weights
                for moment in _MOMENTS:
                    file[f"{moment}/{index}"] = self._state(index)[moment].numpy()

    def load(self, path: str | os.PathLike[str], identity: dict[str, str]) -> int:
        """Read a checkpoint; return the number of completed epochs."""
        torch = self._torch
        with open_hdf5(path, _KIND, _SCHEMA) as file:
            check_identity(file, identity)
            count = torch.tensor(float(read_attribute(file, "adam_steps", int)))
            for index, weights in enumerate(self._weights):
                found = {}
                for name in ("weights", *_MOMENTS):
                    values = read_array(read_group(file, name), str(index), "f", weights.ndim)
                    if values.shape != tuple(weights.shape) or not np.isfinite(values).all():
                        raise FileError(path, f"{name}/{index} does not fit the network")
                    found[name] = torch.from_numpy(values.astype(np.float64))
                with torch.no_grad():
                    weights.copy_(found.pop("weights"))
                self._optimizer.state[weights] = {"step": count.clone(), **found}
            return read_attribute(file, "epoch", int)

    def _state(self, index: int) -> dict[str, Any]:
        state: dict[str, Any] = self._optimizer.state[self._weights[index]]
        return state

    def _grids(self) -> list[Any]:
        return [each / unit for each, unit in zip(self._weights, self._units, strict=True)]

    def _encode(self, split: Split, rows: NDArray[np.int64], stream: int) -> Any:
        """Return the input of samples, with other random numbers in every stream."""
        shape = self._network.input.sample_shape(self._steps)
        signal = self._network.input.encoder.encode(
            validate_images(split.images[rows], shape),
            indices=np.asarray(rows, np.int64),
            steps=self._steps,
            dt_s=self._network.dt_s,
            seed=self._seed,
            stream=stream,
        )
        return self._torch.from_numpy(dense_input(signal))
