"""Faults in memory as a goal of audits."""

from dataclasses import replace

import numpy as np
import pytest
from support.audit_cards import TINY
from support.digit_models import template_model

from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.experiments.audit.audit import audit
from neuroattack.experiments.audit.suite import FAULT_MAPS, FAULT_RATES
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.faults.stored import Storage
from neuroattack.hardware.faults.maps import draw_faults
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.storage import load_network, save_network
from neuroattack.training.conversion import convert


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["loihi1", None])
def test_figures_agree_with_a_plain_loop(tmp_path, profile):
    path = tmp_path / "digits.h5"
    save_network(path, convert(template_model()).network)
    spec = DeploymentSpec(profile=profile, steps=30, seed=3)
    suite = replace(TINY, goals=("class", "faults"), accuracy_images=20)
    digits = load_dataset("digits")
    card = audit(path, digits, spec, suite, tmp_path / "cells")
    figures = {figure.key: figure for figure in card.sections["faults"].figures}
    assert set(figures) == {f"faults/{rate:g}" for rate in FAULT_RATES}
    chip = "float32" if profile is None else load_profile(profile)
    memory = Storage(chip).store(load_network(path))
    test = digits.test.first(20)
    for rate in FAULT_RATES:
        accuracies = []
        for number in range(FAULT_MAPS):
            faults = draw_faults(memory, rate, np.random.default_rng([3, number]))
            network = faults.apply(memory).read().network
            with deploy(network, steps=30, seed=3) as deployment:
                accuracies.append(evaluate(deployment, test.images, test.labels).accuracy)
        figure = figures[f"faults/{rate:g}"]
        assert figure.value == pytest.approx(np.mean(accuracies))
        assert figure.better == "higher"
