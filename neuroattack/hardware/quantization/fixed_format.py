"""The numbers that ``--precision fixed`` rounds to: those of Loihi 1, as its profile gives them."""

from __future__ import annotations

import functools

from neuroattack.hardware.quantization.number_format import NumberFormat

__all__ = ["fixed_format"]


@functools.cache
def fixed_format() -> NumberFormat:
    """Return the format."""
    # Reading a profile takes pydantic, whose import takes longer than a short command.
    from neuroattack.hardware.profiles.files import load_profile

    return load_profile("loihi1").number_format()
