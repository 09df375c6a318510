"""Networks in the memory of a chip, as cells of an experiment load them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.faults.memory import Memory
from neuroattack.hardware.faults.storing import check_parameters, store_floating, store_quantized
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network

__all__ = ["FLOATING", "Storage", "load_memory"]

FLOATING = ("float32", "float64")
"""Names of storage in floating point, without a hardware profile."""


@dataclass(frozen=True)
class Storage:
    """How a network is stored.

    Parameters
    ----------
    chip : Profile or {"float32", "float64"}
        Hardware profile, or floating point.
    rounding : Rounding, optional
        Settings of the quantization.
    parameters : sequence of str, optional
        Parameters that are stored in words. In floating point, only weights.
    protection : str, optional
        Protection of the weights.
    """

    chip: Profile | str
    rounding: Rounding = field(default_factory=Rounding)
    parameters: Sequence[str] = ("weights",)
    protection: str = "none"

    @property
    def name(self) -> str:
        """Name of the profile or of the floating-point format."""
        return self.chip if isinstance(self.chip, str) else self.chip.id

    def store(self, network: Network) -> Memory:
        """Return the memory with a network.

        Raises
        ------
        UnsupportedFeatureError, DoesNotFitError
            If the chip does not support the network, or the profile does not define its words.
        UnknownNameError, ValidationError
            If a parameter or the protection is unknown.
        """
        if isinstance(self.chip, str):
            check_parameters(self.parameters)
            if tuple(self.parameters) != ("weights",):
                raise UnsupportedFeatureError(
                    f"parameters: got {', '.join(self.parameters)}, expected weights, the only "
                    "ones that are stored in floating point"
                )
            return store_floating(
                network,
                self.chip,  # type: ignore[arg-type]  # one of FLOATING
                protection=self.protection,
            )
        fitted = fit(network, self.chip, self.rounding)
        return store_quantized(
            fitted.quantized,
            network,
            self.chip.number_format(),
            parameters=self.parameters,  # type: ignore[arg-type]  # checked there
            protection=self.protection,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {
            "chip": self.chip if isinstance(self.chip, str) else self.chip.as_json(),
            "rounding": asdict(self.rounding),
            "parameters": list(self.parameters),
            "protection": self.protection,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Storage:
        """Return the settings from JSON values."""
        chip = values["chip"]
        return cls(
            chip=chip if isinstance(chip, str) else Profile.from_json(chip),
            rounding=Rounding(**values["rounding"]),
            parameters=tuple(values["parameters"]),
            protection=values["protection"],
        )


def load_memory(path: Path, storage: Mapping[str, Any]) -> Memory:
    """Return the memory with the network of a file; recent ones are kept in the process."""
    return _stored(path, json.dumps(storage, sort_keys=True))


@functools.lru_cache(maxsize=2)
def _stored(path: Path, storage: str) -> Memory:
    return Storage.from_json(json.loads(storage)).store(load_network(path))
