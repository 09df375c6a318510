"""How often a misclassification survives a transformation of the image."""
