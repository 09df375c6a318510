"""Networks built from Lava's stock processes alone: another opinion on what Lava computes.

Dense, LIF, LIFReset and LIFRefractory between a ring buffer of input spikes and ring buffers
that keep what spikes: one image at a time, one step in each Lava step. Stock Dense sends what
arrived a step before, so that a projection has a delay of one step, and step k of a network is
Lava's time step k + 1.

Run as a program, ``python lava_stock.py FOLDER`` simulates every NAME.h5 of the folder on the
input spikes of NAME.npy and leaves NAME.npz: importing Lava changes the process it is in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import INPUT, FixedPopulation, Network
from neuroattack.ir.storage import load_network

# Stock fixed-point processes shift thresholds and arriving weights left by six bits.
SHIFT = 6


class StockGraph:
    """A network in stock processes, its input spikes with it.

    Parameters
    ----------
    network : Network
        With delays of one step, reset to 0, one threshold a population, and decays of at least a
        half (or 0 for the current): 1 - (1 - decay), which is what Lava multiplies by, is then
        exact.
    raster : bool array, shape (steps, pixels)
        Input spikes.
    reset_interval : int, optional
        Steps after which each population starts from rest, later by its depth; only without
        refractory periods.
    recorded : tuple of str, optional
        Populations whose spikes are kept; all by default.
    """

    def __init__(self, network: Network, raster, reset_interval=None, recorded=None):
        from lava.magma.core.run_configs import Loihi1SimCfg
        from lava.proc.dense.process import Dense
        from lava.proc.io.sink import RingBuffer as Sink
        from lava.proc.io.source import RingBuffer as Source
        from lava.utils.weightutils import SignMode

        fixed = network.precision == "fixed"
        kind = int if fixed else float
        self._steps = len(raster)
        outputs = {INPUT: Source(data=raster.T.astype(kind)).s_out}
        self._sinks = {}
        for depth, population in enumerate(network.populations):
            neurons = _neurons(population, network.dt_s, depth, reset_interval)
            for projection in network.incoming(population.name):
                if projection.delay_steps != 1:
                    raise ValueError("stock Dense delays by one step")
                weights = projection.mantissas.T
                if fixed:
                    dense = Dense(
                        weights=weights,
                        weight_exp=projection.exponent - SHIFT,
                        sign_mode=SignMode[_signs(weights)],
                    )
                else:
                    dense = Dense(weights=projection.weights_v.T)
                outputs[projection.source].connect(dense.s_in)
                dense.a_out.connect(neurons.a_in)
            outputs[population.name] = neurons.s_out
            if recorded is None or population.name in recorded:
                sink = Sink(shape=(population.size,), buffer=self._steps)
                neurons.s_out.connect(sink.a_in)
                self._sinks[population.name] = sink
        self._any = neurons
        self._any.create_runtime(Loihi1SimCfg(select_tag="fixed_pt" if fixed else "floating_pt"))

    def run(self) -> None:
        """Simulate all steps of the input."""
        from lava.magma.core.run_conditions import RunSteps

        self._any.run(RunSteps(num_steps=self._steps))

    def spikes(self) -> dict[str, np.ndarray]:
        """Return the spikes of the recorded populations, each of shape (steps, size)."""
        return {name: sink.data.get().T.astype(bool) for name, sink in self._sinks.items()}

    def stop(self) -> None:
        """Stop all processes; only after a run."""
        self._any.stop()


def _signs(mantissas):
    """Return the sign mode in which Loihi holds weights as they are; mixed ones are even."""
    if (mantissas >= 0).all():
        return "EXCITATORY"
    if (mantissas <= 0).all():
        return "INHIBITORY"
    if (mantissas % 2).any():
        raise ValueError("stock Dense rounds mixed weights to even ones")
    return "MIXED"


def _neurons(population, dt_s, depth, reset_interval):
    from lava.proc.lif.process import LIF, LIFRefractory, LIFReset

    shape = (population.size,)
    if isinstance(population, FixedPopulation):
        if np.any(population.refractory_steps):
            raise ValueError("no stock process in fixed point has a refractory period")
        if (population.lowest, population.highest) != (-POTENTIAL_LIMIT, POTENTIAL_LIMIT):
            raise ValueError("stock LIF has a state of 24 bits")
        threshold = int(population.threshold[0])
        if (population.threshold != threshold).any() or threshold % 2**SHIFT:
            raise ValueError("stock LIF has one threshold, a multiple of 64")
        return LIF(
            shape=shape,
            # Stock LIF adds 1 to the decay of the current.
            du=population.current_leak - 1,
            dv=population.leak,
            vth=threshold >> SHIFT,
            bias_mant=population.bias,
        )
    threshold_v, decay = float(population.threshold_v[0]), float(population.decay(dt_s)[0])
    current_decay = float(population.current_decay(dt_s)[0])
    if (population.threshold_v != threshold_v).any() or population.reset_v.any() or decay < 0.5:
        raise ValueError("stock LIF has one threshold, resets to 0, and decays exactly from 1/2")
    if 0 < current_decay < 0.5 or population.current_bias_v.any() or population.input_after_update:
        raise ValueError("stock LIF adds input to the current first, which decays exactly from 1/2")
    common = {"shape": shape, "du": 1 - current_decay, "dv": 1 - decay, "vth": threshold_v}
    if np.any(population.refractory_steps):
        # Adds current and bias before anything else, as the plain dynamics do; LIF does not.
        return LIFRefractory(
            **common,
            bias_mant=population.bias_v,
            refractory_period=int(np.min(population.refractory_steps)),
        )
    if population.bias_v.any():
        raise ValueError("stock LIF adds the bias in another order than ours")
    if reset_interval is None:
        return LIF(**common)
    return LIFReset(**common, reset_interval=reset_interval, reset_offset=depth + 2)


def main() -> None:
    """Simulate the networks of a folder."""
    folder = Path(sys.argv[1])
    for file in sorted(folder.glob("*.h5")):
        graph = StockGraph(load_network(file), np.load(file.with_suffix(".npy")))
        graph.run()
        np.savez(file.with_suffix(".npz"), **graph.spikes())
        graph.stop()


if __name__ == "__main__":
    main()
