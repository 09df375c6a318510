"""Black-box attacks: they see spike counts and nothing else."""
