"""The paper whole: every table and figure of Marchisio et al. 2020, beside its own numbers."""
