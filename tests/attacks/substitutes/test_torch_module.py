"""PyTorch networks as substitutes."""

import numpy as np
import pytest

import neuroattack as na
from neuroattack.attacks.protocol import threat_model
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.errors import ValidationError

torch = pytest.importorskip("torch", reason="needs the peers, as .ci/run installs them")
pytestmark = pytest.mark.slow
SHAPE, CLASSES = (4, 5), 3


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(20, 7),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(7, CLASSES),
    )


def test_scores_and_gradients_are_those_of_the_same_perceptron():
    module = network()
    layers = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    plain = Perceptron(
        SHAPE,
        tuple(layer.weight.detach().numpy().T for layer in layers),
        tuple(layer.bias.detach().numpy() for layer in layers),
    )
    rng = np.random.default_rng(0)
    images, weights = rng.random((6, *SHAPE)), rng.normal(size=(6, CLASSES))
    model = na.attacks.TorchModule(module, SHAPE, CLASSES)
    scores, pullback = model.linearize(images)
    wanted, wanted_pullback = plain.linearize(images)
    assert scores == pytest.approx(wanted, abs=1e-5)
    assert model.log_scores(images) == pytest.approx(wanted, abs=1e-5)
    assert pullback(weights) == pytest.approx(wanted_pullback(weights), abs=1e-5)
    assert pullback(2 * weights) == pytest.approx(2 * wanted_pullback(weights), abs=1e-5)


def test_a_convolutional_network_is_a_substitute_of_an_attack():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 4)),
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Linear(12, CLASSES),
    ).double()
    model = na.attacks.TorchModule(module, SHAPE, CLASSES)

    def counts(images):
        return np.round(100 * np.exp(model.log_scores(np.asarray(images, dtype=float)))).astype(int)

    image = np.full(SHAPE, 0.5)
    label = int(counts(image[None]).argmax())
    attack = na.attacks.Transfer(na.L2(3.0), queries=1, substitutes=model)
    assert threat_model(attack) == "data"
    target = na.target(counts, image_shape=SHAPE, classes=CLASSES)
    result = na.attack(target, image[None], [label], attack)
    assert result.success_rate == 1.0


@pytest.mark.parametrize(
    ("module", "shape", "classes"),
    [
        (torch.nn.ReLU(), SHAPE, CLASSES),
        (network(), (4, 4), CLASSES),
        (network(), SHAPE, 4),
        (torch.nn.Linear(5, CLASSES), SHAPE, CLASSES),
    ],
)
def test_networks_that_do_not_fit_are_refused(module, shape, classes):
    with pytest.raises(ValidationError, match="module"):
        na.attacks.TorchModule(module, shape, classes)
