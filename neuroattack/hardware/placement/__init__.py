"""Placement of networks on the cores of a chip."""
