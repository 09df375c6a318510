"""Sums of weights in PyTorch: exact in any order, because weights lie on a fixed-point grid.

Without gradients, and on a processor, sums are over the weights of the neurons that spike, which
are about one percent; otherwise they are matrix products and convolutions in float64.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import AnyProjection, Convolution

__all__ = ["Signal", "Synapses"]


class Signal:
    """Output of a population, or of the input, over several time steps.

    Parameters
    ----------
    torch : module
        PyTorch.
    values : tensor, shape (images, steps, size), or SpikeTrains
        Spikes, as a bool tensor or as spike trains; or numbers, as a float64 tensor, by which
        weights are multiplied, with gradients.
    device : torch.device
        Device of sums.
    """

    def __init__(self, torch: Any, values: Any, device: Any) -> None:
        self._torch, self._values, self._device = torch, values, device

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self._values)

    @property
    def is_sparse(self) -> bool:
        """Whether sums are over :attr:`trains`."""
        values = self._values
        spikes = isinstance(values, SpikeTrains) or values.dtype == self._torch.bool
        return bool(spikes and self._device.type == "cpu")

    @cached_property
    def dense(self) -> Any:
        """Values, float64 tensor of shape (images, steps, size)."""
        values = self._values
        if isinstance(values, SpikeTrains):
            values = self._torch.from_numpy(values.to_dense()).to(self._device)
        return values.to(self._torch.float64)

    @cached_property
    def trains(self) -> SpikeTrains:
        """Spikes, without unused entries."""
        if isinstance(self._values, SpikeTrains):
            return _compact(self._values)
        # NumPy finds spikes ten times as fast as PyTorch does.
        raster = self._values.cpu().numpy()
        images, steps, size = raster.shape
        found = np.flatnonzero(raster)
        slots = np.arange(images * steps + 1) * size
        ends = np.searchsorted(found, slots)
        rows = np.arange(images)[:, None] * steps + np.arange(steps + 1)
        return SpikeTrains(size, ends[rows], (found % size).astype(np.int32))

    def counts(self) -> Any:
        """Return the number of spikes of each neuron, int32 array of shape (images, size)."""
        if self.is_sparse:
            trains = self.trains
            image = np.repeat(np.arange(trains.images), np.diff(trains.offsets[:, [0, -1]])[:, 0])
            flat = np.bincount(
                image * trains.size + trains.neurons, minlength=trains.images * trains.size
            )
            return flat.reshape(trains.images, trains.size).astype(np.int32)
        if isinstance(self._values, SpikeTrains):
            return self._values.counts()
        return self._values.sum(1, dtype=self._torch.int32).cpu().numpy()

    @cached_property
    def bags(self) -> tuple[Any, Any]:
        """Neurons that spike in each step of each image, and where each step begins; tensors."""
        trains = self.trains
        offsets = np.append(trains.offsets[:, :-1].ravel(), len(trains.neurons))
        from_numpy = self._torch.from_numpy
        return from_numpy(trains.neurons.astype(np.int64)), from_numpy(offsets)


class Synapses:
    """A projection.

    Parameters
    ----------
    torch : module
        PyTorch.
    projection : Projection or Convolution
        Connections and weights.
    device : torch.device
        Device of the weights.
    """

    def __init__(self, torch: Any, projection: AnyProjection, device: Any) -> None:
        self.source, self.target = projection.source, projection.target
        self.delay_steps = projection.delay_steps
        self.unit = 2.0**projection.exponent
        self.weights = torch.from_numpy(np.array(projection.grid_v)).to(device)
        """Weights in volts, float64 tensor."""
        self._torch = torch
        self._projection = projection

    def sums(self, signal: Signal, weights: Any) -> Any:
        """Return the sums of weights of each step.

        Parameters
        ----------
        signal : Signal
            Output of the source.
        weights : float64 tensor
            Weights in volts, in the shape of :attr:`weights`.

        Returns
        -------
        float64 tensor, shape (images, steps, target size)
        """
        if isinstance(self._projection, Convolution):
            return self._convolved(signal.dense, weights, self._projection)
        if not signal.is_sparse:
            return signal.dense @ weights
        neurons, offsets = signal.bags
        shape = signal.trains.images, signal.trains.steps, weights.shape[1]
        return self._torch.nn.functional.embedding_bag(
            neurons, weights, offsets, mode="sum", include_last_offset=True
        ).reshape(shape)

    def _convolved(self, values: Any, kernel: Any, projection: Convolution) -> Any:
        torch, functional = self._torch, self._torch.nn.functional
        (top, bottom), (left, right) = projection.padding
        maps = functional.pad(
            values.reshape(-1, *projection.source_shape), (left, right, top, bottom)
        )
        # cuDNN may choose algorithms that transform the kernel, and round.
        with torch.backends.cudnn.flags(enabled=False):
            sums = functional.conv2d(
                maps,
                kernel,
                stride=projection.stride,
                dilation=projection.dilation,
                groups=projection.groups,
            )
        return sums.reshape(*values.shape[:2], -1)


def _compact(trains: SpikeTrains) -> SpikeTrains:
    """Return spike trains whose events are exactly those between their offsets."""
    offsets = trains.offsets
    if not len(offsets) or (offsets[1:, 0] != offsets[:-1, -1]).any():
        return SpikeTrains.concatenate([trains])
    first, end = int(offsets[0, 0]), int(offsets[-1, -1])
    return SpikeTrains(trains.size, offsets - first, trains.neurons[first:end])
