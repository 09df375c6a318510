"""Studies of faults in memory, compared with separate evaluations."""

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.faults.accuracy import study_faults
from neuroattack.experiments.faults.flips import study_flips
from neuroattack.experiments.faults.stored import Storage
from neuroattack.hardware.faults.maps import FaultMap, draw_faults
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.statistics import mean_interval

IMAGES = np.random.default_rng(3).random((12, 28, 28), dtype=np.float32)
STEPS = 40


@pytest.fixture(scope="module")
def labels():
    """Return the predicted classes."""
    recording = deploy(small_network(), steps=STEPS).record(IMAGES, indices=range(len(IMAGES)))
    return np.maximum(decide(recording.counts["output"]), 0)


def accuracy(network, labels, seed=0):
    return evaluate(deploy(network, steps=STEPS, seed=seed), IMAGES, labels).accuracy


def test_accuracy_is_that_of_each_fault_map(labels, tmp_path):
    network = small_network()
    storages = [Storage(load_profile(name)) for name in ("loihi1", "odin")] + [Storage("float32")]

    def study(on_progress=None):
        return study_faults(
            network, IMAGES, labels, storages, rates=[1e-3, 3e-2], maps=3, steps=STEPS,
            folder=tmp_path, seed=4, workers=1, on_progress=on_progress,
        )  # fmt: skip

    results = study()
    assert "leak of hidden" in results["profiles"]["odin"]["refused"]
    for storage in (storages[0], storages[2]):
        chip = results["profiles"][storage.name]
        memory = storage.store(network)
        assert chip["stored_bits"] == memory.size
        assert chip["clean_accuracy"] == accuracy(memory.read().network, labels, 4)
        for point in chip["points"]:
            expected, faults = [], []
            for number in range(3):
                drawn = draw_faults(memory, point["rate"], np.random.default_rng([4, number]))
                expected.append(accuracy(drawn.apply(memory).read().network, labels, 4))
                faults.append(len(drawn))
            assert point["accuracies"] == expected
            assert point["faults_per_map"] == pytest.approx(np.mean(faults))
            low, high = mean_interval(expected)
            assert point["accuracy_ci95"] == [max(low, 0), min(high, 1)]
    done = []
    assert study(lambda fraction, _: done.append(fraction)) == results
    assert set(done) == {1.0}
    with pytest.raises(ValidationError, match="different ids"):
        study_faults(
            network, IMAGES, labels, storages[:1] * 2, rates=[0.1], folder=tmp_path, steps=STEPS
        )


def test_floating_point_stores_weights_only():
    with pytest.raises(UnsupportedFeatureError, match="got thresholds, expected weights"):
        Storage("float32", parameters=("thresholds",)).store(small_network())
    for bad in (("thresholds", "thresholds"), ()):
        with pytest.raises(ValidationError, match="parameters: got"):
            Storage(load_profile("loihi1"), parameters=bad).store(small_network())


def test_chosen_flips_lower_accuracy_more_than_random_ones(labels, tmp_path):
    network, storage = small_network(), Storage(load_profile("loihi1"))
    results = study_flips(
        network, IMAGES, labels, (IMAGES, labels), storage, folder=tmp_path, flips=5, maps=2,
        queries=200, steps=STEPS, workers=1,
    )  # fmt: skip
    memory = storage.store(network)
    methods = results["methods"]
    assert [point["flips"] for point in methods["gradient"]["points"]] == [0, 1, 2, 5]
    for point in methods["gradient"]["points"]:
        flips = FaultMap("flip", methods["gradient"]["addresses"][: point["flips"]])
        assert point["accuracy"] == accuracy(flips.apply(memory).read().network, labels)
    last = {method: found["points"][-1]["accuracy"] for method, found in methods.items()}
    assert last["gradient"] <= last["random"]
    assert 0 < methods["queries"]["queries"] <= 200
    with pytest.raises(ValidationError, match="methods"):
        study_flips(
            network, IMAGES, labels, (IMAGES, labels), storage, folder=tmp_path, methods=["guess"]
        )
