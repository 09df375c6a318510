"""Gradient-based maximization of a margin on differentiable models."""
