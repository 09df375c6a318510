"""Hardware profiles of chips, quantization, placement, and energy estimates."""
