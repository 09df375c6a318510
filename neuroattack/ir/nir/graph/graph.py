"""NIR files as flat graphs of validated nodes, in an order in which they can be evaluated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from neuroattack.errors import FileError, NeuroattackError, ValidationError
from neuroattack.ir.nir.graph.file import read_arrays
from neuroattack.ir.nir.graph.nodes import Input, Node, Output, PopulationNode, Relay
from neuroattack.ir.nir.graph.order import evaluation_order, sources_of_populations
from neuroattack.ir.nir.graph.parsing import read_node

__all__ = ["Graph", "read_graph"]

_VERSIONS = ("0.", "1.")

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by name, each after its sources, except for the feedback of recurrent graphs.

    Subgraphs are flattened: node ``b`` of the subgraph ``a`` is ``a.b``. Feedback leads from a node
    of neurons to itself or to one that comes earlier; `recurrent` are the names of nodes that
    receive their own spikes. `sources` are the names of each node's predecessors, `metadata` the
    metadata of the graph, `version` is the version of NIR, and `notes` are remarks on the file.
    """

    nodes: Mapping[str, Node]
    sources: Mapping[str, tuple[str, ...]]
    metadata: Arrays
    version: str
    recurrent: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def only(self, kind: type[Node]) -> Node:
        """Return the only node of a kind; raise ValidationError if there are none or several."""
        found = [node for node in self.nodes.values() if isinstance(node, kind)]
        if len(found) != 1:
            raise ValidationError(
                f"graph {kind.__name__} nodes",
                f"{len(found)} ({', '.join(node.name for node in found)})" if found else "none",
                "one",
            )
        return found[0]


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a NIR file; raise FileError, with the file, node and field, if it is invalid."""
    arrays = read_arrays(path)
    try:
        return _graph(arrays)
    except NeuroattackError as error:
        raise FileError(path, str(error)) from error


def _graph(arrays: Arrays) -> Graph:
    if "version" not in arrays and any(key.startswith("layer/") for key in arrays):
        raise ValidationError(
            "format",
            "a network of lava-dl (.net)",
            "a NIR file (lava-dl does not write any: docs/nir.md describes a way)",
        )
    version = _text(arrays, "version")
    if not version.startswith(_VERSIONS):
        raise ValidationError("NIR version", repr(version), " or ".join(f"{v}x" for v in _VERSIONS))
    if _text(arrays, "node/type") != "NIRGraph":
        raise ValidationError("root node type", repr(_text(arrays, "node/type")), "'NIRGraph'")
    flat = _Flat()
    flat.add(_within(arrays, "node/"), "")
    sources = _sources(flat.nodes, flat.edges)
    incoming = sources_of_populations(flat.nodes, sources)
    return Graph(
        {name: flat.nodes[name] for name in evaluation_order(flat.nodes, sources, incoming)},
        sources,
        _within(arrays, "node/metadata/"),
        version,
        frozenset(name for name, given in incoming.items() if name in given),
        tuple(flat.notes),
    )


def _text(arrays: Arrays, key: str) -> str:
    value = arrays.get(key)
    if value is None or value.dtype.kind != "U" or value.shape != ():
        raise ValidationError(key, "nothing", "text (the file is HDF5, but not a NIR graph)")
    return str(value)


def _within(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    return {
        key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)
    }


class _Flat:
    """Nodes and edges of a graph and its subgraphs, by unique names."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def add(self, arrays: Arrays, graph: str) -> tuple[str, str]:
        """Add a graph's nodes; return the names of its input and output node (subgraphs only)."""
        fields: dict[str, dict[str, NDArray[Any]]] = {}
        for key, value in _within(arrays, "nodes/").items():
            local, _, field = key.partition("/")
            fields.setdefault(local, {})[field] = value
        ends = {local: self._add_node(local, fields[local], graph) for local in fields}
        words = f"subgraph {graph!r}" if graph else "graph"
        edges = _edges(arrays.get("edges"), words)
        if graph:
            edges = self._repaired(edges, list(ends), words)
        for start, end in edges:
            for local in (start, end):
                if local not in ends:
                    raise ValidationError(
                        f"{words} edge {start!r} -> {end!r}",
                        f"an unknown node {local!r}",
                        "nodes of the graph",
                    )
            self.edges.append((ends[start][1], ends[end][0]))
        if not graph:
            return "", ""
        found = []
        for kind in ("Input", "Output"):
            # The type was checked by read_node.
            names = [ends[local][0] for local in fields if str(fields[local]["type"]) == kind]
            if len(names) != 1:
                raise ValidationError(f"{words} {kind} nodes", len(names), "one")
            found += names
        return found[0], found[1]

    def _repaired(
        self, edges: list[tuple[str, str]], names: list[str], words: str
    ) -> list[tuple[str, str]]:
        """Return the edges with the only unknown name replaced by the only name without edges.

        In the recurrent networks that were published with the NIR paper, the node of neurons has
        the name of its subgraph, but the subgraph's edges still have the original name.
        """
        used = {name for edge in edges for name in edge}
        unknown, idle = used.difference(names), [name for name in names if name not in used]
        if len(unknown) != 1 or len(idle) != 1:
            return edges
        (wrong,), (right,) = unknown, idle
        self.notes.append(
            f"{words}: the edges of {wrong!r}, which does not exist, are those of {right!r}, the "
            "only node without edges"
        )
        return [(right if a == wrong else a, right if b == wrong else b) for a, b in edges]

    def _add_node(self, local: str, fields: Arrays, graph: str) -> tuple[str, str]:
        """Add a node; return the names of the nodes that edges into it and out of it lead to."""
        name = f"{graph}.{local}" if graph else local
        while name in self.nodes:
            name += "_"
        if "type" in fields and str(fields["type"]) == "NIRGraph":
            return self.add(fields, name)
        node = read_node(name, fields)
        if graph and isinstance(node, Input | Output):
            node = Relay(name)
        self.nodes[name] = node
        return name, name


def _edges(edges: NDArray[Any] | None, words: str) -> list[tuple[str, str]]:
    """Return a graph's edges in the order of the file, each once."""
    if edges is not None and edges.size == 0:
        return []
    if edges is None or edges.dtype.kind != "U" or edges.ndim != 2 or edges.shape[1] != 2:
        shape = "nothing" if edges is None else f"{edges.dtype} of shape {edges.shape}"
        raise ValidationError(f"{words} edges", shape, "pairs of node names")
    return list(dict.fromkeys((start, end) for start, end in edges.tolist()))


def _sources(nodes: Mapping[str, Node], edges: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for start, end in edges:
        sources[end].append(start)
    for name, node in nodes.items():
        if isinstance(node, Input) and sources[name]:
            raise ValidationError(f"input node {name!r}", "an edge into it", "none")
        if not isinstance(node, Input) and not sources[name]:
            raise ValidationError(node.words, "no edge into it", "at least one")
    leading = {start for start, _ in edges}
    for name, node in nodes.items():
        if isinstance(node, Output) and name in leading:
            raise ValidationError(f"output node {name!r}", "an edge out of it", "none")
        # Neurons without successors are allowed: they are not read out.
        if not isinstance(node, Output | PopulationNode) and name not in leading:
            raise ValidationError(node.words, "no edge out of it", "at least one")
    return {name: tuple(given) for name, given in sources.items()}
