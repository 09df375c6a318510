"""Operations, energy and time of a network on a chip."""
