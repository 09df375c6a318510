"""Features that an import or export does not support: refused, or listed as losses if allowed."""

from __future__ import annotations

from neuroattack.errors import UnsupportedFeatureError

__all__ = ["Losses"]


class Losses:
    """List of losses of an import or export."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self.listed: list[str] = []

    def add(self, what: str, instead: str) -> None:
        """Add a loss and its replacement; raise UnsupportedFeatureError if it is not allowed."""
        if not self._allowed:
            raise UnsupportedFeatureError(
                f"not supported exactly: {what} (--allow-lossy replaces it: {instead})"
            )
        self.listed.append(f"{what}: {instead}")
