"""Contrastive divergence and rank-based sparsity against scalar loops."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neuroattack.errors import ValidationError
from neuroattack.training.rbm import (
    RBMParameters,
    RBMState,
    contrastive_divergence_step,
    initial_state,
    sparsify,
)
from neuroattack.training.siegert import SiegertParameters, Transfer, siegert_rates

TRANSFER = Transfer(SiegertParameters(), 500.0)


@pytest.fixture
def worker():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def scalar_layer(rows, weights):
    """Return Siegert rates unit by unit, from the formula in SI units."""
    p = TRANSFER.siegert
    out = []
    for row in rows:
        rates = []
        for unit in range(len(weights[0])):
            drive = variance = 0.0
            for x, w in zip(row, weights, strict=True):
                drive += p.tau_m_s * w[unit] * x
                variance += 500.0 * p.tau_m_s * p.t_ref_s / 2 * w[unit] ** 2 * x
            rates.append(float(siegert_rates(drive, math.sqrt(variance), p)))
        out.append(rates)
    return out


def scalar_sparsify(rows, sparsity):
    """Return the targets of Goh et al. 2010 by plain sorting: rank per sample, then per unit."""
    power = 1 / sparsity - 1
    units, batch = len(rows[0]), len(rows)

    def ranked(values):
        order = sorted(range(len(values)), key=lambda i: values[i])
        ranks = [0.0] * len(values)
        for rank, i in enumerate(order):
            ranks[i] = (rank / (len(values) - 1)) ** power if len(values) > 1 else 0.0
        return ranks

    sparse = [ranked(row) for row in rows]
    columns = [ranked([sparse[i][j] for i in range(batch)]) for j in range(units)]
    return [[columns[j][i] for j in range(units)] for i in range(batch)]


def scalar_step(weights, velocity, fast, chain, visible, rate, p, rng):
    """Take one step of persistent contrastive divergence in sequential plain Python."""
    visible_rows, hiddens, batch = len(weights), len(weights[0]), len(visible)

    def warm(rows):
        noise = rng.standard_normal((len(rows), len(rows[0])), dtype=np.float32).tolist()
        return [
            [max(x + p.temperature * z, 0.0) for x, z in zip(*pair, strict=True)]
            for pair in zip(rows, noise, strict=True)
        ]

    grid = [(i, j) for i in range(visible_rows) for j in range(hiddens)]
    model = [
        [weights[i][j] + p.fast_influence * fast[i][j] for j in range(hiddens)]
        for i in range(visible_rows)
    ]
    model_t = [list(column) for column in zip(*model, strict=True)]
    data_hidden = scalar_layer(warm(visible), weights)
    for _ in range(p.gibbs_steps):
        fantasy = scalar_layer(warm(chain), model_t)
        chain = scalar_layer(warm(fantasy), model)
    targets = scalar_sparsify(data_hidden, p.sparsity)
    fraction = p.sparsity_influence
    learnt = [
        [(1 - fraction) * h + fraction * t for h, t in zip(*rows, strict=True)]
        for rows in zip(data_hidden, targets, strict=True)
    ]
    new = [[list(row) for row in matrix] for matrix in (weights, velocity, fast)]
    for i, j in grid:
        positive = sum(visible[b][i] * learnt[b][j] for b in range(batch)) / batch
        negative = sum(fantasy[b][i] * chain[b][j] for b in range(batch)) / batch
        contrast = positive - negative
        new[2][i][j] = (1 - p.fast_decay) * fast[i][j] + p.fast_rate * contrast
        step = rate * (contrast - p.weight_decay * weights[i][j])
        new[1][i][j] = p.momentum * velocity[i][j] + step
        new[0][i][j] = weights[i][j] + new[1][i][j]
    return (*new, chain)


@pytest.mark.parametrize("gibbs_steps", [1, 2])
@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_a_step_is_that_of_a_scalar_loop(gibbs_steps, temperature, worker):
    rng = np.random.default_rng(4)
    p = RBMParameters(gibbs_steps=gibbs_steps, temperature=temperature, weight_decay=0.01)

    def drawn(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    visible = np.abs(drawn(5, 7, scale=0.2))
    state = RBMState(
        drawn(7, 6, scale=2.0), drawn(7, 6, scale=0.1), drawn(7, 6), np.abs(drawn(5, 6, scale=0.2))
    )
    new = contrastive_divergence_step(
        state, visible, 0.3, p, TRANSFER, np.random.default_rng(5), worker
    )
    expected = scalar_step(
        state.weights.tolist(),
        state.velocity.tolist(),
        state.fast_weights.tolist(),
        state.chain.tolist(),
        visible.tolist(),
        0.3,
        p,
        np.random.default_rng(5),
    )
    got = (new.weights, new.velocity, new.fast_weights, new.chain)
    for array, truth in zip(got, expected, strict=True):
        np.testing.assert_allclose(array, truth, atol=3e-5)


def test_a_step_leaves_its_input_alone_and_repeats_with_the_same_generator(worker):
    p = RBMParameters()
    rng = np.random.default_rng(5)
    visible = rng.random((8, 12), dtype=np.float32) * np.float32(0.2)
    state = initial_state(12, 9, 8, p, rng)
    before = [array.copy() for array in vars(state).values()]
    first = contrastive_divergence_step(
        state, visible, 0.1, p, TRANSFER, np.random.default_rng(6), worker
    )
    again = contrastive_divergence_step(
        state, visible, 0.1, p, TRANSFER, np.random.default_rng(6), worker
    )
    for array, copy in zip(vars(state).values(), before, strict=True):
        assert np.array_equal(array, copy)
    for array, other in zip(vars(first).values(), vars(again).values(), strict=True):
        assert np.array_equal(array, other)
        assert array.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        elements=st.floats(0, 1, width=16),
    ),
    st.floats(0.02, 0.9),
)
def test_sparsity_is_that_of_plain_sorting(hidden, sparsity):
    # Many ties, which both implementations rank by index.
    np.testing.assert_allclose(
        sparsify(hidden, sparsity), scalar_sparsify(hidden.tolist(), sparsity), atol=1e-6
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"gibbs_steps": 0},
        {"momentum": 1.0},
        {"sparsity": 0.0},
        {"sparsity_influence": 1.5},
        {"fast_decay": -0.1},
        {"temperature": math.nan},
        {"initial_scale": -1.0},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        RBMParameters(**bad)
