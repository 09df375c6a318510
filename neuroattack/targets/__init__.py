"""What an attack sees: black boxes over deployments and functions, wrappers and defenses."""
