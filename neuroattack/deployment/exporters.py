"""Networks written down in the languages of simulators, by whoever registers to do so.

As backends do, exporters register, under the entry-point group ``neuroattack.exporters``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from neuroattack.errors import UnknownNameError
from neuroattack.ir.network import Network

__all__ = ["export_text"]

ENTRY_POINT_GROUP = "neuroattack.exporters"


def export_text(network: Network, language: str) -> str:
    """Return a network as text in the language registered under that name.

    Raises
    ------
    UnknownNameError
        If nothing is registered under it.
    UnsupportedFeatureError
        If the language cannot say the network exactly.
    """
    registered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if language not in registered:
        raise UnknownNameError("exporter", language, registered)
    export: Callable[[Network], str] = registered[language].load()
    return export(network)
