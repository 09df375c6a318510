"""Networks in and out by NIR, the format that SNN frameworks exchange networks in.

NIR (Pedersen et al., Nature Communications 15, 8122, 2024) says which neurons there are, as
differential equations in continuous time, and how they are connected. It leaves open how time is
cut into steps; :class:`neuroattack.ir.nir.reading.Reading` is that, and is asked for.
"""
