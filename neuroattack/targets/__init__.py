"""Targets of attacks: black boxes over deployments and functions, wrappers and defenses."""
