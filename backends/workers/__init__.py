"""Simulators in separate processes that end with their parent, leaving nothing behind."""
