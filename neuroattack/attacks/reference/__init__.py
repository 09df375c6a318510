"""White-box reference: gradients of a network that the attacker knows."""
