"""Progressive bit search, compared with finite differences and with random flips."""

import dataclasses

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.attacks.reference.bit_search import search_bits
from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.faults.maps import draw_flips
from neuroattack.hardware.faults.storing import store_floating, store_quantized
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.hardware.quantization.quantization import Rounding, quantize

STEPS = 60
IMAGES = np.random.default_rng(3).random((12, 28, 28))


def labels_of(network):
    return SiegertModel(network, STEPS).log_scores(IMAGES).argmax(axis=1)


def test_gradients_of_weights_are_finite_differences_of_the_loss():
    network = small_network()
    labels = np.arange(len(IMAGES)) % 10
    gradients = SiegertModel(network, STEPS).weight_gradients(IMAGES, labels)
    rng = np.random.default_rng(0)
    for index, projection in enumerate(network.projections):
        change = 2**9
        for _ in range(4):
            place = tuple(rng.integers(0, projection.shape))
            losses = []
            for sign in (1, -1):
                grid = projection.grid.copy()
                grid[place] += sign * change
                parts = list(network.projections)
                parts[index] = projection.with_grid(grid, projection.exponent)
                changed = dataclasses.replace(network, projections=tuple(parts))
                losses.append(SiegertModel(changed, STEPS).cross_entropy(IMAGES, labels))
            width = 2 * change * 2.0**projection.exponent
            expected = (losses[0] - losses[1]) / width
            assert gradients[index][place] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("protection", ["none", "ecc"])
def test_found_flips_raise_the_loss_more_than_random_ones(protection):
    network, number_format = small_network(), load_profile("loihi1").number_format()
    quantized = quantize(network, number_format, Rounding())
    memory = store_quantized(quantized, network, number_format, protection=protection)
    labels = labels_of(quantized.network)
    search = search_bits(memory, IMAGES, labels, flips=5, steps=STEPS)
    if protection == "ecc":
        # Single errors are corrected, so that no flip changes a weight.
        assert len(search.addresses) == 0
        return
    assert len(set(search.addresses.tolist())) == 5

    def loss(flips):
        read = flips.apply(memory).read().network
        return SiegertModel(read, STEPS).cross_entropy(IMAGES, labels)

    assert [loss(search.flips(n)) for n in range(6)] == pytest.approx(search.losses)
    rng = np.random.default_rng(0)
    assert search.losses[-1] > max(loss(draw_flips(memory, 5, rng, bits="msb")) for _ in range(10))


def test_weights_in_floating_point_are_refused():
    with pytest.raises(UnsupportedFeatureError, match="bit search"):
        search_bits(
            store_floating(small_network(), "float32"), IMAGES, np.zeros(12, int), flips=1, steps=9
        )
