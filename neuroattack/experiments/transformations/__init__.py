"""Survival of misclassifications under image transformations."""
