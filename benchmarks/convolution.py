"""Section ``convolution``: a convolutional network on the native backend and in snnTorch.

The network is that of snnTorch's tutorial 6, 12C5-P2-64C5-P2-10, with average pooling before the
neurons, with direct coding and with Poisson spikes. The native backend simulates convolution and
pooling as one kernel of 6 x 6. Both simulate the same network: the kernels are on a coarse grid, so
that the sums of snnTorch's float32 are exact, and only the decay of potentials is rounded.

The limit is the time in which one core adds as many weights as the spikes of the run, with the sums
in registers and the weights in the first-level cache.

Weights are random, with gains that give activities near those of the network trained on MNIST.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.limit import adding_weights
from benchmarks.peers import INSTALL
from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import ratio_to_fastest, stated, throughputs
from benchmarks.workload import check_recording, encode
from benchmarks.writing import with_spread
from neuroattack.backends.native import NativeBackend
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import Recording
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.ir.network import INPUT, Convolution, Input, Network, Population, Projection

__all__ = ["Layer", "convolutional_network", "measure_convolution", "random_layers"]

BETA = 0.5
"""Decay of potentials per step, as in the tutorial."""

_BATCH = 100
_STEPS = 100
_CHECKED = 2

# The native backend runs several times per round, so that its turn takes about as long as that of
# snnTorch, and is affected as much by other programs.
_NATIVE_RUNS = 10

# Measured once: the network of these sizes with average pooling, trained with snnTorch on 8,000
# images of MNIST to an accuracy of 95 %, spikes in 15 %, 32 % and 10 % of the neurons per step.
_GAINS = (4.0, 6.0, 3.0)
_SHIFTS = (0.1, 0.1, 0.0)

# Bits after the point of kernels and of intensities, which float32 adds exactly.
_WEIGHT_BITS = 10
_INTENSITY_BITS = 8

_CODINGS = {
    "direct": DirectEncoder(_INTENSITY_BITS),
    "poisson": PoissonEncoder(1000.0),
}

_PEER_CONFIGURATIONS = ("documented", "tuned")


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights and biases of a layer in the shapes of PyTorch."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]


def random_layers() -> list[Layer]:
    """Return two convolutional layers and a linear one, with random weights."""
    rng = np.random.default_rng(0)
    layers = []
    for gain, shift, shape in zip(
        _GAINS, _SHIFTS, ((12, 1, 5, 5), (64, 12, 5, 5), (10, 1024)), strict=True
    ):
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        weights = rng.uniform(-gain * bound, gain * bound, shape)
        biases = rng.uniform(-bound, bound, shape[0]) + shift
        layers.append(Layer(_on_grid(weights), _on_grid(biases)))
    return layers


def _on_grid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ldexp(np.rint(np.ldexp(values, _WEIGHT_BITS)), -_WEIGHT_BITS)


def convolutional_network(layers: list[Layer], encoder: DirectEncoder | PoissonEncoder) -> Network:
    """Return the network of two convolutions with pooling and a linear layer."""
    names = ("conv1", "conv2", "output")
    shapes = ((12, 12, 12), (64, 4, 4), (10, 1, 1))
    dt_s = 1e-3
    populations = tuple(
        Population(
            name,
            math.prod(shape),
            tau_m_s=_time_constant_s(dt_s),
            threshold_v=1.0,
            bias_v=np.repeat(layer.biases, shape[1] * shape[2]),
            reset="subtract_next",
        )
        for name, shape, layer in zip(names, shapes, layers, strict=True)
    )
    first, second, last = (layer.weights for layer in layers)
    return Network(
        dt_s=dt_s,
        input=Input((1, 28, 28), encoder),
        populations=populations,
        projections=(
            _pooled_convolution(INPUT, "conv1", first, (1, 28, 28)),
            _pooled_convolution("conv1", "conv2", second, shapes[0]),
            Projection.from_weights("conv2", "output", last.T, delay_steps=0),
        ),
        readout="output",
    )


def _time_constant_s(dt_s: float) -> float:
    """Return a time constant with which the rounded decay per step is exactly `BETA`."""
    tau_s = -dt_s / math.log(BETA)
    while math.exp(-dt_s / tau_s) < BETA:
        tau_s = math.nextafter(tau_s, math.inf)
    while math.exp(-dt_s / tau_s) > BETA:
        tau_s = math.nextafter(tau_s, 0.0)
    return tau_s


def _pooled_convolution(
    source: str, target: str, kernel: NDArray[np.float64], shape: tuple[int, int, int]
) -> Convolution:
    """Return a convolution followed by an average over 2 x 2, as one with a larger kernel."""
    *channels, rows, columns = kernel.shape
    pooled = np.zeros((*channels, rows + 1, columns + 1))
    for row in (0, 1):
        for column in (0, 1):
            pooled[..., row : row + rows, column : column + columns] += kernel / 4
    return Convolution.from_weights(source, target, pooled, shape, stride=(2, 2), delay_steps=0)


def _tables(figures: Figures) -> list[Table]:
    title = (
        f"12C5-P2-64C5-P2-10, {figures['dataset']}, T = {figures['steps']}, batches of "
        f"{figures['batch']}, one core: median (lowest to highest)"
    )
    rows = []
    for coding in _CODINGS:
        found = figures[coding]
        activity = ", ".join(f"{100 * part:.0f} %" for part in found["activity"].values())
        rows.append([f"{coding}: active neurons per step, from the input on", activity])
        rows.append([f"{coding}: native, images per second", with_spread(found, "native")])
        for name in _PEER_CONFIGURATIONS:
            if name in found:
                shown = with_spread(found, name)
                rows.append([f"{coding}: snnTorch {name}, images per second", shown])
        rows.append(
            [f"{coding}: speed-up over snnTorch as documented", _ratio(found, "vs_snntorch")]
        )
        rows.append(
            [f"{coding}: speed-up over the faster one", _ratio(found, "vs_snntorch_fastest")]
        )
        rows.append(
            [f"{coding}: weight additions per image", f"{found['additions_per_image']:.3g}"]
        )
        rows.append([f"{coding}: fraction of the limit", with_spread(found, "limit_ratio")])
        if found["equal_counts"] is not None:
            rows.append([f"{coding}: equal spike counts", f"{100 * found['equal_counts']:.2f} %"])
    return [Table(title, ("", ""), rows)]


def _additions(network: Network, recording: Recording) -> int:
    """Return the number of weights that the spikes of a run add."""
    spiking = [name for name in recording.counts if name != INPUT or not _is_direct(network)]
    return sum(
        int((recording.counts[name].astype(np.int64) @ projection.fan_out()).sum())
        for name in spiking
        for projection in network.outgoing(name)
    )


def _is_direct(network: Network) -> bool:
    return isinstance(network.input.encoder, DirectEncoder)


def _ratio(found: Figures, key: str) -> str:
    return with_spread(found, key, " x", absent="snnTorch is not installed")


@section("convolution", _tables)
def measure_convolution(options: Options) -> Figures:
    """Measure the native backend and snnTorch, if it is installed, in interleaved rounds."""
    images = 10 if options.quick else _BATCH
    shown = load_dataset(options.dataset).test.first(images).images
    rows = shown.reshape(images, -1).astype(np.float64)
    layers = random_layers()
    figures: Figures = {"dataset": options.dataset, "steps": _STEPS, "batch": images}
    for coding, encoder in _CODINGS.items():
        network = convolutional_network(layers, encoder)
        inputs = encode(network, rows, _STEPS)
        figures[coding] = _measure_coding(network, inputs, layers, options)
        for key in ("vs_snntorch", "vs_snntorch_fastest", "limit_ratio"):
            for end in ("", "_spread"):
                figures[f"{key}_{coding}{end}"] = figures[coding][f"{key}{end}"]
    return figures


def _measure_coding(
    network: Network, inputs: InputSignal, layers: list[Layer], options: Options
) -> Figures:
    simulator = NativeBackend(threads=1).deploy(network)
    recorded = simulator.run(inputs[:_CHECKED], record_spikes=True)
    check_recording(network, inputs, recorded, images=_CHECKED)
    recording = simulator.run(inputs)
    repeats = 1 if options.quick else _NATIVE_RUNS
    additions = _additions(network, recording)
    subjects: dict[str, Callable[[], object]] = {
        "native": lambda: [simulator.run(inputs) for _ in range(repeats)],
        "limit": adding_weights(repeats * additions),
    }
    figures: Figures = {
        "activity": {
            name: float(counts.mean()) / inputs.steps for name, counts in recording.counts.items()
        },
        "equal_counts": None,
        "additions_per_image": additions / inputs.images,
    }
    try:
        from benchmarks.peers.snntorch_convolution import VERSIONS, PeerNetwork
    except ImportError as error:
        figures |= {"installed": False, "reason": str(error), "install": INSTALL}
    else:
        figures |= {"installed": True, **VERSIONS}
        for name in _PEER_CONFIGURATIONS:
            peer = PeerNetwork(layers, BETA, inputs, tuned=name == "tuned")
            equal = float(np.mean(peer.run() == recording.counts[network.readout]))
            figures["equal_counts"] = min(equal, figures["equal_counts"] or 1.0)
            subjects[name] = peer.run
    options.say("timing")
    timed = throughputs(subjects, inputs.images, 1 if options.quick else 9)
    ours = timed["native"] = repeats * timed["native"]
    timed["limit"] *= repeats
    figures |= stated("limit_ratio", ours / timed["limit"])
    documented = [timed["documented"]] if "documented" in timed else []
    peers = [timed[name] for name in _PEER_CONFIGURATIONS if name in timed]
    for name, rounds in timed.items():
        figures |= stated(name, rounds)
    figures |= stated("vs_snntorch", ratio_to_fastest(ours, documented))
    return figures | stated("vs_snntorch_fastest", ratio_to_fastest(ours, peers))
