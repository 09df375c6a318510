"""Faults in the memory of a chip that stores the parameters of a network."""
