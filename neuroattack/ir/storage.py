"""Lossless storage of networks in HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py

from neuroattack.encoding.registry import ENCODERS, encoder_from
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
from neuroattack.ir.network import (
    AnyProjection,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)

__all__ = ["KIND", "SCHEMA", "load_network", "save_network"]

KIND = "network"

SCHEMA = 2
"""Schema of the files written. Schema 1 had all-to-all projections of LIF neurons only."""

_OLDEST_SCHEMA = 1
_MAX_PARTS = 10_000

# Stored fields of populations by precision: attributes, and numbers per neuron with their kind of
# type. In schema 1, numbers that all neurons have in common are attributes, too.
_POPULATIONS: dict[str, tuple[type[Any], dict[str, type[Any]], dict[str, str]]] = {
    "floating": (
        Population,
        {"name": str, "size": int, "reset": str, "comparison": str, "input_after_update": int},
        {
            "tau_m_s": "f",
            "threshold_v": "f",
            "bias_v": "f",
            "reset_v": "f",
            "refractory_steps": "iu",
            "tau_syn_s": "f",
            "current_bias_v": "f",
        },
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
            "current_leak": int,
        },
        {"threshold": "i", "bias": "i"},
    ),
}
# Missing in files of schema 1; those written before narrow states lack the last two.
_NEWER = ("reset", "comparison", "input_after_update", "current_leak", "lowest", "highest")
_NEWER_PER_NEURON = ("tau_syn_s", "current_bias_v")

_ENDS = {"source": str, "target": str, "exponent": int, "delay_steps": int}
_GEOMETRY = {"source_shape": 3, "stride": 2, "padding": 4, "dilation": 2}


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write a network to an HDF5 file, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file at `path` is then unchanged.
    """
    _, attributes, per_neuron = _POPULATIONS[network.precision]
    with create_hdf5(path, KIND, SCHEMA) as file:
        write_attributes(file, network, ("dt_s", "readout", "readout_quantity", "precision"))
        file.attrs["input_shape"] = network.input.shape
        file.attrs["encoder"] = network.input.encoder.kind
        file.attrs.update(network.input.encoder.settings())
        file.create_group("origin").attrs.update(network.origin)
        populations = file.create_group("populations")
        for index, population in enumerate(network.populations):
            group = populations.create_group(str(index))
            write_attributes(group, population, attributes)
            if "input_after_update" in group.attrs:
                group.attrs["input_after_update"] = int(group.attrs["input_after_update"])
            for name in per_neuron:
                _write(group, name, getattr(population, name))
        projections = file.create_group("projections")
        for index, projection in enumerate(network.projections):
            _write_projection(projections.create_group(str(index)), projection)


def _write(group: h5py.Group, name: str, values: Any) -> None:
    group.create_dataset(name, data=values, compression="gzip", shuffle=True)


def _write_projection(group: h5py.Group, projection: AnyProjection) -> None:
    write_attributes(group, projection, _ENDS)
    if isinstance(projection, Projection):
        _write(group, "mantissas", projection.mantissas)
        return
    _write(group, "kernel", projection.kernel)
    write_attributes(group, projection, ("source_shape", "stride", "dilation", "groups"))
    group.attrs["padding"] = [side for around in projection.padding for side in around]


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read and validate a network; nothing in the file is executed.

    Raises
    ------
    FileError
        If the file is missing, too large, damaged, of another kind or schema, or contains values
        that are invalid in a network; the message names the file and the expected content.
    """
    with open_hdf5(path, KIND, SCHEMA, oldest_schema=_OLDEST_SCHEMA) as file:
        encoder = read_attribute(file, "encoder", str)
        if encoder not in ENCODERS:
            raise UnknownNameError("encoder", encoder, ENCODERS)
        # Files written before fixed point was supported have no precision.
        newer = {"precision": str, "readout_quantity": str}
        stated = {"precision": "floating", "readout_quantity": "spike_count"}
        stated.update(read_attributes(file, newer, optional=newer))
        if stated["precision"] not in _POPULATIONS:
            raise UnknownNameError("precision", stated["precision"], _POPULATIONS)
        return Network(
            dt_s=read_attribute(file, "dt_s", float),
            input=Input(
                _integers(file, "input_shape"),
                encoder_from(encoder, read_attributes(file, ENCODERS[encoder].fields)),
            ),
            populations=tuple(
                _read_population(group, *_POPULATIONS[stated["precision"]])
                for group in _numbered(file, "populations")
            ),
            projections=tuple(_read_projection(each) for each in _numbered(file, "projections")),
            readout=read_attribute(file, "readout", str),
            readout_quantity=stated["readout_quantity"],  # type: ignore[arg-type]  # it checks
            origin={str(k): str(v) for k, v in read_group(file, "origin").attrs.items()},
        )


def _read_population(
    group: h5py.Group,
    population: type[Any],
    attributes: Mapping[str, type[Any]],
    per_neuron: Mapping[str, str],
) -> Any:
    fields = read_attributes(group, attributes, _NEWER)
    if "input_after_update" in fields:
        fields["input_after_update"] = bool(fields["input_after_update"])
    for name, kinds in per_neuron.items():
        if name in group.attrs:
            fields[name] = read_attribute(group, name, float if kinds == "f" else int)
        elif name in group or name not in _NEWER_PER_NEURON:
            fields[name] = read_array(group, name, kinds, 1)
    return population(**fields)


def _read_projection(group: h5py.Group) -> AnyProjection:
    ends = read_attributes(group, _ENDS)
    if "kernel" not in group:
        return Projection(**ends, mantissas=read_array(group, "mantissas", "iu", 2))
    geometry = {name: _integers(group, name, count) for name, count in _GEOMETRY.items()}
    top, bottom, left, right = geometry.pop("padding")
    return Convolution(
        **ends,
        kernel=read_array(group, "kernel", "iu", 4),
        **geometry,  # type: ignore[arg-type]  # of the right length
        padding=((top, bottom), (left, right)),
        groups=read_attribute(group, "groups", int),
    )


def _integers(group: h5py.Group, name: str, count: int | None = None) -> tuple[int, ...]:
    values = group.attrs.get(name)
    if getattr(values, "ndim", 0) != 1 or values.dtype.kind not in "iu":
        raise FileError(group.file.filename, f"attribute {name} is not a list of integers")
    if count is not None and len(values) != count:
        raise FileError(
            group.file.filename, f"attribute {name} has {len(values)} numbers, expected {count}"
        )
    return tuple(int(value) for value in values)


def _numbered(file: h5py.File, name: str) -> Iterator[h5py.Group]:
    parent = read_group(file, name)
    if len(parent) > _MAX_PARTS:
        raise FileError(file.filename, f"has {len(parent)} {name}, expected at most {_MAX_PARTS}")
    return (read_group(parent, str(index)) for index in range(len(parent)))
