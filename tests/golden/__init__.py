"""Figures of the commands, kept so that a change of them is seen."""
