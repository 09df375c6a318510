"""Native backend: compiled, event-driven, spike-for-spike identical to the reference dynamics."""

from .backend import NativeBackend, NativeSimulator

__all__ = ["NativeBackend", "NativeSimulator"]
