"""NIR files as graphs of validated nodes in topological order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import (
    FileError,
    NeuroattackError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.ir.nir.file import read_arrays
from neuroattack.ir.nir.nodes import Input, Neurons, Node, Output, read_node

__all__ = ["Graph", "read_graph"]

_VERSIONS = "1."


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by name, in topological order.

    `sources` are the names of each node's predecessors, `metadata` the metadata of the graph, and
    `version` is the version of NIR.
    """

    nodes: Mapping[str, Node]
    sources: Mapping[str, tuple[str, ...]]
    metadata: Mapping[str, NDArray[Any]]
    version: str

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


def _graph(arrays: Mapping[str, NDArray[Any]]) -> Graph:
    version = _text(arrays, "version")
    if not version.startswith(_VERSIONS):
        raise ValidationError("NIR version", repr(version), f"{_VERSIONS}x")
    if _text(arrays, "node/type") != "NIRGraph":
        raise ValidationError("root node type", repr(_text(arrays, "node/type")), "'NIRGraph'")
    fields = _by_node(arrays, "node/nodes/")
    nodes = {name: read_node(name, of_node) for name, of_node in fields.items()}
    sources = _sources(arrays.get("node/edges"), nodes)
    return Graph(
        {name: nodes[name] for name in _order(sources)},
        sources,
        {
            key.removeprefix("node/metadata/"): value
            for key, value in arrays.items()
            if key.startswith("node/metadata/")
        },
        version,
    )


def _text(arrays: Mapping[str, NDArray[Any]], key: str) -> str:
    value = arrays.get(key)
    if value is None or value.dtype.kind != "U" or value.shape != ():
        raise ValidationError(key, "nothing", "text (the file is HDF5, but not a NIR graph)")
    return str(value)


def _by_node(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, dict[str, NDArray[Any]]]:
    fields: dict[str, dict[str, NDArray[Any]]] = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            name, _, field = key.removeprefix(prefix).partition("/")
            fields.setdefault(name, {})[field] = value
    return fields


def _sources(edges: NDArray[Any] | None, nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    if edges is None or edges.dtype.kind != "U" or edges.ndim != 2 or edges.shape[1] != 2:
        shape = "nothing" if edges is None else f"{edges.dtype} of shape {edges.shape}"
        raise ValidationError("graph edges", shape, "pairs of node names")
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for start, end in np.unique(edges, axis=0).tolist():
        for name in (start, end):
            if name not in nodes:
                raise ValidationError(
                    f"edge {start!r} -> {end!r}", f"an unknown node {name!r}", "nodes of the graph"
                )
        sources[end].append(start)
    for name, node in nodes.items():
        if isinstance(node, Input) and sources[name]:
            raise ValidationError(f"input node {name!r}", "an edge into it", "none")
        if not isinstance(node, Input) and not sources[name]:
            raise ValidationError(node.words, "no edge into it", "at least one")
    leading = {source for given in sources.values() for source in given}
    for name, node in nodes.items():
        if isinstance(node, Output) and name in leading:
            raise ValidationError(f"output node {name!r}", "an edge out of it", "none")
        # Neurons without successors are allowed: they are not read out.
        if not isinstance(node, Output | Neurons) and name not in leading:
            raise ValidationError(node.words, "no edge out of it", "at least one")
    return {name: tuple(given) for name, given in sources.items()}


def _order(sources: Mapping[str, tuple[str, ...]]) -> list[str]:
    try:
        return list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        circle = " -> ".join(repr(name) for name in error.args[1])
        raise UnsupportedFeatureError(
            f"the graph is recurrent ({circle}), expected a feed-forward network"
        ) from error
