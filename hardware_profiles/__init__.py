"""Profiles of chips, one TOML file each; see docs/hardware.md for what they hold."""
