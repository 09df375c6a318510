"""Figures of networks under hardware profiles."""
