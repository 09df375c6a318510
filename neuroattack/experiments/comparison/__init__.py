"""Backends compared with the reference dynamics, spike for spike."""
