"""Operations, energy and hardware time of a network on a chip."""
