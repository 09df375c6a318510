"""Networks in a chip's number formats."""
