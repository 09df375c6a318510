"""Attacks, one a file."""
