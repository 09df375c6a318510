"""Audits: a fixed suite against a network, and the card that reports it."""
