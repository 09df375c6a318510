"""The audit of a small network: figures compared with plain loops, the page and the command."""

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from support.audit_cards import TINY
from support.digit_models import template_model

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import verify
from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import SCALE
from neuroattack.datasets.transformations import Transformation
from neuroattack.deployment.deployment import deploy, search_stream, verification_stream
from neuroattack.deployment.spec import DeploymentSpec, profile_checksum
from neuroattack.errors import (
    BackendUnavailableError,
    UnknownNameError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.experiments.attack_cells import verify_images
from neuroattack.experiments.audit import cells as audit_cells
from neuroattack.experiments.audit import suite as audit_suite
from neuroattack.experiments.audit.audit import audit
from neuroattack.experiments.audit.card import Figure, judge, rate_figure
from neuroattack.experiments.audit.cells import transform_images
from neuroattack.experiments.audit.comparison import compare, read_baseline
from neuroattack.experiments.audit.sections import bracket_of_audit
from neuroattack.experiments.audit.suite import Suite, other_deployments
from neuroattack.experiments.engine.store import Store
from neuroattack.experiments.model_cells import keep_network
from neuroattack.ir.storage import load_network, save_network
from neuroattack.report.audit import render_card
from neuroattack.statistics import wilson_interval
from neuroattack.training.conversion import convert

STEPS = 40
DEPLOYMENT = DeploymentSpec(steps=STEPS, seed=3)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "digits.h5"
    save_network(path, convert(template_model()).network)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="module")
def card(network, folder):
    return audit(network, load_dataset("digits"), DEPLOYMENT, TINY, folder, workers=1)


def figure(card, key):
    return next(each for each in card.figures if each.key == key)


def test_a_card_has_every_section_and_no_key_twice(card):
    values = card.as_json()
    assert list(values["sections"]) == [
        "clean",
        "noise",
        "attacks",
        "reference",
        "transfer",
        "transformations",
        "energy",
    ]
    keys = [each.key for each in card.figures]
    assert len(set(keys)) == len(keys)
    for name, section in values["sections"].items():
        assert section["figures"] or section["skipped"]
        for each in section["figures"]:
            assert each["key"].startswith(f"{name}/")
            assert each["better"] in ("lower", "higher")
            low, high = each["ci95"]
            assert low <= each["value"] <= high
    assert values["regressions"] == []
    assert values["verdict"] in ("robust", "undecided", "fragile", "unreliable")
    assert values["provenance"]["seed"] == 3
    json.dumps(values, allow_nan=False)


def test_attack_figures_agree_with_a_plain_loop(card, network):
    test = load_dataset("digits").test
    rates = []
    with deploy(load_network(network), steps=STEPS, seed=3) as deployment:
        for index in range(TINY.images):
            goal = Goal(int(test.labels[index]))
            seed = int(np.random.SeedSequence([3, index]).generate_state(1)[0])
            attack = make_attack("random-noise", Bound("l2", 2.0), 40, seed)
            image = test.images[index].astype(float)
            found = attack.run(deployment.black_box(search_stream(index, None), 40), image, goal)
            judge_of = deployment.black_box(verification_stream(index, None))
            rates.append(verify(judge_of, found.adversarial, goal, TINY.trials).rate)
    assert figure(card, "attacks/random-noise/40").value == pytest.approx(np.mean(rates))
    assert figure(card, "attacks/random-noise/40").ci95 == pytest.approx(
        wilson_interval(sum(rates), TINY.images)
    )


