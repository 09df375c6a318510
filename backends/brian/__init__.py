"""The Brian2 backend: the reference LIF simulation."""
