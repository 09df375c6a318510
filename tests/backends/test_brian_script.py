"""Exported Brian2 scripts, run as separate programs."""

import dataclasses

import numpy as np
import pytest
from support.brian_networks import every_feature, feed_forward, fixed_neuron
from support.networks import small_network
from support.scripts import run_script

from neuroattack.backends.brian.script import brian2_script
from neuroattack.encoding.encoders import PoissonEncoder, RegularEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.dynamics import readout_potentials, simulate

pytest.importorskip("brian2", reason="needs Brian2: pip install 'neuroattack[brian2]'")


def expected_counts(network, image, steps, seed):
    spikes = network.input.encoder.encode(
        image.reshape(1, -1), indices=np.array([0]), steps=steps, dt_s=network.dt_s, seed=seed
    )
    return simulate(network, spikes.to_dense()[0])[network.readout].sum(axis=0).tolist()


@pytest.mark.parametrize(
    "kind", [PoissonEncoder, pytest.param(RegularEncoder, marks=pytest.mark.slow)]
)
def test_the_script_counts_as_the_plain_dynamics_do(tmp_path, kind):
    network = feed_forward()
    encoder = kind(network.input.encoder.max_rate_hz)
    network = dataclasses.replace(
        network, input=dataclasses.replace(network.input, encoder=encoder)
    )
    image = np.random.default_rng(0).random(network.input.shape)
    np.save(tmp_path / "image.npy", image)
    ended = run_script(brian2_script(network), tmp_path, "image.npy", "--steps", 120, "--seed", 7)
    assert ended.returncode == 0, ended.stderr
    found = list(map(int, ended.stdout.splitlines()[-1].partition(":")[2].split()))
    assert found == expected_counts(network, image, 120, 7)
    assert sum(found)


@pytest.mark.parametrize("direct", [False, True])
def test_the_script_supports_all_features(tmp_path, direct):
    network = every_feature(
        direct=direct, quantity="max_potential" if direct else "final_potential"
    )
    image = np.random.default_rng(0).random(network.input.shape)
    np.save(tmp_path / "image.npy", image)
    ended = run_script(brian2_script(network), tmp_path, "image.npy", "--steps", 50)
    assert ended.returncode == 0, ended.stderr
    *counts, potentials = (line.partition(":")[2].split() for line in ended.stdout.splitlines())
    (given,) = network.input.encoder.encode(
        image.reshape(1, -1), indices=np.array([0]), steps=50, dt_s=network.dt_s, seed=0
    ).to_dense()
    spikes = simulate(network, given)
    expected = readout_potentials(network, given)
    expected = expected.max(axis=0) if direct else expected[-1]
    assert list(map(float, potentials)) == expected.tolist()
    totals = [spikes[population.name].sum() for population in network.populations]
    assert [int(count[0]) for count in counts] == totals


@pytest.mark.slow
def test_without_an_image_it_shows_a_ramp(tmp_path):
    network = small_network()
    ended = run_script(brian2_script(network), tmp_path)
    found = list(map(int, ended.stdout.splitlines()[-1].partition(":")[2].split()))
    assert found == expected_counts(network, np.linspace(0, 1, 784), 100, 0)
    assert sum(found)


@pytest.mark.slow
def test_an_image_of_another_size_is_refused(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((3, 3)))
    ended = run_script(brian2_script(small_network()), tmp_path, "image.npy")
    assert ended.returncode == 2
    assert "(28, 28)" in ended.stderr


def test_the_script_has_short_lines_and_is_not_much_larger_than_its_weights():
    network = small_network()
    script = brian2_script(network)
    assert max(map(len, script.splitlines())) <= 100
    assert len(script) < 12_000 + 4 * sum(p.mantissas.size for p in network.projections)


def test_fixed_point_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="fixed"):
        brian2_script(fixed_neuron())
