"""Places where a network can be attacked, said in one line: a deployment of it, or the DNN."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from neuroattack.deployment.deployment import check_settings, deploy
from neuroattack.encoding.encoders import ENCODERS
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.ir.network import Network, Precision
from neuroattack.ir.storage import load_network
from neuroattack.targets.black_box import Answers, Draws, Target
from neuroattack.targets.defenses import HardLabel
from neuroattack.targets.rates import GradedDeployment

__all__ = ["DNN", "OpenPlace", "Place", "open_place", "profile_checksum"]

DNN = "dnn"
"""The place that is a conventional network: not a simulator, and without chance."""


class OpenPlace(Protocol):
    """Gives black boxes of a place that is open."""

    def __call__(
        self, stream: int, budget: int | None = None, draws: Draws = "independent"
    ) -> Target:
        """Return a black box with that stream of draws and that many queries."""
        ...


@dataclass(frozen=True)
class Place:
    """Where and how a network answers.

    Parameters
    ----------
    backend : str, optional
        A simulator, or ``"dnn"`` for the conventional network, for which all but `answers` is of
        no matter and stays as it is by default.
    precision : {"floating", "fixed"}, optional
        By default that of the network.
    profile : str, optional
        Chip that holds the network: a name or a file.
    steps : int, optional
        Time steps T of a query.
    seed : int, optional
        Of the draws of input spikes.
    encoder : str, optional
        Kind of encoder; by default the network's own.
    answers : {"counts", "labels"}, optional
        What it tells of an image: the spikes of every class, or the class alone.
    search_draws : {"independent", "common"}, optional
        Whether each query of a search has a draw of input spikes of its own, or all of a batch
        have one in common, as where the encoder is the attacker's. Verdicts are on independent
        draws always.

    Raises
    ------
    ValidationError, UnknownNameError, BackendUnavailableError
        If there is no such place here.
    """

    backend: str = "native"
    precision: Precision | None = None
    profile: str | None = None
    steps: int = 350
    seed: int = 0
    encoder: str | None = None
    answers: Answers = "counts"
    search_draws: Draws = "independent"

    def __post_init__(self) -> None:
        if self.answers not in get_args(Answers):
            raise UnknownNameError("answers of a place", self.answers, get_args(Answers))
        if self.backend == DNN:
            for field in dataclasses.fields(self)[1:]:
                if field.name != "answers" and getattr(self, field.name) != field.default:
                    raise ValidationError(
                        "place", f"{DNN} with {field.name}", f"{DNN}, or {DNN},answers=labels"
                    )
            return
        check_settings(self.backend, self.steps, self.seed)
        if self.precision not in (None, "floating", "fixed"):
            raise ValidationError("precision of a place", self.precision, "floating or fixed")
        if self.precision is not None and self.profile is not None:
            raise ValidationError("precision of a place", self.precision, "none beside a profile")
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise UnknownNameError("encoder", self.encoder, ENCODERS)
        if self.search_draws not in get_args(Draws):
            raise UnknownNameError("search_draws of a place", self.search_draws, get_args(Draws))

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Read a place as people write it: ``native,profile=loihi1,steps=100`` or ``dnn``.

        The backend comes first; where it is left out it is ``native``.

        Raises
        ------
        ValidationError, UnknownNameError, BackendUnavailableError
            If it cannot be read, or there is no such place here.
        """
        settings: dict[str, Any] = {}
        known = [field.name for field in dataclasses.fields(cls)]
        for position, part in enumerate(text.split(",")):
            key, sign, value = (piece.strip() for piece in part.partition("="))
            if not sign and position == 0 and key:
                key, value = "backend", key
            elif not sign or not value:
                raise ValidationError(f"place {text!r}", repr(part), "a backend, then key=value")
            if key not in known:
                raise UnknownNameError("setting of a place", key, known)
            if key in settings:
                raise ValidationError(f"place {text!r}", f"{key} twice", "each setting once")
            settings[key] = _whole(key, value) if key in ("steps", "seed") else value
        return cls(**settings)

    def __str__(self) -> str:
        parts = [self.backend]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={value}")
        return ",".join(parts)

    @property
    def kind(self) -> Literal["sdbn", "dnn"]:
        """Which network answers there."""
        return "dnn" if self.backend == DNN else "sdbn"


def _whole(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValidationError(f"{key} of a place", repr(value), "a whole number") from None


def profile_checksum(place: Place) -> str:
    """Return the checksum of a place's profile; empty without one."""
    if place.profile is None:
        return ""
    from neuroattack.hardware.profiles.files import load_profile

    return load_profile(place.profile).checksum


@contextlib.contextmanager
def open_place(place: Place, network: Path, dnn: Path | None = None) -> Iterator[OpenPlace]:
    """Open a place to attack.

    Parameters
    ----------
    place : Place
        Where.
    network : Path
        File of the converted network.
    dnn : Path, optional
        File of the conventional model.

    Yields
    ------
    OpenPlace
        Gives black boxes.

    Raises
    ------
    NeuroattackError
        If a file cannot be read, or the network not be deployed there.
    """

    def told(target: Target) -> Target:
        return target if place.answers == "counts" else HardLabel(target)

    if place.backend == DNN:
        from neuroattack.training.dnn.storage import load_mlp

        if dnn is None:
            raise ValidationError("place", DNN, "a model of a conventional network beside it")
        model = load_mlp(dnn)
        graded = GradedDeployment(model.outputs, model.image_shape, model.classes)

        def boxes(stream: int, budget: int | None = None, draws: Draws = "independent") -> Target:
            del draws  # It draws nothing.
            return told(graded.black_box(stream, budget))

        yield boxes
        return
    with deploy(
        _with_encoder(load_network(network), place.encoder),
        backend=place.backend,
        precision=place.precision,
        profile=place.profile,
        steps=place.steps,
        seed=place.seed,
    ) as deployment:

        def draw_boxes(
            stream: int, budget: int | None = None, draws: Draws = "independent"
        ) -> Target:
            return told(deployment.black_box(stream, budget, draws))

        yield draw_boxes


def _with_encoder(network: Network, kind: str | None) -> Network:
    if kind is None or kind == network.input.encoder.kind:
        return network
    encoder = ENCODERS[kind](network.input.encoder.max_rate_hz)
    return dataclasses.replace(network, input=dataclasses.replace(network.input, encoder=encoder))
