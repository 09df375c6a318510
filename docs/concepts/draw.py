"""Draw the figures of the concept pages.

Usage: ``python docs/concepts/draw.py runs/demo/network.h5``, with the network that
``neuroattack demo`` writes.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from neuroattack.attacks.goals import Goal
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Input, Network, Population, Projection
from neuroattack.ir.storage import load_network
from neuroattack.training.siegert import SiegertParameters, siegert_rates

_HERE = Path(__file__).parent
_BLUE, _ORANGE, _GRAY = "#0b62a4", "#c2570c", "#777777"


def _save(figure: Figure, name: str) -> None:
    figure.savefig(_HERE / name, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _one_neuron(
    weights_v: np.ndarray, refractory_steps: int, tau_m_s: float, dt_s: float = 1e-3
) -> Network:
    inputs = len(weights_v)
    return Network(
        dt_s=dt_s,
        input=Input((1, inputs), PoissonEncoder(100.0)),
        populations=(
            Population("neuron", 1, tau_m_s, threshold_v=5e-3, refractory_steps=refractory_steps),
        ),
        projections=(
            Projection(
                "input", "neuron", np.rint(weights_v * 2**26).astype(np.int32)[:, None], -26
            ),
        ),
        readout="neuron",
    )


def draw_siegert() -> None:
    """Plot the firing rate of a simulated neuron and of the Siegert function."""
    parameters, steps = SiegertParameters(), 60_000
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    rng = np.random.default_rng(0)
    rates_hz = np.linspace(0, 90, 91)
    measured_hz = np.array([2, 5, 10, 20, 30, 45, 60, 75, 90])
    for excitatory, color in ((60, _BLUE), (52, _ORANGE)):
        weights_v = np.where(np.arange(100) < excitatory, 0.5e-3, -0.5e-3)
        drive = parameters.tau_m_s * weights_v.sum() * rates_hz
        spread = np.sqrt(parameters.tau_m_s / 2 * (weights_v**2).sum() * rates_hz)
        predicted = siegert_rates(drive, spread, parameters) / parameters.t_ref_s
        axes.plot(
            rates_hz,
            predicted,
            color=color,
            label=f"Siegert, {excitatory} of 100 inputs excitatory",
        )
        for dt_s, mark in ((1e-3, "o"), (1e-4, "x")):
            refractory_steps = round(parameters.t_ref_s / dt_s)
            network = _one_neuron(weights_v, refractory_steps, parameters.tau_m_s, dt_s)
            simulated = [
                simulate(network, rng.random((steps, 100)) < rate * dt_s)["neuron"].mean() / dt_s
                for rate in measured_hz
            ]
            axes.plot(
                measured_hz,
                simulated,
                mark,
                color=color,
                label=f"simulated, dt = {dt_s * 1e3:g} ms",
            )
    axes.set(xlabel="rate of each of 100 inputs (Hz)", ylabel="firing rate of the neuron (Hz)")
    axes.legend(frameon=False)
    _save(figure, "siegert.png")


def draw_trace() -> None:
    """Plot the membrane potential of one neuron; its spikes are checked against the reference."""
    weights_v, tau_m_s, steps = np.array([2.2e-3, 1.4e-3, -1.2e-3]), 0.02, 60
    network = _one_neuron(weights_v, 3, tau_m_s)
    spikes_in = np.random.default_rng(4).random((steps, 3)) < np.array([0.35, 0.35, 0.2])
    fired = simulate(network, spikes_in)["neuron"][:, 0]
    v, refractory, trace, is_refractory = 0.0, 0, [], []
    decay = math.exp(-1e-3 / tau_m_s)
    for k in range(steps):
        current = float(spikes_in[k - 1] @ weights_v) if k else 0.0
        is_refractory.append(refractory > 0)
        v = v if refractory else v * decay + current
        trace.append(v)
        spike = not refractory and v > 5e-3
        if spike != fired[k]:
            raise AssertionError(f"step {k}: the spike differs from the reference dynamics")
        refractory = 3 if spike else max(refractory - 1, 0)
        v = 0.0 if spike else v
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7.2, 4.2), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    k = np.arange(steps)
    above.step(k, np.array(trace) * 1e3, where="mid", color=_BLUE)
    above.plot(k[fired], np.array(trace)[fired] * 1e3, "^", color=_ORANGE, label="spike")
    above.axhline(5, color=_GRAY, linestyle="--", label="threshold")
    for step in k[np.array(is_refractory)]:
        above.axvspan(step - 0.5, step + 0.5, color="#dddddd", lw=0)
    above.set(ylabel="membrane potential (mV)")
    above.legend(frameon=False, loc="upper left", ncols=2)
    names = [f"{weight * 1e3:+.1f} mV" for weight in weights_v]
    for row in range(3):
        below.plot(k[spikes_in[:, row]], np.full(spikes_in[:, row].sum(), row), "|", color="k")
    below.set(xlabel="time step (1 ms)", ylim=(-0.6, 2.6))
    below.set_yticks(range(3), names, fontsize=8)
    _save(figure, "trace.png")


def draw_coding(network: Network) -> None:
    """Plot the margin of the true class over many trials of one image, for several T."""
    image, label = load_dataset("digits").test.pick(3)
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for steps, color in ((50, _GRAY), (100, _ORANGE), (350, _BLUE)):
        with deploy(network, steps=steps, seed=0) as deployment:
            counts = deployment.black_box(stream=9).query(np.repeat(image[None], 400, axis=0))
        margins = -Goal(label).gap(counts.astype(float))
        axes.hist(
            margins,
            bins=np.arange(margins.min() - 0.5, margins.max() + 1.5),
            color=color,
            alpha=0.7,
            label=f"T = {steps}: mean {margins.mean():.1f}, SD {margins.std():.1f}",
        )
    axes.set(xlabel="margin of the true class (spikes)", ylabel="trials (of 400)")
    axes.legend(frameon=False)
    _save(figure, "coding.png")


def draw_counts(network: Network) -> None:
    """Plot the margin of the true class before and after changing one or half of the pixels."""
    image, label = load_dataset("digits").test.pick(3)
    goal, rng = Goal(label), np.random.default_rng(1)
    one = image.copy()
    row, column = np.unravel_index(np.argmax(image), image.shape)
    one[row, column] = max(one[row, column] - 0.1, 0.0)
    half = np.clip(image + 0.5 * rng.choice((-1, 0, 1), image.shape, p=(0.25, 0.5, 0.25)), 0, 1)
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    with deploy(network, steps=350, seed=0) as deployment:
        box = deployment.black_box(stream=9)
        for version, name, color in (
            (image, "clean image", _GRAY),
            (one, "one pixel changed by 0.1", _ORANGE),
            (half, "half of all pixels changed by 0.5", _BLUE),
        ):
            counts = box.query(np.repeat(version[None], 400, axis=0)).astype(float)
            margins = -goal.gap(counts)
            axes.hist(
                margins,
                bins=np.arange(-0.5, 90),
                histtype="step",
                lw=1.6,
                color=color,
                label=f"{name}: {margins.mean():.1f} ± {margins.std():.1f}",
            )
    axes.set(xlabel="margin of the true class (spikes)", ylabel="trials (of 400)")
    axes.legend(frameon=False)
    _save(figure, "counts.png")


if __name__ == "__main__":
    demo_network = load_network(sys.argv[1])
    draw_siegert()
    draw_trace()
    draw_coding(demo_network)
    draw_counts(demo_network)
