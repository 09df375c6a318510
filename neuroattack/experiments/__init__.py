"""Experiments: the functions behind the commands of the command line."""
