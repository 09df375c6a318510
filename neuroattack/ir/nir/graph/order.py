"""Order in which the nodes of a graph can be evaluated, recurrent graphs included."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.nir.graph.nodes import Delay, Input, Node, PopulationNode

__all__ = ["evaluation_order", "sources_of_populations"]

Sources = Mapping[str, tuple[str, ...]]


def sources_of_populations(
    nodes: Mapping[str, Node], sources: Sources
) -> dict[str, frozenset[str]]:
    """Return the populations and inputs from which spikes reach each population.

    Raises UnsupportedFeatureError if a cycle contains no population.
    """
    ends = {name for name, node in nodes.items() if isinstance(node, PopulationNode | Input)}
    linear = _linear_order({name: sources[name] for name in nodes if name not in ends}, ends)
    upstream: dict[str, frozenset[str]] = {name: frozenset([name]) for name in ends}
    for name in linear:
        upstream[name] = frozenset().union(*(upstream[source] for source in sources[name]))
    return {
        name: frozenset().union(*(upstream[source] for source in sources[name]))
        for name, node in nodes.items()
        if isinstance(node, PopulationNode)
    }


def evaluation_order(
    nodes: Mapping[str, Node], sources: Sources, incoming: Mapping[str, frozenset[str]]
) -> list[str]:
    """Return the names of all nodes, each after its sources.

    In recurrent graphs this is impossible for some populations: in each cycle of populations, the
    one that is the fewest populations away from the input comes first, and the spikes that it
    receives from later populations are feedback. Where a cycle has delays, these are the feedback.
    `incoming` is the result of :func:`sources_of_populations`.
    """
    inputs = [name for name, node in nodes.items() if isinstance(node, Input)]
    ends = {*incoming, *inputs}
    linear = [name for name in nodes if name not in ends]
    order = list(inputs)
    placed = set(inputs)
    # Without delays, spikes reach fewer populations.
    direct = sources_of_populations(nodes, {**sources, **_without_delays(nodes)})
    for name in [*_population_order(incoming, direct, inputs), *linear]:
        for each in [*_linear_sources(name, sources, ends), name]:
            if each not in placed:
                order.append(each)
                placed.add(each)
    return order


def _linear_order(sources: Sources, ends: set[str]) -> list[str]:
    inner = {name: [s for s in given if s not in ends] for name, given in sources.items()}
    try:
        return list(TopologicalSorter(inner).static_order())
    except CycleError as error:
        raise UnsupportedFeatureError(
            f"the graph has a cycle without neurons ({_circle(error)}), expected neurons, which "
            "delay the feedback by a step, in each cycle"
        ) from error


def _circle(error: CycleError) -> str:
    return " -> ".join(repr(name) for name in error.args[1])


def _linear_sources(name: str, sources: Sources, ends: set[str]) -> list[str]:
    """Return the linear nodes between the populations or inputs and a node, sources first."""
    found: dict[str, None] = {}
    stack = [name]
    while stack:
        pending = [s for s in sources[stack[-1]] if s not in ends and s not in found]
        if pending:
            stack.extend(pending)
        else:
            found[stack.pop()] = None
    del found[name]
    return list(found)


def _without_delays(nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """Return no sources for all delay nodes that delay every element."""
    return {
        name: () for name, node in nodes.items() if isinstance(node, Delay) and node.delay.all()
    }


def _population_order(
    incoming: Mapping[str, frozenset[str]],
    direct: Mapping[str, frozenset[str]],
    inputs: Iterable[str],
) -> list[str]:
    distance = _distances(incoming, inputs)
    place = {name: number for number, name in enumerate(incoming)}
    kept = {name: {s for s in given if s in incoming} - {name} for name, given in incoming.items()}
    while True:
        ordered = {name: sorted(given, key=place.__getitem__) for name, given in kept.items()}
        try:
            return list(TopologicalSorter(ordered).static_order())
        except CycleError as error:
            # Each node of the cycle is a source of the next one; the last one is the first.
            pairs = list(itertools.pairwise(error.args[1]))
            delayed = [pair for pair in pairs if pair[0] not in direct[pair[1]]]
            source, target = min(
                delayed or pairs, key=lambda pair: (distance[pair[1]], place[pair[1]])
            )
            kept[target].remove(source)


def _distances(incoming: Mapping[str, frozenset[str]], inputs: Iterable[str]) -> dict[str, float]:
    """Return the number of populations from the input to each population, itself included."""
    distance: dict[str, float] = dict.fromkeys(incoming, math.inf)
    reached = set(inputs)
    steps = 0
    while reached:
        steps += 1
        reached = {
            name
            for name, given in incoming.items()
            if math.isinf(distance[name]) and not given.isdisjoint(reached)
        }
        distance.update(dict.fromkeys(reached, float(steps)))
    return distance
