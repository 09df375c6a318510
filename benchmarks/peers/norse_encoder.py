"""Norse's encoder, shared by its two neuron models."""

from __future__ import annotations

import torch
from norse.torch.functional.encode import poisson_encode

__all__ = ["encode"]


def encode(probability: torch.Tensor, steps: int) -> torch.Tensor:
    """Generate spikes of shape (steps, batch, pixels)."""
    return poisson_encode(probability, steps, f_max=1.0, dt=1.0)