@pytest.mark.slow
def test_substitutes_add_attacks_to_all_sections_that_list_them(network, tmp_path):
    suite = replace(TINY, budgets=(10,), attacks=("random-noise",), substitutes=(str(network),))
    data = load_dataset("digits")
    card = audit(network, data, DEPLOYMENT, suite, tmp_path, workers=1)
    keys = {each.key for each in card.figures if each.key.startswith("attacks/")}
    assert keys == {
        "attacks/random-noise/10",
        "attacks/count-regression+substitutes/10",
        "attacks/transfer+substitutes/10",
    }
    rates = []
    with deploy(load_network(network), steps=STEPS, seed=3) as deployment:
        for index in range(suite.images):
            goal = Goal(int(data.test.labels[index]))
            seed = int(np.random.SeedSequence([3, index]).generate_state(1)[0])
            settings = {"substitutes": str(network)}
            attack = make_attack("transfer", suite.bound, 10, seed, settings)
            box = deployment.black_box(search_stream(index, None), 10)
            found = attack.run(box, data.test.images[index].astype(float), goal)
            judge_of = deployment.black_box(verification_stream(index, None))
            rates.append(verify(judge_of, found.adversarial, goal, suite.trials).rate)
    assert figure(card, "attacks/transfer+substitutes/10").value == pytest.approx(np.mean(rates))
    assert {level.threat_model for level in card.bracket.levels} <= {
        "no data",
        "data and architecture",
    }
    assert suite.as_json(data) != replace(suite, substitutes=()).as_json(data)


def test_noise_figures_agree_with_a_plain_loop(card, network):
    test = load_dataset("digits").test.first(TINY.accuracy_images)
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(7,)))
    drawn = rng.standard_normal(test.images.shape, dtype=np.float32)
    noisy = np.clip(test.images + drawn * np.float32(0.05 / SCALE), 0, 1)
    with deploy(load_network(network), steps=STEPS, seed=3) as deployment:
        counts = deployment.record(noisy, indices=np.arange(len(noisy))).counts["output"]
    ordered = np.sort(counts, axis=1)
    right = (counts.argmax(axis=1) == test.labels) & (ordered[:, -1] > ordered[:, -2])
    assert figure(card, "noise/normal-0.05").value == pytest.approx(right.mean())


@pytest.fixture(scope="module")
def shown(card, folder):
    """Return the file of the images that other sections use, and the images."""
    (path,) = (folder / "images").glob("*.npz")
    with np.load(path) as arrays:
        return f"images/{path.name}", arrays["images"]


def misclassified(network, spec, images, trials, stream=lambda index: 10**15 + index):
    """Return the mean misclassified fraction of trials, by a plain loop."""
    labels, rates = load_dataset("digits").test.labels, []
    with deploy(load_network(network), steps=spec.steps, seed=spec.seed) as deployment:
        for index, image in enumerate(images):
            goal = Goal(int(labels[index]))
            rates.append(verify(deployment.black_box(stream(index)), image, goal, trials).rate)
    return np.mean(rates)


