"""Substitute models, trained on the attacker's own data."""
