"""Rates of a trained model."""

import numpy as np
from support.trainings import an_sdbn

from neuroattack.training.siegert import siegert_rates


def test_rates_are_those_of_the_reference_in_si_units():
    model = an_sdbn()
    images = np.random.default_rng(3).random((9, 3, 4))
    p = model.siegert
    hertz = images.reshape(9, 12) * model.input_scale / p.t_ref_s
    for weights in model.weights:
        w = weights.astype(np.float64)
        drive = p.tau_m_s * hertz @ w
        spread = np.sqrt(p.tau_m_s / 2 * hertz @ w**2)
        hertz = siegert_rates(drive, spread, p) / p.t_ref_s
    np.testing.assert_allclose(model.rates(images), hertz * p.t_ref_s, atol=1e-5)
