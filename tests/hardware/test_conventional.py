"""Comparison of spiking and conventional networks with the same table of operation energies."""

import json
import math

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.conventional import CAVEATS, OPERATIONS_PJ, compare_conventional
from neuroattack.hardware.profiles.energy_model import BASES
from neuroattack.ir.network import INPUT, Convolution, Input, Network, Population, Projection


def two_layers():
    """Return a 3-2-2 network, the last layer in two projections of one sign each."""
    return Network(
        dt_s=1e-3,
        input=Input((3,), PoissonEncoder(100.0)),
        populations=(
            Population("hidden", 2, tau_m_s=0.02, threshold_v=1.0),
            Population("output", 2, tau_m_s=0.02, threshold_v=1.0),
        ),
        projections=(
            Projection(INPUT, "hidden", np.ones((3, 2), np.int32), 0),
            Projection("hidden", "output", np.array([[1, 0], [0, 1]]), 0),
            Projection("hidden", "output", np.array([[0, -1], [-1, 0]]), 0),
        ),
        readout="output",
    )


def close(value, decimal):
    return math.isclose(value, decimal, rel_tol=1e-14)


def test_both_networks_by_hand():
    """3 * 2 + 2 * 2 = 10 multiply-accumulates; 50 synaptic operations; 4 neurons * 7 steps = 28.

    Conventional, 8 bit: 10 * (0.2 + 0.1) = 3 pJ; weights 10 * 10 / 8 = 12.5 pJ.
    Conventional, fp32: 10 * (3.7 + 0.9) = 46 pJ; weights 10 * 10 * 4 / 8 = 50 pJ.
    Spiking, 8 bit: 50 * 0.1 + 28 * (3.1 + 0.1) = 5 + 89.6 = 94.6 pJ; weights 50 * 1.25 = 62.5 pJ.
    Spiking, fp32: 50 * 0.9 + 28 * (3.7 + 0.9) = 45 + 128.8 = 173.8 pJ; weights 50 * 5 = 250 pJ.
    Potentials of 32 bits, read and written: 28 * 2 * 5 = 280 pJ.
    """
    found = compare_conventional(two_layers(), 50, 7)
    assert (found["multiply_accumulates"], found["neuron_updates"]) == (10, 28)
    expected = {
        ("conventional", "int8"): (3.0, 12.5, 0.0),
        ("conventional", "fp32"): (46.0, 50.0, 0.0),
        ("spiking", "int8"): (94.6, 62.5, 280.0),
        ("spiking", "fp32"): (173.8, 250.0, 280.0),
    }
    for (side, precision), (operations, fetches, states) in expected.items():
        energy = found[side][precision]
        assert close(energy["operations_pj"], operations)
        assert close(energy["weight_fetches_pj"], fetches)
        assert close(energy["state_accesses_pj"], states)
        assert close(energy["with_memory_pj"], operations + fetches + states)


def test_a_convolution_has_the_operations_of_its_connections():
    # 2 x 3 targets of 2 channels; a kernel of 1 x 2 x 2 that is padded by one row above.
    kernel = np.ones((2, 1, 2, 2), np.int32)
    kernel[0, 0, 0, 0] = 0
    parts = (np.maximum(kernel, 0), -kernel)
    network = Network(
        1e-3,
        Input((1, 2, 4), PoissonEncoder(100.0)),
        (Population("p", 12, 0.02, 1.0, tau_syn_s=0.01),),
        (
            *(Convolution(INPUT, "p", each, 0, (1, 2, 4), padding=((1, 0), (0, 0)))
              for each in parts),
            Projection("p", "p", np.ones((12, 12), np.int32), 0),
        ),
        "p",
    )  # fmt: skip
    found = compare_conventional(network, 50, 7)
    # 3 columns x (2 elements of the first row + 4 of the second) x 2 channels.
    assert found["multiply_accumulates"] == 36
    assert (found["neuron_updates"], found["current_updates"]) == (84, 84)
    assert len(found["caveats"]) == len(CAVEATS) + 1
    assert close(found["spiking"]["fp32"]["operations_pj"], 50 * 0.9 + 168 * 4.6)
    assert close(found["spiking"]["fp32"]["state_accesses_pj"], 168 * 2 * 5)


def test_operations_of_direct_coding_are_multiplications():
    found = compare_conventional(two_layers(), 50, 7, 20)
    assert found["multiplications"] == 20
    assert close(found["spiking"]["fp32"]["operations_pj"], 50 * 0.9 + 20 * 3.7 + 28 * 4.6)
    assert close(found["spiking"]["int8"]["operations_pj"], 50 * 0.1 + 20 * 0.2 + 28 * 3.2)
    with pytest.raises(ValidationError, match="multiplications: got 51"):
        compare_conventional(two_layers(), 50, 7, 51)


def test_the_json_holds_the_caveats():
    figures = compare_conventional(small_network(), 1234.5, 350)
    assert figures["caveats"] == list(CAVEATS)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_every_operation_has_a_source():
    assert OPERATIONS_PJ
    for coefficient in OPERATIONS_PJ.values():
        assert coefficient.value > 0
        assert coefficient.source
        assert coefficient.location
        assert coefficient.conditions == "45 nm, 0.9 V"
        assert coefficient.basis in BASES


@pytest.mark.parametrize(
    ("operations", "steps", "message"),
    [
        (-1.0, 7, "synaptic operations: got -1.0"),
        (math.nan, 7, "synaptic operations: got nan"),
        (math.inf, 7, "synaptic operations: got inf"),
        (1.0, 0, "steps: got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(operations, steps, message):
    with pytest.raises(ValidationError, match=message):
        compare_conventional(two_layers(), operations, steps)


def test_a_network_without_layers_is_refused():
    network = Network(
        1e-3,
        Input((3,), PoissonEncoder(100.0)),
        (Population("output", 2, tau_m_s=0.02, threshold_v=1.0),),
        (),
        "output",
    )
    with pytest.raises(ValidationError, match="network projections: got none"):
        compare_conventional(network, 0.0, 7)
