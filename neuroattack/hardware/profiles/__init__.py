"""Hardware profiles: chips as data."""
