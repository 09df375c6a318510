"""Experiments: what the commands of the command line do, as functions."""
