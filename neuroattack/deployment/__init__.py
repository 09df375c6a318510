"""Backends, and networks deployed on them."""
