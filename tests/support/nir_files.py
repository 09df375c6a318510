"""NIR files written with the package nir, and settings to import them."""

import itertools

import numpy as np

ASKED = {
    "dt_s": 1e-3,
    "time_unit_s": 1.0,
    "integration": "euler",
    "arrival": "next-step",
    "reset": "value",
    "comparison": "strict",
    "refractory_steps": 0,
    "encoder": "poisson",
    "max_rate_hz": 100.0,
}


def write(path, nodes, edges):
    """Write a graph without NIR's own checks."""
    import nir

    nir.write(path, nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    return path


def chain(path, *between, pixels=(2,), classes=1):
    """Write a file with a chain of nodes ``n0``, ``n1``, ... from input to output."""
    import nir

    names = [f"n{place}" for place in range(len(between))]
    nodes = {
        "in": nir.Input({"input": np.array(pixels)}),
        **dict(zip(names, between, strict=True)),
        "out": nir.Output({"output": np.array([classes])}),
    }
    return write(path, nodes, list(itertools.pairwise(["in", *names, "out"])))


def lif(size=1, **changes):
    """Return LIF neurons; fields of one value are the same for all."""
    import nir

    values = {"tau": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.full(size, value) for name, value in values.items()})


def weights(projection):
    """Return the weights of a projection of any kind, shape (sources, targets)."""
    return np.ldexp(projection.sparse().toarray().astype(float), projection.exponent)
