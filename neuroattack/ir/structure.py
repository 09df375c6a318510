"""Order of simulation of a network: recurrent groups, and time shifts of populations."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from graphlib import TopologicalSorter

import numpy as np

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import INPUT, Network

__all__ = ["is_recurrent", "lags", "recurrent_groups"]


def recurrent_groups(network: Network) -> tuple[tuple[str, ...], ...]:
    """Return the populations in groups that can be simulated one after the other.

    A group is a strongly connected component: one population, or several that form loops. Each
    group only receives spikes from earlier groups and from itself. Populations of a group are in
    the order of the network.
    """
    names = [population.name for population in network.populations]
    position = {name: index for index, name in enumerate(names)}
    edges = [
        (position[p.source], position[p.target]) for p in network.projections if p.source != INPUT
    ]
    if all(source <= target for source, target in edges):
        return tuple((name,) for name in names)

    # Imported here, because it takes a tenth of a second and most networks are feed-forward.
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    sources, targets = np.array(edges, np.intp).reshape(-1, 2).T
    graph = sp.csr_matrix((np.ones(len(edges)), (sources, targets)), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=True, connection="strong")
    members = [
        tuple(name for name in names if component[position[name]] == group)
        for group in range(component.max() + 1)
    ]
    needed: dict[int, set[int]] = {group: set() for group in range(len(members))}
    for source, target in edges:
        if component[source] != component[target]:
            needed[int(component[target])].add(int(component[source]))
    sorter = TopologicalSorter(needed)
    sorter.prepare()
    # Of the groups that can be next, the first in the order of the network.
    ready: list[tuple[int, int]] = []
    order = []
    while sorter.is_active():
        for group in sorter.get_ready():
            heapq.heappush(ready, (position[members[group][0]], group))
        _, group = heapq.heappop(ready)
        sorter.done(group)
        order.append(members[group])
    return tuple(order)


def is_recurrent(network: Network, group: tuple[str, ...]) -> bool:
    """Return whether a group of :func:`recurrent_groups` has loops."""
    return len(group) > 1 or any(p.source == group[0] for p in network.incoming(group[0]))


def lags(network: Network, slow: Collection[str] = ()) -> dict[str, int]:
    """Return the smallest time shifts with which every spike takes at least one step.

    If the population P is simulated ``lags[P]`` steps late, a projection has a delay of
    ``delay_steps + lags[target] - lags[source]``, which is at least 1. Simulators that cannot
    deliver a spike in the step in which it is emitted can thus simulate the same dynamics.

    Parameters
    ----------
    network : Network
        Network to simulate.
    slow : collection of str, optional
        Populations to which spikes of other populations take at least two steps.

    Returns
    -------
    dict of str to int
        Shift of every population in time steps, and 0 for the input.

    Raises
    ------
    UnsupportedFeatureError
        If a loop of n projections has a total delay below n steps, or more if some are slow: then
        there are no such shifts.
    """
    shifts = {INPUT: 0, **{population.name: 0 for population in network.populations}}
    # Longest paths (Bellman-Ford): without such loops, they have fewer edges than there are nodes.
    for _ in range(len(shifts)):
        changed = ""
        for projection in network.projections:
            steps = 2 if projection.target in slow and projection.source != INPUT else 1
            least = shifts[projection.source] + steps - projection.delay_steps
            if least > shifts[projection.target]:
                shifts[projection.target] = least
                changed = projection.label
        if not changed:
            return shifts
    raise UnsupportedFeatureError(
        f"{changed} is part of a loop with a total delay below one step per projection"
    )
