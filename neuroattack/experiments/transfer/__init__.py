"""Transfer: adversarial images made on one deployment, tried on others."""
