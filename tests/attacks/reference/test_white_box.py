"""The white-box attack on a small network whose weakest pixels are known."""

import numpy as np
import pytest

import neuroattack as na
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.reference.white_box import WhiteBox
from neuroattack.attacks.registry import make_attack
from neuroattack.deployment.deployment import deploy
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.experiments.attack import attack_and_verify
from neuroattack.experiments.campaign.config import config_of
from neuroattack.experiments.campaign.plan import plan_cells
from neuroattack.ir.network import Input, Network, Population, Projection
from neuroattack.targets.callable import target as target_of


def _network():
    """Return a network of 3 classes, each of which counts the spikes of 3 pixels."""
    weights = np.zeros((9, 3))
    for pixel in range(9):
        weights[pixel] = -0.1
        weights[pixel, pixel // 3] = 0.4
    return Network(
        1e-3,
        Input((3, 3), na.PoissonEncoder(100.0)),
        (Population("output", 3, 1.0, 1.0),),
        (Projection.from_weights("input", "output", weights),),
        "output",
    )


def _image():
    image = np.full((3, 3), 0.3)
    image[0] = 0.6
    return image


@pytest.mark.parametrize(
    "bound",
    [Bound("l2", 0.9), Bound("linf", 0.4), Bound("l0", 4), Bound("local_sd", 18.0)],
    ids=str,
)
@pytest.mark.parametrize("target_class", [None, 2])
def test_it_fools_the_network_within_the_bound(bound, target_class):
    attack = WhiteBox(bound, seed=4, steps=30, restarts=1, trials=16)
    with deploy(_network(), steps=100) as deployment:
        found = attack_and_verify(
            deployment.black_box,
            attack,
            _image(),
            Goal(0, target_class),
            index=0,
            trials=30,
            deployment=deployment,
        )
        again = attack.run_on(deployment, _image(), Goal(0, target_class))
    np.testing.assert_array_equal(found.search.adversarial, again.adversarial)
    assert found.search.queries == 0
    assert bound.holds(_image(), found.search.adversarial)
    assert found.success.rate > 0.8
    assert found.clean.rate < 0.2


def test_the_public_function_runs_it_on_deployments_only():
    attack = na.attacks.WhiteBox(na.L2(0.9), steps=20, trials=8)
    with na.deploy(_network(), steps=50) as deployment:
        result = na.attack(deployment, _image()[None], [0], attack, trials=10)
    assert result.success_rate > 0.5
    box = target_of(lambda images: np.ones((len(images), 3), int), image_shape=(3, 3), classes=3)
    for refused in (
        lambda: na.attack(box, _image()[None], [0], attack, trials=10),
        lambda: attack.run(box, _image(), Goal(0)),
    ):
        with pytest.raises(UnsupportedFeatureError, match="needs the network"):
            refused()


def test_an_unknown_model_is_refused():
    with pytest.raises(UnknownNameError, match="model 'rates'"):
        WhiteBox(na.L2(1.0), model="rates")


def test_budgets_do_not_apply(tmp_path):
    assert isinstance(make_attack("white-box", na.L2(1.0), 500, 3), WhiteBox)
    config = config_of(
        {
            "network": "net.h5",
            "budgets": [100, 200],
            "bounds": ["l2=1"],
            "attacks": [{"name": "white-box"}, {"name": "random-noise"}],
            "images": {"count": 1},
        },
        tmp_path / "campaign.toml",
    )
    cells = [cell.arguments for cell in plan_cells(config, [(0, 7)], 10, {})]
    assert sorted((cell["attack"], cell["budget"] or 0) for cell in cells) == [
        ("random-noise", 100),
        ("random-noise", 200),
        ("white-box", 0),
    ]
