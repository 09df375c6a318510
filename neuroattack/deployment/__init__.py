"""Backends, and deployments of networks."""
