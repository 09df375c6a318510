"""Lava processes and their models only, because Lava executes all modules in this folder."""
