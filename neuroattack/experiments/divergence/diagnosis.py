"""Diagnosis of two simulations of a network: the first spike that differs, and the cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.readout import decide
from neuroattack.errors import ValidationError
from neuroattack.experiments.divergence.difference import (
    differing_events,
    find_differences,
)
from neuroattack.experiments.divergence.explanation import Explanation, explain
from neuroattack.experiments.divergence.network_parts import Replacement, replacements
from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.searches import count_mismatches
from neuroattack.experiments.divergence.sides import Recorded
from neuroattack.experiments.divergence.variation import REFERENCE, Cause
from neuroattack.ir.network import INPUT

__all__ = ["Course", "DiagnosedSide", "Diagnosis", "diagnose"]

# Images and neurons of the explanation; those with differing spikes are taken first.
_MOST_IMAGES = 8
_MOST_NEURONS = 96

_STEPS_BEFORE, _STEPS_AFTER = 6, 3


@dataclass(frozen=True, eq=False)
class Course:
    """Potential and input of one neuron around a time step.

    Parameters
    ----------
    source : {"recorded", "replayed", "approximate"}
        Whether the potentials were recorded; or follow from the recorded spikes, by the dynamics
        that predict all of them; or, if there are no such dynamics, by those of the reference.
    steps : int array, shape (n,)
        Time steps.
    potentials, inputs : float64 array, shape (n,)
        Membrane potential before the reset, and sum of the weights that arrive, in volts or in
        units of the last bit.
    spikes : bool array, shape (n,)
        Recorded spikes.
    threshold : float
        Threshold of the neuron; infinite if it never spikes.
    """

    source: str
    steps: NDArray[np.intp]
    potentials: NDArray[np.float64]
    inputs: NDArray[np.float64]
    spikes: NDArray[np.bool_]
    threshold: float

    def distance(self, step: int) -> float | None:
        """Return the potential minus the threshold in a time step; None without a threshold."""
        if not np.isfinite(self.threshold):
            return None
        return float(self.potentials[np.flatnonzero(self.steps == step)[0]]) - self.threshold

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "source": self.source,
            "steps": self.steps.tolist(),
            "potentials": self.potentials.tolist(),
            "inputs": self.inputs.tolist(),
            "spikes": self.spikes.tolist(),
            "threshold": self.threshold if np.isfinite(self.threshold) else None,
        }


@dataclass(frozen=True, eq=False)
class DiagnosedSide:
    """One side of a diagnosis.

    Parameters
    ----------
    name, version : str
        Deployment or file, and version of the simulator.
    network_checksum, precision : str
        Checksum and precision of the network of the side.
    mismatches : dict of str to int
        Number of spikes of each population, in the compared images, that differ from those that the
        reference dynamics of the side's own network predict from the recorded spikes before them.
    explanations : tuple of Explanation
        Variations of the reference dynamics that explain the mismatches.
    course : Course or None
        Course of the neuron with the first differing spike.
    """

    name: str
    version: str
    network_checksum: str
    precision: str
    mismatches: dict[str, int]
    explanations: tuple[Explanation, ...]
    course: Course | None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "network_checksum": self.network_checksum,
            "precision": self.precision,
            "mismatches": self.mismatches,
            "explanations": [each.as_json() for each in self.explanations],
            "course": None if self.course is None else self.course.as_json(),
        }


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Comparison of the spikes of two simulations of a network.

    Parameters
    ----------
    images, steps : int
        Number of images, and number of time steps per image.
    sides : pair of DiagnosedSide
        The two sides.
    differing_spikes : dict of str to int
        Number of spikes of each population that only one side has.
    compared_images : int
        Number of images in which differences were located and explained.
    origins : dict of str to int
        Number of differing spikes in these images that no earlier difference can have caused; see
        :class:`neuroattack.experiments.divergence.difference.Difference`.
    first : (str, int, int, int) or None
        Population, image, step and neuron of the first differing spike in causal order.
    only_in : int or None
        Position of the side that has this spike.
    class_agreement : float or None
        Fraction of the images in which the same class has the most output spikes, or the highest
        output potential. None if potentials are the output, but were not recorded on both sides.
    differing_potentials : int or None
        Number of output potentials that differ in any bit. None if spikes are the output of the
        network, or potentials were not recorded on both sides.
    is_encoded_differently : bool
        Whether the input of one side are spikes, and that of the other the values of the pixels.
    replacements : tuple of Replacement
        Effect of each kind of parts in which the networks of the sides differ, if they do and both
        sides follow the reference dynamics.
    """

    images: int
    steps: int
    sides: tuple[DiagnosedSide, DiagnosedSide]
    differing_spikes: dict[str, int]
    compared_images: int
    origins: dict[str, int]
    first: tuple[str, int, int, int] | None
    only_in: int | None
    class_agreement: float | None
    differing_potentials: int | None = None
    is_encoded_differently: bool = False
    replacements: tuple[Replacement, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether all recorded spikes and output potentials are equal."""
        return self.first is None and not self.differing_potentials

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Classes of the first difference; empty if all spikes are equal."""
        if self.first is None:
            return ()
        if self.first[0] == INPUT or self.is_encoded_differently:
            return ("input",)
        population = self.first[0]
        found = dict.fromkeys(
            cause
            for side in self.sides
            for each in side.explanations
            if population in each.populations
            for cause in each.causes
        )
        if found:
            return tuple(found)
        parts = {each.cause: each.explained[population] for each in self.replacements}
        if not parts or max(parts.values()) <= 0:
            return ("unknown",)
        return (max(parts, key=lambda cause: parts[cause]),)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        located = None
        if self.first is not None and self.only_in is not None:
            parts = dict(zip(("population", "image", "step", "neuron"), self.first, strict=True))
            distances = [
                None if side.course is None else side.course.distance(self.first[2])
                for side in self.sides
            ]
            located = parts | {
                "only_in": self.sides[self.only_in].name,
                "distances_to_threshold": distances,
            }
        return {
            "images": self.images,
            "steps": self.steps,
            "agree": self.agree,
            "differing_spikes": self.differing_spikes,
            "differing_potentials": self.differing_potentials,
            "class_agreement": self.class_agreement,
            "compared_images": self.compared_images,
            "origins": self.origins,
            "first_difference": located,
            "causes": list(self.causes),
            "sides": [side.as_json() for side in self.sides],
            "replacements": [each.as_json() for each in self.replacements],
        }


def diagnose(
    one: Recorded,
    other: Recorded,
    *,
    on_progress: Callable[[str, float, str], None] | None = None,
) -> Diagnosis:
    """Compare two simulations of a network spike for spike, and explain where they differ.

    Each side is tested against the reference dynamics of its own network: are its spikes those that
    follow, step by step, from the recorded spikes before them? If not, the variation of the
    dynamics is searched that explains them. If both sides follow the reference dynamics, but their
    networks differ, the effect of each kind of parts is measured.

    Parameters
    ----------
    one, other : Recorded
        Recorded spikes of both sides for the same images; see
        :func:`neuroattack.experiments.divergence.sides.record`.
    on_progress : callable, optional
        Called with a stage, its completed fraction and a status text.

    Raises
    ------
    ValidationError
        If no population was recorded on both sides.
    """
    both, network = (one, other), one.network
    report = on_progress or (lambda *_: None)
    spikes = [dict(each.recorded.spikes) for each in both]
    common = [name for name in spikes[0] if name in spikes[1]]
    if not common:
        raise ValidationError(
            f"recorded spikes of {one.name} and {other.name}", "no population in common", "some"
        )
    events = {name: differing_events(spikes[0][name], spikes[1][name]) for name in common}
    chosen = np.unique(np.concatenate([each[:, 0] for each in events.values()]))[:_MOST_IMAGES]
    dense = [
        {name: each[chosen].to_dense() for name, each in several.items()} for several in spikes
    ]
    found = find_differences(network, *({name: each[name] for name in common} for each in dense))
    first = found.first
    only_in = None
    if first is not None:
        name, image, step, neuron = first
        only_in = 0 if dense[0][name][image, step, neuron] else 1
    diagnosed = []
    for position, (each, raster) in enumerate(zip(both, dense, strict=True)):
        report("Diagnosis", position / 2, each.name)
        diagnosed.append(_diagnosed(each, raster, chosen, first))
    report("Diagnosis", 1.0, "")
    parts: tuple[Replacement, ...] = ()
    if (
        first is not None
        and not any(sum(each.mismatches.values()) for each in diagnosed)
        and one.network.checksum() != other.network.checksum()
    ):
        parts = _parts(both, dense)
    class_agreement, differing_potentials = _compared_outputs(one, other)
    return Diagnosis(
        one.recorded.images,
        one.recorded.steps,
        (diagnosed[0], diagnosed[1]),
        {name: len(each) for name, each in events.items()},
        len(chosen),
        found.origins,
        None if first is None else (first[0], int(chosen[first[1]]), *first[2:]),
        only_in,
        class_agreement,
        differing_potentials,
        (one.values is None) != (other.values is None),
        parts,
    )


def _compared_outputs(one: Recorded, other: Recorded) -> tuple[float | None, int | None]:
    """Return the class agreement and the number of differing potentials, None if unknown."""
    outputs = one.outputs(), other.outputs()
    if outputs[0] is None or outputs[1] is None:
        return None, None
    agreement = float((decide(outputs[0]) == decide(outputs[1])).mean())
    if one.network.readout_quantity == "spike_count":
        return agreement, None
    return agreement, int((outputs[0] != outputs[1]).sum())


def _parts(
    both: tuple[Recorded, Recorded], dense: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[Replacement, ...]:
    """Return the effects of the parts, from the network in floating point to the other one."""
    one, other = (each.network for each in both)
    if one.precision == "floating":
        return replacements(one, other, dense[1])
    return replacements(other, one, dense[0])


def _diagnosed(
    side: Recorded,
    dense: dict[str, NDArray[np.bool_]],
    images: NDArray[np.intp],
    first: tuple[str, int, int, int] | None,
) -> DiagnosedSide:
    network = side.network
    sources: dict[str, NDArray[Any]] = dict(dense)
    if side.values is not None:
        steps = side.recorded.steps
        sources[INPUT] = np.repeat(side.values[images, None], steps, axis=1)
    # Of a file without all populations, those whose sources are recorded.
    complete = [
        p.name
        for p in network.populations
        if p.name in sources and all(q.source in sources for q in network.incoming(p.name))
    ]
    mismatches: dict[str, int] = {}
    complete_replays: dict[str, Replay] = {}
    replays = []
    for name in complete if len(images) else []:
        replay = Replay(network, name, sources)
        wrong = replay.run().spikes != replay.recorded
        mismatches[name] = int(wrong.sum())
        if mismatches[name]:
            complete_replays[name] = replay
            replays.append(Replay(network, name, sources, _neurons(wrong)))
    explanations = tuple(_of_all_neurons(each, complete_replays) for each in explain(replays))
    course = None
    if first is not None and first[0] in complete:
        course = _course(side, sources, images, first, explanations, mismatches[first[0]])
    return DiagnosedSide(
        side.name,
        side.version,
        network.checksum(),
        network.precision,
        mismatches,
        explanations,
        course,
    )


def _of_all_neurons(explanation: Explanation, replays: Mapping[str, Replay]) -> Explanation:
    """Return an explanation of some neurons with the mismatches of all."""
    those = [replays[name] for name in explanation.populations]
    before = count_mismatches(those, REFERENCE)
    left = explanation.unexplained
    if explanation.variation != REFERENCE:
        left = count_mismatches(those, explanation.variation)
    return replace(explanation, mismatches=before, unexplained=left)


def _neurons(wrong: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return neurons to explain: those with mismatches first, at most half of all."""
    per_neuron = wrong.sum(axis=(0, 1))
    differing = np.flatnonzero(per_neuron)[: _MOST_NEURONS // 2]
    others = np.flatnonzero(per_neuron == 0)[: _MOST_NEURONS - len(differing)]
    return np.sort(np.concatenate([differing, others]))


def _course(
    side: Recorded,
    sources: Mapping[str, NDArray[Any]],
    images: NDArray[np.intp],
    first: tuple[str, int, int, int],
    explanations: Sequence[Explanation],
    mismatches: int,
) -> Course:
    name, image, step, neuron = first
    variation = REFERENCE
    source = "approximate" if mismatches else "replayed"
    for each in explanations:
        if name in each.populations and not each.unexplained and each.variation != REFERENCE:
            variation, source = each.variation, "replayed"
    replay = Replay(side.network, name, sources, np.array([neuron]))
    replayed = replay.run(variation)
    potentials = replayed.potentials[image, :, 0]
    recorded = side.recorded.potentials.get(name)
    if recorded is not None:
        potentials, source = recorded[images[image], :, neuron], "recorded"
    window = np.arange(
        max(step - _STEPS_BEFORE, 0), min(step + _STEPS_AFTER + 1, side.recorded.steps)
    )
    return Course(
        source,
        window,
        potentials[window],
        replayed.inputs[image, window, 0],
        replay.recorded[image, window, 0],
        float(replay.threshold[0]),
    )
