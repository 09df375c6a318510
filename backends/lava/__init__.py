"""Lava backend: Loihi-style Lava processes in a separate worker process."""
