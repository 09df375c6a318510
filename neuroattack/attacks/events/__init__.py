"""Attacks on event samples: their distances, and perturbations within bounds on them."""
