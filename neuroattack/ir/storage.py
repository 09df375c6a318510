"""Networks as HDF5 files; a round trip is the identity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import h5py

from neuroattack.encoding.encoders import ENCODERS
from neuroattack.errors import FileError, UnknownNameError
from neuroattack.hdf5 import (
    create_hdf5,
    open_hdf5,
    read_array,
    read_attribute,
    read_attributes,
    read_group,
    write_attributes,
)
from neuroattack.ir.network import FixedPopulation, Input, Network, Population, Projection

__all__ = ["KIND", "SCHEMA", "load_network", "save_network"]

KIND = "network"
SCHEMA = 1

_MAX_PARTS = 10_000

# What is stored of a population of either precision: numbers, and arrays by their type.
_POPULATIONS: dict[str, tuple[type[Any], dict[str, Any], dict[str, str]]] = {
    "floating": (
        Population,
        {"name": str, "size": int, "tau_m_s": float, "reset_v": float, "refractory_steps": int},
        {"threshold_v": "f", "bias_v": "f"},
    ),
    "fixed": (
        FixedPopulation,
        {
            "name": str,
            "size": int,
            "leak": int,
            "refractory_steps": int,
            "lowest": int,
            "highest": int,
        },
        {"threshold": "i", "bias": "i"},
    ),
}
_PROJECTION = {"source": str, "target": str, "exponent": int, "delay_steps": int}

# Files from before there were narrower states do not have these.
_OPTIONAL = ("lowest", "highest")


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write a network, atomically.

    Raises
    ------
    OutputError
        If it cannot be written; what stood at `path` is unharmed.
    """
    _, numbers, arrays = _POPULATIONS[network.precision]
    with create_hdf5(path, KIND, SCHEMA) as file:
        write_attributes(file, network, ("dt_s", "readout", "precision"))
        file.attrs["input_shape"] = network.input.shape
        file.attrs["encoder"] = network.input.encoder.kind
        file.attrs["max_rate_hz"] = network.input.encoder.max_rate_hz
        file.create_group("origin").attrs.update(network.origin)
        populations = file.create_group("populations")
        for place, population in enumerate(network.populations):
            group = populations.create_group(str(place))
            write_attributes(group, population, numbers)
            for name in arrays:
                group[name] = getattr(population, name)
        projections = file.create_group("projections")
        for place, projection in enumerate(network.projections):
            group = projections.create_group(str(place))
            write_attributes(group, projection, _PROJECTION)
            group.create_dataset(
                "mantissas", data=projection.mantissas, compression="gzip", shuffle=True
            )


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read and validate a network; nothing in the file is executed.

    Raises
    ------
    FileError
        Naming the file, and what in it was expected: if it is missing, too large, damaged, of
        another kind or schema, or holds values outside what a network allows.
    """
    with open_hdf5(path, KIND, SCHEMA) as file:
        encoder = read_attribute(file, "encoder", str)
        if encoder not in ENCODERS:
            raise UnknownNameError("encoder", encoder, ENCODERS)
        # Files from before there was fixed point have no precision.
        stated = read_attributes(file, {"precision": str}, optional=("precision",))
        precision = stated.get("precision", "floating")
        if precision not in _POPULATIONS:
            raise UnknownNameError("precision", precision, _POPULATIONS)
        shape = file.attrs.get("input_shape")
        if getattr(shape, "ndim", 0) != 1 or shape.dtype.kind not in "iu":
            raise FileError(path, "attribute input_shape is not a list of whole numbers")
        population, numbers, arrays = _POPULATIONS[precision]
        return Network(
            dt_s=read_attribute(file, "dt_s", float),
            input=Input(
                tuple(int(side) for side in shape),
                ENCODERS[encoder](read_attribute(file, "max_rate_hz", float)),
            ),
            populations=tuple(
                population(
                    **read_attributes(group, numbers, _OPTIONAL),
                    **{name: read_array(group, name, of, 1) for name, of in arrays.items()},
                )
                for group in _numbered(file, "populations")
            ),
            projections=tuple(
                Projection(
                    **read_attributes(group, _PROJECTION),
                    mantissas=read_array(group, "mantissas", "iu", 2),
                )
                for group in _numbered(file, "projections")
            ),
            readout=read_attribute(file, "readout", str),
            origin={str(k): str(v) for k, v in read_group(file, "origin").attrs.items()},
        )


def _numbered(file: h5py.File, name: str) -> Iterator[h5py.Group]:
    parent = read_group(file, name)
    if len(parent) > _MAX_PARTS:
        raise FileError(file.filename, f"has {len(parent)} {name}, expected at most {_MAX_PARTS}")
    return (read_group(parent, str(place)) for place in range(len(parent)))
