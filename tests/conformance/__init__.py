"""Conformance suite for simulator backends."""
