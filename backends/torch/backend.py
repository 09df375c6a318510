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
from neuroattack.errors import BackendUnavailableError, ValidationError
from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.torch_dynamics import TorchDynamics, import_torch
from neuroattack.memory import check_memory

__all__ = ["TorchBackend", "TorchSimulator"]

# Maximum memory of the sums and spikes of a slice of images, in bytes.
_SLICE_BYTES = {"cpu": 2**26, "cuda": 2**31}


class TorchSimulator:
    """Network on the PyTorch backend; spikes do not depend on the size of slices."""

    def __init__(self, network: Network, device: str) -> None:
        self._network = network
        self._dynamics = TorchDynamics(network, device=device)
        self._on_processor = device == "cpu"
        self._slice_bytes = _SLICE_BYTES[device.partition(":")[0]]

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        per_image = self._bytes_per_image(inputs.steps)
        if self._on_processor:
            check_memory(
                f"backend 'torch': an image of {inputs.steps:,} time steps",
                per_image,
                "use fewer time steps, or the backend native",
            )
        size = max(1, self._slice_bytes // per_image)
        return Recording.concatenate(
            [
                self._record(inputs[start : start + size], record_spikes)
                for start in range(0, inputs.images, size)
            ]
        )

    def close(self) -> None:
        """Do nothing: the simulator has only tensors."""

    def _bytes_per_image(self, steps: int) -> int:
        # A source, the sums of all projections to one population, and its spikes.
        sizes = self._network.sizes
        sums = [
            sizes[population.name] * (1 + len(self._network.incoming(population.name)))
            for population in self._network.populations
        ]
        return 8 * max(steps, 1) * (max(sizes.values()) + max(sums))

    def _record(self, inputs: InputSignal, record_spikes: bool) -> Recording:
        spikes, potentials = self._dynamics.simulate(inputs)
        counts = {name: signal.counts() for name, signal in spikes.items()}
        if isinstance(inputs, ConstantInput):
            counts = {INPUT: inputs.counts(), **counts}
        names = self._network.sizes
        return Recording(
            {name: counts[name] for name in names},
            {name: spikes[name].trains for name in names if name in spikes}
            if record_spikes
            else None,
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
