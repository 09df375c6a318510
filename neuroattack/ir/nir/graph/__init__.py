"""NIR files as graphs of validated nodes."""
