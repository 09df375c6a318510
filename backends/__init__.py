"""Simulator backends, found by neuroattack through entry points."""
