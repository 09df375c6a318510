"""Registry of exporters of networks as simulator scripts.

Like backends, exporters register under an entry-point group, ``neuroattack.exporters``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from neuroattack.errors import UnknownNameError
from neuroattack.ir.network import Network

__all__ = ["export_text"]

ENTRY_POINT_GROUP = "neuroattack.exporters"


def export_text(network: Network, language: str) -> str:
    """Return a network as text in a registered language, such as ``"brian2"``.

    Raises
    ------
    UnknownNameError
        If no exporter is registered under that name.
    UnsupportedFeatureError
        If the language cannot represent the network exactly.
    """
    registered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if language not in registered:
        raise UnknownNameError("exporter", language, registered)
    export: Callable[[Network], str] = registered[language].load()
    return export(network)
