"""The transfer attack, and how its substitutes are named."""

import numpy as np
import pytest
from support.networks import small_network
from support.substitutes import LinearSubstitute
from support.toy_targets import CLASSES, SHAPE, gray, linear_scores, linear_target

from neuroattack.attacks.bounds import L0, L2, LInf, LocalSD
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.attacks.substitutes import opening
from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron
from neuroattack.attacks.substitutes.opening import open_substitutes, threat_model_of
from neuroattack.attacks.substitutes.storage import save_substitutes
from neuroattack.attacks.substitutes.transfer import Transfer
from neuroattack.errors import NeuroattackError, ValidationError
from neuroattack.ir.storage import save_network


def perceptron(seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(SHAPE[0] * SHAPE[1], CLASSES)).astype(np.float32)
    return Perceptron(SHAPE, (weights,), (np.zeros(CLASSES, np.float32),))


@pytest.mark.parametrize("bound", [L2(0.7), LInf(0.1), L0(6), LocalSD(20.0)], ids=str)
@pytest.mark.parametrize("target_class", [None, 2])
def test_without_queries_it_returns_the_optimum_of_the_substitutes(bound, target_class):
    slopes = linear_scores(1)
    model, goal = LinearSubstitute(slopes), Goal(0, target_class)
    target = linear_target(slopes)
    found = Transfer(bound, 0, substitutes=model).run(target, gray(), goal)
    assert found.queries == target.queries == 0
    assert bound.holds(gray(), found.adversarial)
    if target_class is None:
        best = max(
            model.log_scores((gray() + best_change(bound, gray(), gain).reshape(SHAPE))[None])[0]
            @ (np.eye(3)[rival] - np.eye(3)[0])
            for rival in (1, 2)
            for gain in [slopes[:, rival] - slopes[:, 0]]
        )
        gap = goal.gap(model.log_scores(found.adversarial[None]))[0]
        assert gap >= best - 0.02 * abs(best)


def test_queries_select_between_models():
    slopes = linear_scores(3)
    wrong, right = LinearSubstitute(-slopes), LinearSubstitute(slopes)
    # Alone, the wrong model would decide: its scores are larger.
    both = Ensemble([LinearSubstitute(-5 * slopes), right])
    goal, bound = Goal(0), L2(1.5)

    def gap(found):
        return goal.gap(linear_target(slopes).query(found.adversarial[None]).astype(float))[0]

    start = goal.gap(linear_target(slopes).query(gray()[None]).astype(float))[0]
    target = linear_target(slopes, noise_seed=0)
    assert gap(Transfer(bound, 0, substitutes=wrong).run(target, gray(), goal)) < start
    found = Transfer(bound, 60, substitutes=both).run(target, gray(), goal)
    assert found.queries == target.queries <= 60
    assert gap(found) > start + 10


def test_names_of_substitutes(tmp_path, monkeypatch):
    models, network = tmp_path / "models.h5", tmp_path / "network.h5"
    save_substitutes(models, Ensemble([perceptron(), perceptron(1)]))
    save_network(network, small_network())
    images = np.random.default_rng(0).uniform(0, 1, (3, *SHAPE))
    opened = open_substitutes(str(models))
    np.testing.assert_array_equal(
        opened.log_scores(images), Ensemble([perceptron(), perceptron(1)]).log_scores(images)
    )
    assert threat_model_of(str(models)) == "data"
    assert threat_model_of(None) == "no data"
    (rates,) = open_substitutes([str(network)]).members
    assert isinstance(rates, SiegertModel)
    assert threat_model_of(str(network)) == "data and architecture"
    # The name of a data set stands for its file in the cache.
    monkeypatch.setattr(opening, "_file_of", lambda name, modified_ns: models)
    assert len(open_substitutes(("digits", str(models))).members) == 4


def test_invalid_substitutes(tmp_path):
    target = linear_target(linear_scores())
    with pytest.raises(ValidationError, match="substitutes"):
        Transfer(L2(1.0))
    other = Transfer(L2(1.0), substitutes=LinearSubstitute(np.zeros((4, 3)), image_shape=(2, 2)))
    with pytest.raises(ValidationError, match="shape"):
        other.run(target, gray(), Goal(0))
    for name in (str(tmp_path / "missing.h5"), "no data set", ""):
        with pytest.raises(NeuroattackError):
            open_substitutes(name)
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(NeuroattackError, match=r"text\.h5"):
        open_substitutes(str(tmp_path / "text.h5"))
