"""Hypothesis strategies for what chips hold, made up."""

from hypothesis import strategies as st

from neuroattack.hardware.profiles.number_format import (
    BiasFormat,
    CurrentFormat,
    NumberFormat,
    StateFormat,
)

STATES = (
    None,
    StateFormat(-(2**23) + 1, 2**23 - 1, shift=6, leak_bits=12, current=CurrentFormat(12, least=1)),
    StateFormat(-(2**15), 2**15 - 1, shift=0, leak_bits=None),
    StateFormat(-(2**19), 2**20 - 1, shift=3, leak_bits=4, current=CurrentFormat(6)),
    StateFormat(0, 2**12 - 1, shift=0, leak_bits=8),
)


@st.composite
def number_formats(draw: st.DrawFn) -> NumberFormat:
    """Draw formats that hold every feature of :func:`conformance.networks.networks`."""
    return NumberFormat(
        name="Made-up",
        weight_bits=draw(st.sampled_from([None, 2, 3, 4, 8, 12])),
        mixed_weight_step=draw(st.sampled_from([1, 2])),
        sign_modes=frozenset(
            draw(
                st.sampled_from(
                    [
                        ("mixed",),
                        ("mixed", "excitatory", "inhibitory"),
                        ("excitatory", "inhibitory"),
                        ("mixed", "per_source"),
                        ("per_source",),
                    ]
                )
            )
        ),
        weight_exponents=draw(st.sampled_from([(0, 0), (-7, 7), (-2, 1), (2, 2), (1, 4)])),
        state=draw(st.sampled_from(STATES)),
        threshold_bits=draw(st.sampled_from([None, 6, 9, 17])),
        bias=draw(st.sampled_from([None, BiasFormat(13, 3), BiasFormat(8)])),
        refractory_steps=draw(st.sampled_from([None, (0, 62)])),
        delay_steps=draw(st.sampled_from([None, (1, 62)])),
    )
