"""What cannot be held on the way in or out: refused by name, or listed where that is allowed."""

from __future__ import annotations

from neuroattack.errors import UnsupportedFeatureError

__all__ = ["Losses"]


class Losses:
    """Losses so far, if there may be any."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self.listed: list[str] = []

    def add(self, what: str, instead: str) -> None:
        """Note what is lost, and what takes its place; UnsupportedFeatureError if not allowed."""
        if not self._allowed:
            raise UnsupportedFeatureError(
                f"cannot be held exactly: {what} (with --allow-lossy: {instead})"
            )
        self.listed.append(f"{what}: {instead}")
