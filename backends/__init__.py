"""Simulator backends, registered with neuroattack through entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattack.lazy import lazy_attributes

if TYPE_CHECKING:
    from neuroattack.deployment.backend import Backend, list_backends, load_backend

__all__ = ["Backend", "list_backends", "load_backend"]

__getattr__, __dir__ = lazy_attributes(
    __name__, {name: f"neuroattack.deployment.backend:{name}" for name in __all__}
)
