"""Attacks that flip bits of a stored network."""
