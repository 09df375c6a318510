"""The engine that experiments run on."""
