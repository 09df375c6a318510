"""Conventional (non-spiking) network of Marchisio et al. 2020."""
