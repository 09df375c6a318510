"""Benchmarks of neuroattack against its peers; run with ``python -m benchmarks``."""
