"""Attacks that maximize a quantity, in audits, campaigns and the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.audit_cards import TINY
from support.digit_models import template_model
from support.networks import small_network

import neuroattack as na
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import verify
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.audit.audit import audit
from neuroattack.experiments.seeds import attack_seed
from neuroattack.ir.storage import save_network
from neuroattack.report.attack import render_report, verdict
from neuroattack.training.conversion import convert

SPEC = DeploymentSpec(profile="loihi1", steps=40, seed=3)
QUANTITIES = ("energy", "uncertainty")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "digits.h5"
    save_network(path, convert(template_model()).network)
    return path


def plain(network, quantity, suite, index):
    """Attack one image in a plain loop; return the relative increase and the rate of success."""
    digits = load_dataset("digits").test
    image, label = digits.pick(index)
    goal = Goal(label, maximize=quantity)
    seed, budget = attack_seed(SPEC.seed, index), suite.budgets[-1]
    with open_target(SPEC.metered(goal.meter), network) as opened:
        attack = make_attack("count-regression", suite.bound, budget, seed)
        found = attack.run(opened(search_stream(index, None), budget), image, goal)
        verifier = opened(verification_stream(index, None))
        rate = verify(verifier, found.adversarial, goal, suite.trials).rate
        verify(verifier, found.original, goal, suite.trials)
        values = []
        for shown in (found.original, found.adversarial):
            recording = opened.deployment.record(
                np.repeat(shown[None], suite.trials, axis=0),
                indices=range(2 * suite.trials, 3 * suite.trials),
                stream=verification_stream(index, None),
                record_spikes=True,
            )
            if quantity == "energy":
                quantities, _ = opened.deployment.quantities(recording)
                value = quantities["energy_pj_lower"] + quantities["energy_pj_upper"]
            else:
                value = goal.quantity(recording.counts["output"])
            values.append(value.mean())
    return values[1] / values[0] - 1, rate


@pytest.mark.slow
def test_figures_of_an_audit_agree_with_a_plain_loop(network, tmp_path):
    suite = replace(TINY, goals=("class", *QUANTITIES))
    card = audit(network, load_dataset("digits"), SPEC, suite, tmp_path)
    figures = {figure.key: figure for figure in card.sections["quantities"].figures}
    assert set(figures) == {
        f"quantities/{quantity}{part}" for quantity in QUANTITIES for part in ("", "/class-lost")
    }
    for quantity in QUANTITIES:
        expected = [plain(network, quantity, suite, index) for index in range(suite.images)]
        increase = figures[f"quantities/{quantity}"]
        assert increase.value == pytest.approx(np.mean([each[0] for each in expected]))
        lost = figures[f"quantities/{quantity}/class-lost"]
        assert lost.value == pytest.approx(1 - np.mean([each[1] for each in expected]))
    # Other audits are compared without these figures.
    assert "quantities" not in replace(suite, goals=("class",)).as_json(load_dataset("digits"))


def test_invalid_goals_of_an_audit_are_refused(network, tmp_path):
    with pytest.raises(UnknownNameError):
        replace(TINY, goals=("class", "power"))
    with pytest.raises(ValidationError):
        replace(TINY, goals=("energy",))
    with pytest.raises(UnsupportedFeatureError):
        audit(
            network,
            load_dataset("digits"),
            replace(SPEC, profile=None),
            replace(TINY, goals=("class", "energy")),
            tmp_path,
        )


@pytest.mark.slow
def test_a_campaign_with_quantities(network, tmp_path, command):
    (tmp_path / "campaign.toml").write_text(
        f"""
        network = "{network}"
        goals = ["untargeted", "energy", "output-spikes"]
        trials = 10
        budgets = [60]
        bounds = ["l2=2"]
        deployments = ["native,profile=loihi1,steps=40,seed=3,meter=energy:0.05"]
        attacks = [
            {{ name = "random-noise" }},
            {{ name = "white-box", settings = {{ steps = 5 }} }},
        ]
        [images]
        dataset = "digits"
        indices = [0, 1]
        """,
        encoding="utf-8",
    )
    code, out, _ = command(
        "campaign", str(tmp_path / "campaign.toml"), "--out", str(tmp_path / "out"), "--json"
    )
    assert code == 0
    rows = {(row["attack"], row["goal"]): row for row in json.loads(out)["attacks"]}
    assert len(rows) == 6
    for (_, goal), row in rows.items():
        assert row["failed"] == 0
        assert row["images"] == 2
        assert (row["median_increase"] is None) == (goal == "untargeted")
        assert row["targeted"] is False
    code, out, _ = command("campaign", "status", str(tmp_path / "out"), "--json")
    assert code == 0


def test_the_command_reports_increases(network, command):
    code, out, _ = command(
        "attack", str(network), "--profile", "loihi1", "--steps", "40", "--goal", "energy",
        "--queries", "60", "--trials", "10", "--index", "0:2", "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found["goal"] == "energy"
    assert found["deployment"].endswith("meter=energy")
    for image in found["images"]:
        cost = image["cost"]
        before, after = (
            cost["energy_pj_lower"][name] + cost["energy_pj_upper"][name]
            for name in ("original", "adversarial")
        )
        assert image["increases"]["energy"] == pytest.approx(after / before - 1)
    increases = [image["increases"]["energy"] for image in found["images"]]
    assert found["increases"]["energy"]["median"] == pytest.approx(np.mean(increases))


@pytest.mark.parametrize(
    "options",
    [
        ("--goal", "energy"),
        ("--goal", "power"),
        ("--goal", "energy", "--profile", "loihi1", "--target-class", "3"),
        ("--goal", "energy", "--profile", "loihi1", "--attack", "sparse-rs", "--norm", "l0"),
        ("--goal", "energy", "--profile", "loihi1", "--meter", "energy:many"),
        ("--goal", "energy", "--profile", "loihi1", "--meter", "spikes:0.1"),
        ("--goal", "uncertainty", "--meter", "spikes"),
        ("--meter", "spikes"),
        ("--goal", "output-spikes", "--response", "labels"),
    ],
)
def test_contradictory_options_are_one_sentence(network, command, options):
    code, out, err = command("attack", str(network), "--queries", "10", "--steps", "10", *options)
    assert code == 2
    assert "Traceback" not in out + err


@pytest.mark.parametrize("name", ["evaluate", "latency", "preflight", "serve", "compare"])
def test_only_attacks_read_a_meter(network, command, name):
    code, _, err = command(name, str(network), "--meter", "spikes")
    assert code == 2
    assert "No such option: --meter" in err


def test_the_function_reports_increases(network):
    digits = na.load_dataset("digits")
    attack = na.attacks.RandomNoise(na.L2(2.0), queries=60)
    with na.deploy(na.load(network), profile="loihi1", steps=40) as model:
        result = na.attack(
            model, digits.test[:3], attack, maximize="energy", meter_noise=0.05, trials=10
        )
        other = na.attack(model, digits.test[:3], attack, maximize="uncertainty", trials=10)
        with pytest.raises(ValidationError):
            na.attack(model, digits.test[:3], attack, maximize="energy", target_classes=3)
        for quantity in (None, "uncertainty"):
            with pytest.raises(ValidationError, match="meter_noise: got 0"):
                na.attack(
                    model, digits.test[:3], attack, maximize=quantity, meter_noise=0.1, trials=2
                )
        with pytest.raises(UnsupportedFeatureError):
            na.attack(model, digits.test[:3], attack, maximize="latency")
    assert set(result.increases) >= {"energy", "spikes", "synaptic_operations"}
    page = render_report([result], title="", provenance=())
    assert f"{100 * result.increases['energy']['median']:+.1f}" in page
    for each in result.images:
        changes = [each.cost.changes[f"energy_pj_{end}"] for end in ("lower", "upper")]
        shown = all(change.difference_ci95[0] > 0 for change in changes)
        kept = "increased" if shown else "no effect shown"
        assert verdict(each) == (kept if each.success.rate > 0.5 else "class lost")
    assert "uncertainty" in other.increases
    assert result.as_json()["goal"] == "energy"


def test_a_potential_as_the_output_has_no_output_spikes():
    spiking = small_network()
    output = replace(spiking.populations[-1], threshold_v=np.inf)
    populations = (*spiking.populations[:-1], output)
    network = replace(spiking, populations=populations, readout_quantity="final_potential")
    attack = na.attacks.RandomNoise(na.L2(2.0), queries=20)
    image = np.full((1, 28, 28), 0.5)
    with na.deploy(network, steps=10) as model:
        with pytest.raises(UnsupportedFeatureError, match="'output-spikes': got a potential"):
            na.attack(model, image, [0], attack, maximize="output-spikes", trials=2)
        result = na.attack(model, image, [0], attack, maximize="uncertainty", trials=2)
    assert "uncertainty" in result.increases


def test_a_function_with_a_meter():
    def chip(images):
        rows = images.reshape(len(images), -1)
        counts = np.column_stack([20 + 10 * rows[:, 0], 5 + 10 * rows[:, 1]]).round()
        return counts.astype(int), 1000 * rows.sum(axis=1)

    target = na.target(chip, image_shape=(2, 2), classes=2, meter="energy")
    response = target.query(np.full((3, 2, 2), 0.5))
    np.testing.assert_array_equal(response, [[25, 10, 2000]] * 3)
    image = np.full((1, 2, 2), 0.4)
    attack = na.attacks.CountRegression(na.LInf(0.2), queries=200)
    result = na.attack(target, image, [0], attack, maximize="energy", trials=5)
    np.testing.assert_allclose(result.adversarial, 0.6, atol=1e-6)
    with pytest.raises(ValidationError, match="got energy, expected none"):
        na.attack(target, image, [0], attack, trials=5)
    for bad in (
        lambda images: images.reshape(len(images), -1)[:, :2],
        lambda images: (np.ones((len(images), 2), int), np.ones(1)),
        lambda images: (np.ones((len(images), 2), int), np.full(len(images), -1.0)),
        lambda images: (np.ones((len(images), 2), int), np.full(len(images), np.nan)),
    ):
        with pytest.raises(ValidationError):
            na.target(bad, image_shape=(2, 2), classes=2, meter="energy").query(image.repeat(3, 0))
    for unknown in ("power", 3):
        with pytest.raises(UnknownNameError, match="unknown meter"):
            na.target(chip, image_shape=(2, 2), classes=2, meter=unknown)
    with pytest.raises(ValidationError):
        na.target(chip, image_shape=(2, 2), classes=2, meter="energy", response="labels")
