"""Registry of attacks, including those of other packages."""

import subprocess
import sys

import pytest
from support.toy_targets import SHAPE, gray, linear_scores, linear_target

import neuroattack.attacks
from neuroattack.attacks.bounds import L2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.attacks.registry import attack_names, attack_parameters, load_attack, make_attack
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError

BOUND = L2(1.0)

_ATTACK = """
from dataclasses import dataclass

import numpy as np

from neuroattack.attacks.protocol import check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult


@dataclass(frozen=True)
class Brighter:
    bound: object
    queries: int = 2000
    seed: int = 0
    by: float = 0.25

    name = "brighter"
    kind = "score"

    def run(self, target, image, goal):
        check_kind(self, target)
        original = valid_original(target, image, goal)
        found = np.clip(original + self.by, 0, 1)
        target.query(found[None])
        if not self.bound.holds(original, found):
            found = original
        return SearchResult(original, found, goal, 1, "done", (Incumbent(original, -np.inf, 0),))
"""

_ENTRY_POINTS = """[neuroattack.attacks]
brighter = brighter:Brighter
broken = no_such_module:Attack
"""


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """Install a package that registers attacks."""
    (tmp_path / "brighter.py").write_text(_ATTACK)
    info = tmp_path / "brighter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brighter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("brighter", None)


def test_every_attack_of_the_package_is_registered_and_exported():
    exported = {
        getattr(neuroattack.attacks, name)
        for name in neuroattack.attacks.__all__
        if name[0].isupper() and name not in ("Attack", "TorchModule")
    }
    assert {load_attack(name) for name in attack_names()} == exported
    for name in attack_names():
        required = {"substitutes": "digits"} if name == "transfer" else {}
        made = make_attack(name, BOUND, 10, 3, required)
        assert (made.name, made.bound, made.seed) == (name, BOUND, 3)
        assert needs_network(made) or made.queries == 10


def test_listing_imports_no_attack():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, neuroattack.attacks as attacks; dir(attacks); attacks.CountRegression; "
            "print(sorted({name.partition('.')[0] for name in sys.modules}))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'art'" not in run.stdout
    assert "'neuroattack'" in run.stdout


def test_no_other_name_is_exported():
    with pytest.raises(AttributeError, match="has no attribute 'CountRegresion'"):
        getattr(neuroattack.attacks, "CountRegresion")  # noqa: B009  # like IDEs


def test_the_former_name_of_count_regression_gives_a_warning():
    with pytest.warns(FutureWarning, match="count-regression"):
        attack = make_attack("adaptive", BOUND, 10, 3, {"rounds": 2})
    assert attack == make_attack("count-regression", BOUND, 10, 3, {"rounds": 2})
    with pytest.warns(FutureWarning, match="CountRegression"):
        assert neuroattack.attacks.Adaptive is neuroattack.attacks.CountRegression
    assert "adaptive" not in attack_names()
    assert "Adaptive" not in neuroattack.attacks.__all__


def test_greedy_window_has_all_parameters_of_algorithm_1():
    assert attack_parameters("greedy-window") == {
        "window": 7,
        "moved_pixels": 10,
        "delta": 0.1,
        "max_distance": 22.0,
        "score": "fraction",
        "steps": 1,
        "sd_of": "original",
        "clipping": "clip",
        "overshoot": "discard",
        "max_iterations": 100,
    }
    found = make_attack("greedy-window", None, 500, 0, {"window": 3, "moved_pixels": 2}).run(
        linear_target(linear_scores()), gray(), Goal(0)
    )
    assert found.trace[0].queries == 1  # A gray image has an SD of 0: no pixel can be moved.


def test_attacks_of_other_packages_are_made_and_run(other_package):
    assert "brighter" in attack_names()
    attack = make_attack("brighter", BOUND, 10, 0, {"by": 0.1})
    found = attack.run(linear_target(linear_scores()), gray(), Goal(0))
    assert found.adversarial.shape == SHAPE
    assert found.adversarial.min() > gray().min()
    assert attack_parameters("brighter") == {"by": 0.25}


def test_import_errors_of_an_attack_are_reported(other_package):
    with pytest.raises(UnsupportedFeatureError, match="'broken' cannot be loaded: ModuleNotFound"):
        make_attack("broken", BOUND, 10, 0)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match=r"unknown attack 'count-regresion' \(did you mean"):
        make_attack("count-regresion", BOUND, 10, 0)
    with pytest.raises(UnknownNameError, match="count-regression parameter 'round'"):
        make_attack("count-regression", BOUND, 10, 0, {"round": 3})
    with pytest.raises(ValidationError, match="bound of attack 'count-regression': got none"):
        make_attack("count-regression", None, 10, 0)
    with pytest.raises(ValidationError, match="settings of attack 'count-regression'"):
        make_attack("count-regression", BOUND, 10, 0, {"scales": 3})
