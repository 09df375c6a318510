"""Reproduction of Marchisio et al. 2020: published numbers, studies, tables and figures."""
