"""The chip that a command's options name, and how to round to its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from neuroattack.errors import ValidationError

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.profile import Profile
    from neuroattack.hardware.quantization.quantization import Rounding

Scale = Literal["shared", "per_projection"]
Mode = Literal["nearest", "stochastic"]

__all__ = ["Chip", "chosen_chip", "chosen_profiles", "chosen_rounding"]


class Chip(NamedTuple):
    """A profile and how to round to it; None and None where no chip is named."""

    profile: Profile | None
    rounding: Rounding | None


def chosen_chip(
    name: str | None,
    *,
    allow_lossy: bool,
    weight_scale: Scale,
    weight_rounding: Mode,
    seed: int,
) -> Chip:
    """Return what ``--profile`` and the options beside it ask for."""
    if name is None:
        for option, value, default in (
            ("--allow-lossy", allow_lossy, False),
            ("--weight-scale", weight_scale, "shared"),
            ("--weight-rounding", weight_rounding, "nearest"),
        ):
            if value != default:
                raise ValidationError(option, "no --profile with it", "a chip to round for")
        return Chip(None, None)
    from neuroattack.hardware.profiles.files import load_profile

    rounding = chosen_rounding(allow_lossy, weight_scale, weight_rounding, seed)
    return Chip(load_profile(name), rounding)


def chosen_rounding(
    allow_lossy: bool, weight_scale: Scale, weight_rounding: Mode, seed: int
) -> Rounding:
    """Return the rounding of these options."""
    from neuroattack.hardware.quantization.quantization import Rounding

    return Rounding(weight_scale, weight_rounding, seed=seed, allow_lossy=allow_lossy)


def chosen_profiles(names: str) -> list[Profile]:
    """Return the profiles of names or files with commas between; ``all`` is all that ship."""
    from neuroattack.hardware.profiles.files import list_profiles, load_profile

    given = [name.strip() for name in names.split(",")]
    if not all(given):
        raise ValidationError("--profiles", repr(names), "names or files, commas between, or 'all'")
    chosen = [each for name in given for each in (list_profiles() if name == "all" else [name])]
    return [load_profile(name) for name in chosen]
