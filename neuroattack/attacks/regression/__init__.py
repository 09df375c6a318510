"""Count regression: the attack, its regression, and the model it plans on."""
