"""Marchisio et al. 2020: published numbers, its studies, its figures."""
