"""Spike-for-spike comparison of backends with the reference dynamics."""