def test_transfer_uses_the_images_of_the_first_attack_at_the_largest_budget(card, network, shown):
    originals = load_dataset("digits").test.images
    assert all(Bound("l2", 2.0).holds(originals[i], image) for i, image in enumerate(shown[1]))
    there = replace(DEPLOYMENT, steps=STEPS // 2, seed=4)
    found = misclassified(
        network, there, shown[1], TINY.trials, lambda index: verification_stream(index, None)
    )
    assert figure(card, "transfer/half-steps").value == pytest.approx(found)


def test_transformation_figures_agree_with_a_plain_loop(card, network, folder, shown):
    data = load_dataset("digits")
    audited = {
        "network": keep_network(network, folder),
        "dnn": None,
        "dataset": data.name,
        "checksum": data.checksum,
        "deployment": str(DEPLOYMENT),
        "profile": "",
    }
    turn = Transformation("rotation+5", "rotation", 5)
    found = transform_images(
        audited=audited,
        indices=range(TINY.images),
        images=shown[0],
        transformation=turn.as_json(),
        trials=500,
        folder=folder,
    )
    rng = np.random.default_rng(0)
    originals = data.test.images[: TINY.images]
    for rates, images in zip(found["rates"], (shown[1], originals), strict=True):
        expected = misclassified(network, DEPLOYMENT, turn.apply(images, rng), 500)
        assert np.mean(rates) == pytest.approx(expected, abs=0.06)


def test_energy_figures_agree_with_counts_of_the_same_trials(card, network, shown):
    originals = load_dataset("digits").test.images
    trials = np.arange(TINY.trials, 2 * TINY.trials)
    ratios = []
    with deploy(load_network(network), steps=STEPS, seed=3) as deployment:
        for index, image in enumerate(shown[1]):
            after, before = (
                deployment.record(
                    np.repeat(each[None], TINY.trials, axis=0),
                    indices=trials,
                    stream=verification_stream(index, None),
                )
                .counts["output"]
                .sum()
                for each in (image, originals[index])
            )
            ratios.append(after / before)
    assert figure(card, "energy/spikes").value == pytest.approx(np.mean(ratios) - 1)


def test_the_bracket_is_that_of_the_figures(card):
    for level, budget in zip(card.bracket.levels, TINY.budgets, strict=True):
        assert (level.bound, level.budget, level.images) == ("l2=2", budget, TINY.images)
        attacks = [
            each for each in card.sections["attacks"].figures if each.key.endswith(f"/{budget}")
        ]
        strongest = max(attacks, key=lambda each: each.value)
        white_box, clean = (
            figure(card, "reference/white-box"),
            figure(card, "clean/misclassified"),
        )
        assert level.black_box.value == pytest.approx(strongest.value)
        assert level.black_box.ci95 == pytest.approx(strongest.ci95)
        assert level.white_box.value == pytest.approx(white_box.value)
        assert level.white_box.ci95 == pytest.approx(white_box.ci95)
        assert level.clean_error.value == pytest.approx(clean.value)
        assert level.efficiency.value == pytest.approx(strongest.value / white_box.value)
        assert level.threat_model == "no data"


@pytest.mark.slow
def test_finished_cells_are_not_repeated_with_any_number_of_workers(card, network, folder):
    with Store(folder) as store:
        keys = store.keys()
        lost = [key for key in keys if key.startswith("attack-random-noise-")]
        assert lost
        store.forget(lost)
        assert store.counts().waiting == len(lost)
    again = audit(network, load_dataset("digits"), DEPLOYMENT, TINY, folder, workers=2)
    assert again == card
    with Store(folder) as store:
        assert store.keys() == keys
        assert store.counts().done == len(keys)


def test_fewer_time_steps_are_a_regression_and_more_are_not(card, network, folder, tmp_path):
    worse = audit(
        network, load_dataset("digits"), replace(DEPLOYMENT, steps=4), TINY, folder, workers=1
    )
    path = tmp_path / "before.json"
    path.write_text(json.dumps(card.as_json()))
    found = {
        each.figure.key: each for each in compare(read_baseline(path), worse, 0.05).regressions
    }
    assert found["clean/accuracy"].supported
    assert found["clean/accuracy"].fall == pytest.approx(
        figure(card, "clean/accuracy").value - figure(worse, "clean/accuracy").value
    )
    path.write_text(json.dumps(worse.as_json()))
    assert "clean/accuracy" not in {
        each.figure.key for each in compare(read_baseline(path), card, 0.05).regressions
    }


def accuracy_of(value):
    return Figure("clean/accuracy", "accuracy", "clean", value, (0.0, 1.0), "higher")


@pytest.mark.parametrize(
    ("accuracy", "fractions", "verdict"),
    [
        # Wilson interval of 0 of 16: up to 0.1936; of 15: up to 0.2039; 2 of 40: 0.0138 to 0.165.
        (0.9, [0.0] * 16, "robust"),
        (0.9, [0.0] * 15, "undecided"),
        (0.9, [1.0] * 2 + [0.0] * 38, "robust"),
        # 8 of 20: from 0.2188; 7 of 20: from 0.1812.
        (0.9, [1.0] * 8 + [0.0] * 12, "fragile"),
        (0.9, [1.0] * 7 + [0.0] * 13, "undecided"),
        (0.49, [0.0] * 100, "unreliable"),
        (0.5, [0.0] * 100, "robust"),
    ],
)
def test_the_verdict_depends_on_the_interval_of_the_strongest_attack(accuracy, fractions, verdict):
    strongest = rate_figure("attacks/b/1", "b", "", fractions)
    others = rate_figure("attacks/a/1", "a", "", [0.0] * len(fractions))
    found = judge(accuracy_of(accuracy), [others, strongest])
    assert found.verdict == verdict
    if any(fractions):
        assert found.strongest is strongest


def test_a_chip_that_does_not_fit_is_reported(tmp_path, network):
    data = load_dataset("digits")
    found = verify_images(
        deployment="native,profile=xylo",
        profile=profile_checksum(DeploymentSpec(profile="xylo")),
        sources=[None],
        image_goals=[(0, None)],
        trials=1,
        network=keep_network(network, tmp_path),
        dnn=None,
        dataset=data.name,
        checksum=data.checksum,
        folder=tmp_path,
    )
    assert list(found) == ["refused"]
    assert "xylo" in found["refused"]


@pytest.mark.parametrize("error", [UnsupportedFeatureError, BackendUnavailableError])
def test_a_reference_that_does_not_support_the_network_is_missing(monkeypatch, error):
    def refuse(*, settings, **arguments):
        del settings, arguments
        raise error("the reference needs PyTorch")

    monkeypatch.setattr(audit_cells, "attack_image", refuse)
    refused = audit_cells.attack_openly(index=0)
    # Of both models of the network.
    assert refused == {"refused": "; ".join(["the reference needs PyTorch"] * 2)}
    success = {"success": {"successes": 4, "trials": 8}}
    results = {("originals",): {"rates": [[0.0, 0.25, 0.0]]}}
    for index in range(TINY.images):
        results["reference", str(index)] = refused
        for name, budget in itertools.product(TINY.attacks, TINY.budgets):
            results[name, str(budget), str(index)] = success
    bracket = bracket_of_audit(TINY, "native", results)
    assert bracket.missing == {"white-box": refused["refused"]}
    assert [level.verdict for level in bracket.levels] == ["no-reference"] * 2
    assert bracket.levels[0].black_box.value == 0.5
    assert bracket.levels[0].clean_error.value == pytest.approx(0.25 / 3)
    without = bracket_of_audit(replace(TINY, reference=None), "native", results)
    assert (without.levels, list(without.missing)) == (bracket.levels, ["white-box"])


def test_attacks_that_are_not_installed_are_skipped(monkeypatch):
    def make(name, limit, queries, seed):
        if name == "square":
            raise UnsupportedFeatureError("attack 'square' needs the extra 'attacks'")
        return make_attack(name, limit, queries, seed)

    monkeypatch.setattr(audit_suite, "make_attack", make)
    suite, skipped = Suite().available((28, 28), 10)
    assert suite.attacks == tuple(name for name in Suite().attacks if name != "square")
    assert skipped == {"square": "attack 'square' needs the extra 'attacks'"}


def test_attacks_that_need_rows_and_columns_are_skipped():
    suite, skipped = Suite().available((12,), 3)
    assert suite.attacks == ("count-regression", "sparse-rs", "random-noise")
    assert set(skipped) == {"greedy-window", "square"}


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"images": 0}, ValidationError, "images"),
        ({"budgets": ()}, ValidationError, "budgets"),
        ({"budgets": (20, 10)}, ValidationError, "increasing order"),
        ({"budgets": (10, 10)}, ValidationError, "increasing order"),
        ({"attacks": ()}, ValidationError, "attacks"),
        ({"attacks": ("count-regresion",)}, UnknownNameError, "did you mean 'count-regression'"),
        ({"trials": 0}, ValidationError, "trials"),
    ],
)
def test_invalid_suites_are_refused(values, kind, words):
    with pytest.raises(kind, match=words):
        Suite(**values)


