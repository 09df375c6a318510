"""Made-up results of attacks on many images, in the form that the studies return."""

import numpy as np

from neuroattack.paper.adversarial_images import METRICS
from neuroattack.paper.networks import AttackedNetwork
from neuroattack.paper.population import PAIR, RANDOM, Group, compare_groups
from neuroattack.paper.published import ATTACK_CASES

UP = (0.0, 0.2, 0.4, 0.7)
UP_AND_DOWN = (0.1, 0.3, 0.2, 0.4, 0.3, 0.2)


def attack_of(targets, index=0, target=3, trials=10, fooled=4, spikes=None):
    """Return the result of an attack on a "five" with the given values of P(target)."""
    spike_fractions = []
    for value in targets:
        row = [0.0] * 10
        row[target], row[5] = value, 1 - value
        spike_fractions.append(row)
    best = int(np.argmax(targets))
    return {
        "index": index,
        "label": 5,
        "target_class": target,
        "best_iteration": best,
        "stopped_by": "distance",
        "queries": 51 * (len(targets) - 1),
        "distance": 2.5 * best,
        "gap": 2 * targets[best] - 1,
        "distances": [2.5 * i for i in range(len(targets))],
        "predicted": [target if value > 0.5 else 5 if value < 0.5 else -1 for value in targets],
        "spike_fractions": spike_fractions,
        "trials": trials,
        "targeted": fooled,
        "untargeted": fooled,
        "mean_spike_fractions": spike_fractions[best],
        "mean_gap": 2 * targets[best] - 1,
        "clean": {"trials": trials, "targeted": 0, "untargeted": 1, "spikes": spikes},
        "imperceptibility": dict.fromkeys(METRICS, 1.0),
    }


def group(network, case, pairs=PAIR, fooled=4, images=40, steps=None, repeats=1, spikes=None):
    """Return a group; `fooled` of ten trials succeed, for all images or given per image."""
    history = UP_AND_DOWN if network == "sdbn" else UP
    each = fooled if isinstance(fooled, list) else [fooled] * images
    attacks = [
        attack_of(history, index, fooled=number, spikes=spikes) for index, number in enumerate(each)
    ]
    attacked = AttackedNetwork("model.h5", "sdbn", "exact")
    if steps is not None:
        attacked = AttackedNetwork("model.h5", "sdbn", "spikes", steps, repeats)
    return Group(network, attacked, case, pairs, [], attacks)


def population(of_sdbn=1, of_dnn=9, random_sdbn=None):
    """Return a population with the given numbers of misclassifications in ten trials."""
    groups = [
        group(network, case, pairs, fooled)
        for network, fooled in (("sdbn", of_sdbn), ("dnn", of_dnn), ("sdbn-exact", of_sdbn))
        for case, pairs in (("I", PAIR), ("II", PAIR))
    ]
    groups += [
        group("sdbn", "I", RANDOM, of_sdbn if random_sdbn is None else random_sdbn),
        group("dnn", "I", RANDOM, of_dnn),
        group("sdbn-exact", "I", RANDOM, of_sdbn),
    ]
    found = {(one.network, one.case, one.pairs): one for one in groups}
    return {
        "groups": [
            one.as_json()
            | {"best_p_target_values": [float(history.max()) for history in one.histories]}
            for one in groups
        ],
        "comparisons": [
            compare_groups("test", one, found["dnn", one.case, one.pairs])
            for one in groups
            if one.network != "dnn"
        ],
        "cases": ATTACK_CASES,
        "max_iterations": 60,
        "trials": 10,
        "correct_by_all": 9000,
        "sampled_spikes": 42.0,
    }


def sampling(spikes=(10.0, 70.0, 200.0, 280.0), fooled=(1, 2, 3, 4), of_exact=9):
    """Return groups at T = 50, 350 and 1,000, and with 4 trials per query at T = 350."""
    swept = [(50, 1), (350, 1), (1000, 1), (350, 4)]
    groups = [
        group(network, "II", fooled=number, steps=steps, repeats=repeats, spikes=of_query)
        for network in ("sdbn", "sdbn-fine-tuned")
        for (steps, repeats), of_query, number in zip(swept, spikes, fooled, strict=True)
    ]
    noiseless = [
        group(name, "II", fooled=of_exact)
        for name in ("sdbn-exact", "sdbn-fine-tuned-exact", "dnn")
    ]
    comparisons = [
        compare_groups("test", one, exact)
        | {"first_steps": one.steps, "first_repeats": one.attacked.repeats}
        | {"second_steps": None, "second_repeats": 1}
        for one, exact in (
            (groups[2], noiseless[0]),
            (groups[3], noiseless[0]),
            (groups[6], noiseless[1]),
        )
    ]
    return {
        "groups": [one.as_json() for one in groups + noiseless],
        "comparisons": comparisons,
        "case": "II",
        "pairs": PAIR,
        "max_iterations": 60,
    }
