"""Hardware profiles: descriptions of chips as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattack.lazy import lazy_attributes

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.files import list_profiles, load_profile
    from neuroattack.hardware.profiles.profile import Profile

__all__ = ["Profile", "list_profiles", "load_profile"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Profile": "neuroattack.hardware.profiles.profile:Profile",
        "list_profiles": "neuroattack.hardware.profiles.files:list_profiles",
        "load_profile": "neuroattack.hardware.profiles.files:load_profile",
    },
)