def test_other_deployments_are_never_out_of_range():
    for spec in (
        DeploymentSpec(steps=1, seed=2**63 - 1),
        DeploymentSpec(steps=20_000),
        DeploymentSpec(precision="fixed"),
    ):
        assert len(set(other_deployments(spec))) == 5


class _Page(HTMLParser):
    """Text, identifiers and loaded resources of a page."""

    def __init__(self, page):
        super().__init__()
        self.text, self.ids, self.loads = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.loads += [value for name, value in attrs if name == "src"]
        if tag in ("script", "iframe", "object"):
            self.loads.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_contains_verdict_figures_and_regressions_and_loads_nothing(card, tmp_path):
    better = card.as_json()
    (attacked,) = (
        each
        for each in better["sections"]["attacks"]["figures"]
        if each["key"] == "attacks/count-regression/40"
    )
    attacked |= {"value": 0.0, "ci95": [0.0, 0.1]}
    path = tmp_path / "before.json"
    path.write_text(json.dumps(better))
    comparison = compare(read_baseline(path), card, 0.05)
    page = render_card(card, title="A <b>network</b>", comparison=comparison)
    parsed = _Page(page)
    text = " ".join(" ".join(parsed.text).split())
    assert parsed.loads == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org)", page)
    assert "A <b>network</b>" in text
    assert card.headline.verdict in text
    assert "bracket" in parsed.ids
    assert card.bracket.verdict in text.lower().replace("no reference", "no-reference")
    assert "attacks/count-regression/40" in text
    assert f"{100 * figure(card, 'attacks/count-regression/40').value:.0f}\u00a0%" in " ".join(
        parsed.text
    )
    assert page == render_card(card, title="A <b>network</b>", comparison=comparison)
    assert "against" in parsed.ids
    assert "against" not in _Page(render_card(card, title="A network")).ids


