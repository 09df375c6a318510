"""Export of networks as PyNN scripts."""
