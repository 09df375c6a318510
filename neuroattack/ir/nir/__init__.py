"""Import and export of networks via NIR, the exchange format of SNN frameworks.

NIR (Pedersen et al., Nature Communications 15, 8122, 2024) describes neurons by differential
equations in continuous time, and their connections. It does not define the discretization of time;
that must be given as a :class:`neuroattack.ir.nir.reading.Reading`.
"""
