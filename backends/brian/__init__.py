"""Brian2 backend."""
