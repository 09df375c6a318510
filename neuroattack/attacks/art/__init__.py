"""Attacks of the Adversarial Robustness Toolbox on spike counts, and spike counts for its own."""
