"""Faults in the memory of a chip: random ones, and bits that an attacker flips."""
