"""Encoders by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.encoding.encoders import (
    DirectEncoder,
    Encoder,
    PoissonEncoder,
    RegularEncoder,
)
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import UnknownNameError, ValidationError

__all__ = ["ENCODERS", "encoder_from"]

ENCODERS: dict[str, type[Encoder]] = {
    encoder.kind: encoder
    for encoder in (PoissonEncoder, RegularEncoder, DirectEncoder, EventEncoder)
}
"""Encoders by kind."""


def encoder_from(kind: str, settings: Mapping[str, Any]) -> Encoder:
    """Return the encoder of a kind with settings as returned by :meth:`Encoder.settings`.

    Settings that the encoder has a default for may be omitted.

    Raises
    ------
    UnknownNameError
        If the kind or a setting is unknown.
    ValidationError
        If a setting is missing or invalid.
    """
    if kind not in ENCODERS:
        raise UnknownNameError("encoder", kind, ENCODERS)
    encoder = ENCODERS[kind]
    for name in settings:
        if name not in encoder.fields:
            raise UnknownNameError(f"setting of the {kind} encoder", name, encoder.fields)
    for name in encoder.fields:
        if name not in settings and not hasattr(encoder, name):
            raise ValidationError(f"{kind} encoder", f"no {name}", f"a value of {name}")
    return encoder(**settings)
