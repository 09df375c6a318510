"""The native backend: event-driven, compiled, spike for spike the plain dynamics."""

from .backend import NativeBackend, NativeSimulator

__all__ = ["NativeBackend", "NativeSimulator"]
