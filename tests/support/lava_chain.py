"""Layers of the Lava backend simulated one after the other, without Lava's processes."""

import numpy as np

from neuroattack.backends.lava.plan import Block, GraphPlan
from neuroattack.backends.lava.simulation import LayerSimulation
from neuroattack.encoding.constant import ConstantInput
from neuroattack.ir.network import INPUT


class Chain:
    """Layers of a network, which pass on the spikes of each block as the Lava processes do."""

    def __init__(self, network, block_steps):
        self.plan = GraphPlan.of(network, block_steps, 1)
        self._block_steps = block_steps
        self._layers = [LayerSimulation(layer) for layer in self.plan.layers]

    def run(self, inputs):
        """Return results and spikes by population, for a raster or a constant input."""
        constant = isinstance(inputs, ConstantInput)
        images, total = (inputs.images, inputs.steps) if constant else inputs.shape[:2]
        packed = {}
        if not constant:
            bits = np.packbits(inputs.transpose(1, 0, 2), axis=-1, bitorder="little")
            packed[INPUT] = bits
        spikes = {
            each.name: np.zeros((total, images, each.population.size), bool)
            for layer in self.plan.layers
            for each in layer.populations
        }
        for first in range(0, total, self._block_steps):
            block = Block(first, min(self._block_steps, total - first), total, images, 1)
            carried = {name: all_steps[block.span] for name, all_steps in packed.items()}
            for layer, simulation in zip(self.plan.layers, self._layers, strict=True):
                if block.is_first:
                    simulation.begin(block, inputs.values if layer.takes_values else None)
                received = {name: carried[name] for name in layer.received.sizes}
                carried = received | simulation.simulate(block, received)
                for each in layer.populations:
                    size = each.population.size
                    spikes[each.name][block.span] = np.unpackbits(
                        carried[each.name], axis=-1, count=size, bitorder="little"
                    )
        results = np.zeros((images, self.plan.layers[-1].columns), np.int32)
        for simulation in self._layers:
            simulation.write_results(results)
        return results, {name: each.transpose(1, 0, 2) for name, each in spikes.items()}
