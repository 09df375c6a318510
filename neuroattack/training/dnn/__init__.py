"""The paper's conventional network."""
