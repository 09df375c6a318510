"""Networks as data: populations, projections, input, and their reference dynamics."""
