"""All metrics of NeuroBench's harness on digits, compared with ours.

Skips where the package is missing; ``.ci/run`` installs it.
"""

import numpy as np
import pytest
from support.digit_models import template_model
from support.networks import small_network
from support.neurobench_models import benchmark_model

from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.energy.neurobench import neurobench_metrics
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import update_fixed
from neuroattack.ir.network import INPUT, FixedPopulation
from neuroattack.training.conversion import convert

pytestmark = pytest.mark.slow

IMAGES, STEPS = 60, 80


def changes_of_potentials(network, spikes):
    """Count, in plain loops, all neurons in the first step, then those whose potential changes."""
    total = 0
    for population in network.populations:
        size, fixed = population.size, isinstance(population, FixedPopulation)
        for image in range(len(spikes[INPUT])):
            potential, wait = np.zeros(size), np.zeros(size, int)
            for step in range(STEPS):
                drive = np.zeros(size)
                for projection in network.incoming(population.name):
                    if step >= projection.delay_steps:
                        before = spikes[projection.source][image, step - projection.delay_steps]
                        drive += before @ projection.weights_v
                if fixed:
                    updated = update_fixed(potential, drive, population)
                else:
                    updated = potential * population.decay(network.dt_s) + drive
                after = np.where(wait > 0, potential, updated)
                fired = spikes[population.name][image, step]
                after[fired] = 0
                wait = np.where(fired, population.refractory_steps, np.maximum(wait - 1, 0))
                total += size if step == 0 else np.count_nonzero(after != potential)
                potential = after
    return total


@pytest.mark.parametrize("chip", [False, True])
@pytest.mark.parametrize("make", [small_network, lambda: convert(template_model()).network])
def test_every_metric_of_the_harness_is_ours(make, chip):
    torch = pytest.importorskip("torch")
    pytest.importorskip("neurobench")
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import (
        ActivationSparsity,
        ClassificationAccuracy,
        MembraneUpdates,
        SynapticOperations,
    )
    from neurobench.processors.postprocessors import ChooseMaxCount

    network = fit(make(), load_profile("loihi1")).network if chip else make()
    test = load_dataset("digits").test.first(IMAGES)
    with deploy(network, steps=STEPS) as deployment:
        recording = deployment.record(test.images, indices=range(IMAGES), record_spikes=True)
        accuracy = evaluate(deployment, test.images, test.labels).accuracy
    spikes = {name: trains.to_dense() for name, trains in recording.spikes.items()}
    ours = neurobench_metrics(network, recording.spikes, recording.counts)

    inputs = torch.tensor(spikes[INPUT], dtype=torch.float32)
    labels = torch.tensor(np.asarray(test.labels, np.int64))
    model = benchmark_model(network)
    theirs = Benchmark(
        model,
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=20),
        [],
        [ChooseMaxCount()],
        [
            [Footprint, ConnectionSparsity, ParameterCount],
            [ActivationSparsity, SynapticOperations, ClassificationAccuracy, MembraneUpdates],
        ],
    ).run(quiet=True)

    np.testing.assert_array_equal(model(inputs).numpy(), spikes[network.readout])
    assert theirs["Footprint"] == ours.footprint_bytes
    neurons = sum(population.size for population in network.populations)
    # Thresholds and biases are parameters as well.
    assert theirs["ParameterCount"] == ours.weights + 2 * neurons
    assert theirs["ConnectionSparsity"] == round(float(np.float32(ours.connection_sparsity)), 4)
    assert theirs["ActivationSparsity"] == pytest.approx(ours.activation_sparsity, abs=1e-12)
    operations = ours.as_json()["synaptic_operations_per_image"]
    assert theirs["SynapticOperations"] == {
        "Effective_MACs": 0,
        "Effective_ACs": operations["effective_acs"],
        "Dense": operations["dense"],
    }
    # Of images without a winner, the package predicts the first of the highest counts.
    predicted = decide(recording.counts[network.readout])
    first = recording.counts[network.readout].argmax(axis=1)
    lucky = np.count_nonzero((predicted == UNDECIDED) & (first == test.labels))
    assert theirs["ClassificationAccuracy"] == pytest.approx(accuracy + lucky / IMAGES)
    updates = changes_of_potentials(network, spikes) / IMAGES
    assert theirs["MembraneUpdates"] == pytest.approx(updates)
    assert updates < neurons * STEPS
