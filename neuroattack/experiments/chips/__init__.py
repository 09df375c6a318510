"""One network under hardware profiles: fit, accuracy, energy, precision."""