@pytest.fixture
def small_suite(monkeypatch):
    monkeypatch.setattr(audit_suite, "QUICK", TINY)


def one_object(out):
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.mark.slow
def test_exit_codes_of_the_command(command, network, small_suite, tmp_path):
    out = tmp_path / "out"
    common = ("audit", network, "--quick", "--images", 2, "--steps", STEPS, "--out", out)
    common += ("--workers", 1)
    code, stdout, err = command(*common, "--json")
    assert code == 0
    first = one_object(stdout)
    assert first == json.loads((out / "audit.json").read_text())
    assert "audit.html" in err
    assert (out / "audit.html").read_text().startswith("<!DOCTYPE html>")
    assert first["regressions"] == []

    before = tmp_path / "before.json"
    before.write_text(json.dumps(first))
    code, stdout, err = command(*common, "--against", before, "--json")
    again = one_object(stdout)
    assert (code, again["verdict"], again["regressions"]) == (0, first["verdict"], [])

    for each in first["sections"]["clean"]["figures"]:
        if each["better"] == "higher":
            each |= {"value": each["value"] + 0.06, "ci95": [each["ci95"][0], 2.0]}
    before.write_text(json.dumps(first))
    code, stdout, err = command(*common, "--against", before, "--json")
    found = one_object(stdout)
    assert code == 1
    assert [each["key"] for each in found["regressions"]] == ["clean/accuracy"]
    code, stdout, _ = command(*common, "--against", before, "--margin", 0.07)
    assert code == 0
    assert "attacks/count-regression/40" in stdout
    assert str(before) in stdout

    for arguments, words in (
        ((*common, "--images", 3, "--against", before), "'images'"),
        ((*common, "--against", out / "audit.json"), "--out"),
        ((*common, "--against", network), "audit.json written by"),
        ((*common, "--against", tmp_path / "none.json"), "no such file"),
        ((*common, "--margin", 2), "margin"),
        ((*common, "--images", 10**6), "images"),
        ((*common, "--backend", "nativ"), "did you mean 'native'"),
    ):
        code, stdout, err = command(*arguments)
        assert (code, stdout) == (2, "")
        assert err.count("\n") == 1
        assert words in err


@pytest.mark.slow
def test_the_whole_suite(command, network, tmp_path):
    out = tmp_path / "out"
    code, stdout, _ = command("audit", network, "--quick", "--out", out, "--json")
    assert code == 0
    found = one_object(stdout)
    tried = {each["row"] for each in found["sections"]["attacks"]["figures"]}
    assert tried | set(found["sections"]["attacks"]["skipped"]) == set(Suite().attacks)
    assert found["verdict"] == "fragile"
    random = {each["key"]: each["value"] for each in found["sections"]["attacks"]["figures"]}
    assert random["attacks/count-regression/200"] > random["attacks/random-noise/200"]
