"""Networks as HDF5 files; a round trip is the identity."""

from __future__ import annotations

import os

import h5py

from neuroattack.encoding.encoders import ENCODERS
from neuroattack.errors import FileError, NeuroattackError, UnknownNameError
from neuroattack.hdf5 import (
    create_hdf5,
    open_hdf5,
    read_array,
    read_attribute,
    read_group,
)
from neuroattack.ir.network import FixedPopulation, Input, Network, Population, Projection

__all__ = ["KIND", "SCHEMA", "load_network", "save_network"]

KIND = "network"
SCHEMA = 1

_MAX_PARTS = 10_000

_NUMBERS = ("name", "size", "tau_m_s", "reset_v", "refractory_steps")
_ARRAYS = ("threshold_v", "bias_v")
_FIXED_NUMBERS = ("name", "size", "leak", "refractory_steps", "lowest", "highest")
_FIXED_ARRAYS = ("threshold", "bias")


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write a network, atomically.

    Raises
    ------
    OutputError
        If it cannot be written; what stood at `path` is unharmed.
    """
    with create_hdf5(path, KIND, SCHEMA) as file:
        file.attrs["dt_s"] = network.dt_s
        file.attrs["readout"] = network.readout
        file.attrs["precision"] = network.precision
        file.attrs["input_shape"] = network.input.shape
        file.attrs["encoder"] = network.input.encoder.kind
        file.attrs["max_rate_hz"] = network.input.encoder.max_rate_hz
        file.create_group("origin").attrs.update(network.origin)
        populations = file.create_group("populations")
        for place, population in enumerate(network.populations):
            group = populations.create_group(str(place))
            fixed = isinstance(population, FixedPopulation)
            for name in _FIXED_NUMBERS if fixed else _NUMBERS:
                group.attrs[name] = getattr(population, name)
            for name in _FIXED_ARRAYS if fixed else _ARRAYS:
                group[name] = getattr(population, name)
        projections = file.create_group("projections")
        for place, projection in enumerate(network.projections):
            group = projections.create_group(str(place))
            for name in ("source", "target", "exponent", "delay_steps"):
                group.attrs[name] = getattr(projection, name)
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
        try:
            return _read(file)
        except FileError:
            raise
        except NeuroattackError as error:
            raise FileError(path, str(error)) from error


def _read(file: h5py.File) -> Network:
    encoder = read_attribute(file, "encoder", str)
    if encoder not in ENCODERS:
        raise UnknownNameError("encoder", encoder, ENCODERS)
    shape = file.attrs.get("input_shape")
    if getattr(shape, "ndim", 0) != 1 or shape.dtype.kind not in "iu":
        raise FileError(file.filename, "attribute input_shape is not a list of whole numbers")
    return Network(
        dt_s=read_attribute(file, "dt_s", float),
        input=Input(
            tuple(int(side) for side in shape),
            ENCODERS[encoder](read_attribute(file, "max_rate_hz", float)),
        ),
        populations=_read_populations(file),
        projections=tuple(
            Projection(
                source=read_attribute(group, "source", str),
                target=read_attribute(group, "target", str),
                mantissas=read_array(group, "mantissas", "iu", 2),
                exponent=read_attribute(group, "exponent", int),
                delay_steps=read_attribute(group, "delay_steps", int),
            )
            for group in _numbered(file, "projections")
        ),
        readout=read_attribute(file, "readout", str),
        origin={str(key): str(value) for key, value in read_group(file, "origin").attrs.items()},
    )


def _read_populations(file: h5py.File) -> tuple[Population, ...] | tuple[FixedPopulation, ...]:
    # Files from before there was fixed point do not say.
    precision = "floating"
    if "precision" in file.attrs:
        precision = read_attribute(file, "precision", str)
    groups = _numbered(file, "populations")
    if precision == "fixed":
        return tuple(
            FixedPopulation(
                name=read_attribute(group, "name", str),
                size=read_attribute(group, "size", int),
                leak=read_attribute(group, "leak", int),
                threshold=read_array(group, "threshold", "i", 1),
                bias=read_array(group, "bias", "i", 1),
                refractory_steps=read_attribute(group, "refractory_steps", int),
                **_limits(group),
            )
            for group in groups
        )
    if precision != "floating":
        raise UnknownNameError("precision", precision, ["fixed", "floating"])
    return tuple(
        Population(
            name=read_attribute(group, "name", str),
            size=read_attribute(group, "size", int),
            tau_m_s=read_attribute(group, "tau_m_s", float),
            threshold_v=read_array(group, "threshold_v", "f", 1),
            bias_v=read_array(group, "bias_v", "f", 1),
            reset_v=read_attribute(group, "reset_v", float),
            refractory_steps=read_attribute(group, "refractory_steps", int),
        )
        for group in groups
    )


def _limits(group: h5py.Group) -> dict[str, int]:
    # Files from before there were narrower states do not say.
    return {
        name: read_attribute(group, name, int)
        for name in ("lowest", "highest")
        if name in group.attrs
    }


def _numbered(file: h5py.File, name: str) -> list[h5py.Group]:
    parent = read_group(file, name)
    if len(parent) > _MAX_PARTS:
        raise FileError(file.filename, f"has {len(parent)} {name}, expected at most {_MAX_PARTS}")
    return [read_group(parent, str(place)) for place in range(len(parent))]
