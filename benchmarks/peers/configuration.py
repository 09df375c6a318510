"""Configurations in which every peer is measured."""

from __future__ import annotations

import enum

__all__ = ["COMPILED_STEPS", "BagConfiguration", "Configuration"]

COMPILED_STEPS = 24
"""Steps compiled into one kernel, which keeps the potential in registers.

More steps gain little and take longer to compile: 48 take 20 s per shape.
"""


class Configuration(enum.Enum):
    """Configuration of a peer; the value is its name in figures."""

    DENSE = "dense"
    SPARSE = "sparse input"
    COMPILED = "compiled"

    @property
    def description(self) -> str:
        """Description for display."""
        return {
            Configuration.DENSE: (
                "torch inference mode, one thread, float32; linear layers over all steps at "
                "once, then the library's neurons step by step, or in multi-step mode if available"
            ),
            Configuration.SPARSE: "as dense, with the input spikes as a torch.sparse CSR matrix",
            Configuration.COMPILED: (
                f"as sparse input, with the library's neurons through torch.compile, "
                f"{COMPILED_STEPS} steps per kernel"
            ),
        }[self]


class BagConfiguration(enum.Enum):
    """Neuron update of the embedding-bag implementation; the value is its name in figures."""

    PLAIN = "eager, as one writes it"
    TUNED = "eager, tuned"
    COMPILED = "compiled, tuned"

    @property
    def description(self) -> str:
        """Description for display."""
        return {
            BagConfiguration.PLAIN: (
                "float32, one thread; torch.where on masks of spikes, torch.nonzero to list them"
            ),
            BagConfiguration.TUNED: "the same, in place, masks in float32, spikes listed by NumPy",
            BagConfiguration.COMPILED: (
                f"as tuned, the update through torch.compile, {COMPILED_STEPS} steps per kernel"
            ),
        }[self]
