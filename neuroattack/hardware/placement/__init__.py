"""Networks on a chip's cores."""
