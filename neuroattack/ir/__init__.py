"""The abstract network: populations, projections, input and their exact dynamics."""
