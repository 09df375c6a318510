"""Diagnosis of the first spike in which two simulations of a network differ."""
