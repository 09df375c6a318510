"""Shapes of the outputs of all nodes of a graph."""

from __future__ import annotations

import math

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.nir.graph import nodes
from neuroattack.ir.nir.graph.graph import Graph
from neuroattack.ir.nir.signals import output_shape, size_of

__all__ = ["shapes_of"]

_MOST_ELEMENTS = 2**24

Shape = tuple[int, ...]


def shapes_of(graph: Graph) -> dict[str, Shape]:
    """Return the shape of the output of every node.

    Shapes follow from any source, beginning with the input; those of several sources are compared
    when the signals are joined.

    Raises
    ------
    ValidationError
        If a node's input does not fit its parameters.
    """
    shapes: dict[str, Shape] = {}
    pending = dict(graph.nodes)
    while pending:
        before = len(shapes)
        for name, node in pending.items():
            known = [shapes[source] for source in graph.sources[name] if source in shapes]
            if isinstance(node, nodes.Input):
                shapes[name] = node.shape
            elif known and isinstance(node, nodes.PopulationNode):
                shapes[name] = _of_population(node, known[0])
            elif known:
                shapes[name] = output_shape(node, known[0])
            if math.prod(shapes.get(name, ())) > _MOST_ELEMENTS:
                raise UnsupportedFeatureError(
                    f"{node.words} output: got shape {shapes[name]}, expected at most "
                    f"{_MOST_ELEMENTS:,} elements"
                )
        if len(shapes) == before:
            name = next(iter(pending))
            raise ValidationError(f"{pending[name].words} input", "no path from the input", "one")
        pending = {name: node for name, node in pending.items() if name not in shapes}
    return shapes


def _of_population(node: nodes.PopulationNode, given: Shape) -> Shape:
    if isinstance(node, nodes.Neurons):
        arrays = (node.r, node.tau, node.tau_syn, node.v_threshold, node.v_leak, node.v_reset)
        parameters = max((array.shape for array in arrays), key=math.prod)
    else:
        parameters = node.threshold.shape
    size = math.prod(given)
    if math.prod(parameters) not in (1, size):
        raise ValidationError(
            f"{node.words} parameters", size_of(parameters), f"{size} neurons, as in its input"
        )
    # In files of some frameworks only the neurons have the full shape.
    full = math.prod(parameters) == size and len(parameters) > 1
    return parameters if full else given
