"""Conversion of a trained SDBN to a spiking network.

The weights of the trained model are in volts per spike, so a LIF layer whose inputs fire at the
rates of the model has the same mean drive. The remaining differences are the discretization of
time, the statistics of finite spike counts, and the approximation by the Siegert function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder, Encoder, PoissonEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.registry import encoder_from
from neuroattack.errors import ValidationError
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.values import MAX_REFRACTORY_STEPS
from neuroattack.training.sdbn import SDBN
from neuroattack.validation import check_positive

__all__ = ["READOUT_GAIN", "Conversion", "convert", "readout_gain_of"]

READOUT_GAIN = {"paper": 5.0}
"""Readout gain by recipe; 1 for others. Without it, a tenth of the images have no output spikes,
since the noise in contrastive divergence differs from that of the spiking network."""


def readout_gain_of(model: SDBN) -> float:
    """Return the readout gain of a model's recipe, for :func:`convert`."""
    # A description of noise on the training images may follow the name of the recipe.
    return READOUT_GAIN.get(model.recipe.partition(",")[0], 1.0)


@dataclass(frozen=True, eq=False)
class Conversion:
    """Converted network, and the rounding of its weights to the fixed-point grid.

    `largest_rounding_v` is the largest change of a weight in volts, `largest_relative_rounding` the
    largest change relative to the largest weight of the projection.
    """

    network: Network
    largest_rounding_v: float
    largest_relative_rounding: float


def convert(
    model: SDBN,
    *,
    dt_s: float = 1e-3,
    input_rate_hz: float | None = None,
    readout_gain: float = 1.0,
    encoder: type[Encoder] = PoissonEncoder,
    tau_m_s: float | None = None,
    gain: float = 1.0,
) -> Conversion:
    """Convert a trained model to a network of LIF populations.

    Parameters
    ----------
    model : SDBN
        Trained model.
    dt_s : float, optional
        Time step in seconds, which must divide t_ref. The refractory period is
        R = t_ref / dt - 1 steps: the next spike is at least R + 1 steps later, so the maximum
        rate, 1 / t_ref, is that of the model.
    input_rate_hz : float, optional
        Spike rate of a pixel of intensity 1; by default the rate in training. For other rates, the
        weights of the first layer are scaled to keep the mean drive. Not for direct coding.
    readout_gain : float, optional
        Divisor of the readout's threshold: larger values give more output spikes.
    encoder : type of Encoder, optional
        Encoder of intensities. For direct coding, the weights of the first layer are scaled to
        give the mean drive of the spikes. For events, they are not scaled: an event has the weight
        of a spike in training.

    tau_m_s : float, optional
        Membrane time constant in seconds; by default that of the training, 5 s. With a shorter one
        the network depends on the timing of its input.
    gain : float, optional
        Divisor of all thresholds, to make up for a stronger leak.

    Returns
    -------
    Conversion

    Raises
    ------
    ValidationError
        If a parameter is out of range, or the input rate is too high for the time step.
    """
    check_positive("dt_s", dt_s)
    check_positive("readout gain", readout_gain)
    check_positive("gain", gain)
    siegert = model.siegert
    tau_m_s = (
        siegert.tau_m_s if tau_m_s is None else check_positive("tau_m_s", tau_m_s, "time in s")
    )
    refractory_s = siegert.t_ref_s
    if refractory_s / dt_s > MAX_REFRACTORY_STEPS:
        raise ValidationError("dt_s", dt_s, f"at least {refractory_s / MAX_REFRACTORY_STEPS:g} s")
    if not math.isclose(refractory_s / dt_s, max(round(refractory_s / dt_s), 1), rel_tol=1e-9):
        raise ValidationError(
            "dt_s", f"{dt_s:g} s", f"a step that divides the refractory period, {refractory_s:g} s"
        )
    trained_rate_hz = model.input_scale / siegert.t_ref_s
    network_input, spikes = _input_of(model, encoder, dt_s, trained_rate_hz, input_rate_hz)

    names = [INPUT, *(f"hidden{i}" for i in range(1, len(model.weights))), "output"]
    populations, projections = [], []
    rounding_v, relative = 0.0, 0.0
    for layer, trained in enumerate(model.weights):
        weights = trained.astype(np.float64)
        if layer == 0:
            weights *= spikes
        readout = layer == len(model.weights) - 1
        populations.append(
            Population(
                name=names[layer + 1],
                size=weights.shape[1],
                tau_m_s=np.asarray(tau_m_s),
                threshold_v=np.asarray(
                    siegert.threshold_v / (readout_gain if readout else 1.0) / gain
                ),
                refractory_steps=np.asarray(round(refractory_s / dt_s) - 1),
            )
        )
        projection = Projection.from_weights(names[layer], names[layer + 1], weights)
        projections.append(projection)
        error = float(np.abs(projection.weights_v - weights).max())
        rounding_v = max(rounding_v, error)
        largest = float(np.abs(weights).max())
        relative = max(relative, error / largest if largest else 0.0)
    network = Network(
        dt_s=dt_s,
        input=network_input,
        populations=tuple(populations),
        projections=tuple(projections),
        readout="output",
        origin={
            "recipe": model.recipe,
            "dataset": model.dataset,
            "dataset_checksum": model.dataset_checksum,
            "training_seed": str(model.seed),
            "readout_gain": repr(readout_gain),
        },
    )
    return Conversion(network, rounding_v, relative)


def _input_of(
    model: SDBN,
    encoder: type[Encoder],
    dt_s: float,
    trained_rate_hz: float,
    input_rate_hz: float | None,
) -> tuple[Input, float]:
    """Return the input, and the trained number of spikes per unit of input."""
    if encoder is DirectEncoder:
        if input_rate_hz is not None:
            raise ValidationError(
                "input rate", f"{input_rate_hz:g} Hz", "none: direct coding has no spikes"
            )
        return Input(model.image_shape, DirectEncoder()), trained_rate_hz * dt_s
    if encoder is EventEncoder:
        if input_rate_hz is not None:
            raise ValidationError(
                "input rate", f"{input_rate_hz:g} Hz", "none: events have their own rates"
            )
        return Input(model.image_shape, EventEncoder()), 1.0
    rate_hz = trained_rate_hz if input_rate_hz is None else input_rate_hz
    rate_encoder = encoder_from(encoder.kind, {"max_rate_hz": rate_hz})
    return Input(model.image_shape, rate_encoder), trained_rate_hz / rate_hz
