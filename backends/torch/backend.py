"""PyTorch backend, spike-for-spike identical to the reference dynamics."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from neuroattack.deployment.backend import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Workload,
    check_inputs,
)
from neuroattack.deployment.features import FEATURES, check_supported
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, ValidationError
from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.torch_dynamics import TorchDynamics, import_torch
from neuroattack.memory import check_memory

__all__ = ["TorchBackend", "TorchSimulator"]

# Maximum memory of a slice of images, in bytes. On a processor: of the potentials of one step, so
# that they fit its cache, and of spikes if all neurons spike all the time. Elsewhere: of sums and
# spikes.
_STEP_BYTES, _SPIKE_BYTES, _DEVICE_BYTES = 2**22, 2**30, 2**31
# Memory of an empty array of spikes, in bytes.
_ARRAY_BYTES = 112


class TorchSimulator:
    """Network on the PyTorch backend; spikes do not depend on the size of slices."""

    def __init__(self, network: Network, device: str) -> None:
        self._network = network
        self._dynamics = TorchDynamics(network, device=device)
        self._on_processor = device == "cpu"

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if self._on_processor:
            check_memory(
                f"backend 'torch': a batch of {inputs.steps:,} time steps",
                _ARRAY_BYTES * inputs.steps * len(self._network.populations),
                "use fewer time steps, or the backend native",
            )
        size = max(1, self._images_per_slice(inputs.steps))
        return Recording.concatenate(
            [
                self._record(inputs[start : start + size], record_spikes)
                for start in range(0, inputs.images, size)
            ]
        )

    def close(self) -> None:
        """Do nothing: the simulator has only tensors."""

    def _images_per_slice(self, steps: int) -> int:
        sizes, populations = self._network.sizes, self._network.populations
        if self._on_processor:
            spikes = sum(population.most_spikes(steps) for population in populations)
            by_memory = _SPIKE_BYTES // max(8 * spikes, 1)
            return min(_STEP_BYTES // (8 * max(sizes.values())), by_memory)
        # A source, the sums of all projections to one population, and its spikes.
        sums = [sizes[p.name] * (1 + len(self._network.incoming(p.name))) for p in populations]
        return _DEVICE_BYTES // (8 * max(steps, 1) * (max(sizes.values()) + max(sums)))

    def _record(self, inputs: InputSignal, record_spikes: bool) -> Recording:
        found, potentials = self._dynamics.simulate(inputs)
        spikes = None
        if record_spikes:
            spikes = {name: each.trains() for name, each in found.items()}
            if not isinstance(inputs, ConstantInput):
                spikes = {INPUT: SpikeTrains.concatenate([inputs]), **spikes}
        return Recording(
            {INPUT: inputs.counts(), **{name: each.counts() for name, each in found.items()}},
            spikes,
            None if potentials is None else potentials.cpu().numpy(),
        )


class TorchBackend:
    """PyTorch in float64.

    Parameters
    ----------
    device : str, optional
        Device: ``"cpu"``, ``"cuda"``, or one of several such as ``"cuda:1"``.

    Raises
    ------
    ValidationError, BackendUnavailableError
        If there is no such device.
    """

    name = "torch"
    supported = frozenset(FEATURES)

    def __init__(self, device: str = "cpu") -> None:
        self._device = _checked(device)

    def on_device(self, device: str) -> TorchBackend:
        """Return the backend on a device."""
        return TorchBackend(device)

    def availability(self) -> Availability:
        """Return whether PyTorch is installed, without importing it."""
        try:
            return Availability(True, version=version("torch"))
        except PackageNotFoundError:
            return Availability(
                False, "PyTorch is not installed; run `pip install 'neuroattack[torch]'`"
            )

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> TorchSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`."""
        del workload
        check_supported(self.name, self.supported, network)
        state = self.availability()
        if not state.available:
            raise BackendUnavailableError(f"backend 'torch' is not available: {state.reason}")
        return TorchSimulator(network, self._device)


def _checked(device: str) -> str:
    """Return a device if it is here, without importing PyTorch for the processor."""
    if device == "cpu":
        return device
    thing = "device of backend 'torch'"
    kind, colon, number = device.partition(":")
    if kind != "cuda" or (colon and not (number.isascii() and number.isdigit())):
        raise ValidationError(thing, repr(device), "cpu, cuda, or cuda: and a number")
    found = import_torch().cuda.device_count()
    if int(number or 0) >= found:
        raise BackendUnavailableError(
            f"{thing}: got {device!r}, expected cpu or one of {found} CUDA devices, from cuda:0"
            if found
            else f"{thing}: got {device!r}, expected cpu: PyTorch finds no CUDA device"
        )
    return device
