"""Hardware profiles of chips, one TOML file each; see docs/hardware.md for the format."""
