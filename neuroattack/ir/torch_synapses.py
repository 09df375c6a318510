"""Sums of weights in PyTorch: exact in any order, because weights lie on a fixed-point grid.

Without gradients, and on a processor, sums are over the weights of the neurons that spike, which
are about one percent; otherwise they are matrix products and convolutions in float64.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import AnyProjection, Convolution

__all__ = ["Events", "Raster", "StepEvents", "Sums", "Synapses"]

# Steps are summed together, up to this many sums: a call takes as long as thousands of them.
_SUMS_PER_CALL = 2**18


class StepEvents(NamedTuple):
    """Spikes of a population, or of the input, in one time step of a batch of images.

    Parameters
    ----------
    images, size : int
        Number of images, and of neurons.
    flat : int64 array
        ``image * size + neuron`` of each spike, ascending.
    """

    images: int
    size: int
    flat: NDArray[np.int64]


class Events:
    """Spikes of a population, or of the input, by time step.

    Parameters
    ----------
    images, size : int
        Number of images, and of neurons.
    steps : list of int64 arrays
        ``image * size + neuron`` of each spike in each step, ascending.
    """

    def __init__(self, images: int, size: int, steps: list[NDArray[np.int64]]) -> None:
        self.images, self.size, self.steps = images, size, steps

    @classmethod
    def from_trains(cls, trains: SpikeTrains) -> Events:
        """Sort spikes by time step."""
        image, step, neuron = trains.events()
        order = np.argsort(step, kind="stable")
        ends = np.cumsum(np.bincount(step, minlength=trains.steps))
        flat = (image * trains.size + neuron)[order]
        return cls(trains.images, trains.size, np.split(flat, ends)[: trains.steps])

    def __getitem__(self, k: int) -> StepEvents:
        return StepEvents(self.images, self.size, self.steps[k])

    def joined(self, start: int, stop: int) -> StepEvents:
        """Return several time steps as one, of the images of each step after another."""
        step = self.images * self.size
        flat = [each + i * step for i, each in enumerate(self.steps[start:stop])]
        return StepEvents(self.images * len(flat), self.size, np.concatenate(flat))

    def append(self, flat: NDArray[np.int64]) -> None:
        """Add a time step."""
        self.steps.append(flat)

    def counts(self) -> NDArray[np.int32]:
        """Return the number of spikes of each neuron, shape (images, size)."""
        counts = np.bincount(self._flat, minlength=self.images * self.size)
        return counts.reshape(self.images, self.size).astype(np.int32)

    def trains(self) -> SpikeTrains:
        """Return the spikes of each image in temporal order."""
        image, neuron = np.divmod(self._flat, self.size)
        step = np.repeat(np.arange(len(self.steps)), [len(flat) for flat in self.steps])
        shape = self.images, len(self.steps), self.size
        return SpikeTrains.from_events(image, step, neuron, shape)

    @property
    def _flat(self) -> NDArray[np.int64]:
        return np.concatenate([np.empty(0, np.int64), *self.steps])


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of a population as a bool tensor of shape (images, steps, size), on any device."""

    values: Any

    def counts(self) -> NDArray[np.int32]:
        """Return the number of spikes of each neuron, shape (images, size)."""
        values = self.values
        counts: NDArray[np.int32] = values.sum(1).cpu().numpy().astype(np.int32)
        return counts

    def trains(self) -> SpikeTrains:
        """Return the spikes of each image in temporal order."""
        return SpikeTrains.from_dense(self.values.cpu().numpy())


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
        self.target_size = projection.shape[1]
        self._torch = torch
        self._projection = projection
        # Faster than bags, but only the MKL multiplies them.
        self._has_csr = torch.backends.mkl.is_available()
        with warnings.catch_warnings():
            # PyTorch warns at the first one that they are in beta; here, they are only multiplied.
            warnings.simplefilter("ignore", UserWarning)
            torch.empty(0, 0, dtype=torch.float64, layout=torch.sparse_csr)

    def sums(self, outputs: Any, weights: Any, out: Any = None) -> Any:
        """Return the sums of weights.

        Parameters
        ----------
        outputs : tensor, shape (images, ..., source size), or StepEvents
            Output of the source: spikes, or numbers by which weights are multiplied, with
            gradients.
        weights : float64 tensor
            Weights in volts, in the shape of :attr:`weights`.
        out : float64 tensor, optional
            Earlier sums that are no longer needed, whose memory may be used.

        Returns
        -------
        float64 tensor, shape (images, ..., target size)
        """
        if isinstance(outputs, StepEvents):
            if not isinstance(self._projection, Convolution):
                return self._over_events(outputs, weights, out)
            mask = np.zeros((outputs.images, outputs.size))
            mask.reshape(-1)[outputs.flat] = 1.0
            outputs = self._torch.from_numpy(mask)
        values = outputs.to(weights.dtype)
        if isinstance(self._projection, Convolution):
            return self._convolved(values, weights, self._projection)
        return values @ weights

    def _over_events(self, events: StepEvents, weights: Any, out: Any) -> Any:
        torch, rows = self._torch, events.images
        starts = np.searchsorted(events.flat, np.arange(rows + 1) * events.size)
        indices = torch.from_numpy((events.flat % events.size).astype(np.int32))
        offsets = torch.from_numpy(starts.astype(np.int32))
        if not self._has_csr:
            return torch.nn.functional.embedding_bag(
                indices, weights, offsets, mode="sum", include_last_offset=True
            )
        ones = torch.ones(len(indices), dtype=weights.dtype)
        spikes = torch.sparse_csr_tensor(
            offsets, indices, ones, (rows, events.size), check_invariants=False
        )
        if out is None or len(out) != rows:
            out = torch.empty(rows, weights.shape[1], dtype=weights.dtype)
        return torch.addmm(out, spikes, weights, beta=0, out=out)

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
        return sums.reshape(*values.shape[:-1], -1)


class Sums:
    """Sums of the weights of events by time step, computed when they are needed.

    Parameters
    ----------
    synapses : Synapses
        Projection.
    events : Events
        Spikes of the source in all steps.
    weights : float64 tensor
        Weights in volts.
    """

    def __init__(self, synapses: Synapses, events: Events, weights: Any) -> None:
        self._synapses, self._events, self._weights = synapses, events, weights
        self._together = max(1, _SUMS_PER_CALL // (events.images * synapses.target_size))
        self._start = -1
        self._sums: Any = None
        self._by_step: Any = ()

    def __getitem__(self, k: int) -> Any:
        start = k - k % self._together
        if start != self._start:
            joined = self._events.joined(start, start + self._together)
            self._sums = self._synapses.sums(joined, self._weights, out=self._sums)
            self._start, self._by_step = start, self._sums.split(self._events.images)
        return self._by_step[k - start]
