"""Benchmarks of neuroattack and other simulators; run with ``python -m benchmarks``."""
