"""Serving and querying black boxes over HTTP with the Open Inference Protocol v2."""
