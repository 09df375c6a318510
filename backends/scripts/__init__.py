"""Parts that exported scripts of several simulators have in common."""
