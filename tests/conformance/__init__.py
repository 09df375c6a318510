"""What every backend is held to, as one suite that any backend can be run through."""
