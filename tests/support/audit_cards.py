"""Robustness cards of made-up figures, and the settings of a small audit."""

from neuroattack.experiments.audit.card import Card, Figure, Section, judge, rate_figure
from neuroattack.experiments.audit.suite import Suite
from neuroattack.experiments.campaign.bracket import Bracket
from neuroattack.provenance import Provenance

TINY = Suite(
    images=3,
    budgets=(10, 40),
    trials=8,
    accuracy_images=60,
    attacks=("count-regression", "random-noise"),
)

SUITE = {"version": 1, "images": 4, "budgets": [10, 40]}


def provenance(network="ab" * 32):
    return Provenance(
        command="neuroattack audit",
        seed=0,
        dataset="digits",
        dataset_checksum="cd" * 32,
        network_checksum=network,
        backend="native",
        backend_version="1",
        precision="floating",
        steps=50,
        dt_s=1e-3,
        versions="",
        machine="",
    )


def made_up(success_rates, accuracy=0.9, energy=None, suite=SUITE):
    """Return a card with an accuracy and one attack per key, given its success rates by image."""
    clean = Figure("clean/accuracy", "accuracy", "clean", accuracy, (accuracy - 0.1, 1.0), "higher")
    figures = tuple(
        rate_figure(f"attacks/{name}/40", name, "40 queries", each)
        for name, each in success_rates.items()
    )
    sections = {
        "clean": Section((clean,), {}),
        "attacks": Section(figures, {}),
    }
    if energy is not None:
        spikes = Figure(
            "energy/spikes", "spikes", "change", energy, None, "lower", "relative change"
        )
        sections["energy"] = Section((spikes,), {})
    return Card(suite, sections, judge(clean, figures), provenance(), Bracket())
