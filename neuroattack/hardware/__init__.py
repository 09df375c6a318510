"""What a chip can hold: formats and their rounding."""
