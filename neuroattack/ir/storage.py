"""Lossless storage of networks in HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import h5py

from neuroattack.encoding.encoders import ENCODERS, encoder_from
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

# Stored fields of populations by precision: scalars, and arrays with their kind of type.
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

# Files written before states could be narrower than 24 bits do not have these fields.
_OPTIONAL = ("lowest", "highest")


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write a network to an HDF5 file, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file at `path` is then unchanged.
    """
    _, numbers, arrays = _POPULATIONS[network.precision]
    with create_hdf5(path, KIND, SCHEMA) as file:
        write_attributes(file, network, ("dt_s", "readout", "precision"))
        file.attrs["input_shape"] = network.input.shape
        file.attrs["encoder"] = network.input.encoder.kind
        file.attrs.update(network.input.encoder.settings())
        file.create_group("origin").attrs.update(network.origin)
        populations = file.create_group("populations")
        for index, population in enumerate(network.populations):
            group = populations.create_group(str(index))
            write_attributes(group, population, numbers)
            for name in arrays:
                group[name] = getattr(population, name)
        projections = file.create_group("projections")
        for index, projection in enumerate(network.projections):
            group = projections.create_group(str(index))
            write_attributes(group, projection, _PROJECTION)
            group.create_dataset(
                "mantissas", data=projection.mantissas, compression="gzip", shuffle=True
            )


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read and validate a network; nothing in the file is executed.

    Raises
    ------
    FileError
        If the file is missing, too large, damaged, of another kind or schema, or contains values
        that are invalid in a network; the message names the file and the expected content.
    """
    with open_hdf5(path, KIND, SCHEMA) as file:
        encoder = read_attribute(file, "encoder", str)
        if encoder not in ENCODERS:
            raise UnknownNameError("encoder", encoder, ENCODERS)
        # Files written before fixed point was supported have no precision.
        stated = read_attributes(file, {"precision": str}, optional=("precision",))
        precision = stated.get("precision", "floating")
        if precision not in _POPULATIONS:
            raise UnknownNameError("precision", precision, _POPULATIONS)
        shape = file.attrs.get("input_shape")
        if getattr(shape, "ndim", 0) != 1 or shape.dtype.kind not in "iu":
            raise FileError(path, "attribute input_shape is not a list of integers")
        population, numbers, arrays = _POPULATIONS[precision]
        return Network(
            dt_s=read_attribute(file, "dt_s", float),
            input=Input(
                tuple(int(side) for side in shape),
                encoder_from(encoder, read_attributes(file, ENCODERS[encoder].fields)),
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
    return (read_group(parent, str(index)) for index in range(len(parent)))
