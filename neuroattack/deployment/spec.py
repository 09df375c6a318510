"""Specification of deployments as text, as a table, or by command-line options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from neuroattack.deployment.deployment import Deployment, check_settings, deploy
from neuroattack.deployment.meters import Meter
from neuroattack.encoding.early_exit import EarlyExit
from neuroattack.encoding.encoders import (
    DirectEncoder,
    Encoder,
    PoissonEncoder,
    RandomRateEncoder,
    RateEncoder,
    highest_rate_hz,
)
from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.filters import FilteredEventEncoder
from neuroattack.encoding.registry import ENCODERS, encoder_from
from neuroattack.errors import (
    UnknownNameError,
    ValidationError,
)
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.network import Network, Precision
from neuroattack.targets.black_box import Randomness, Response, Target
from neuroattack.targets.defenses import CappedCounts, HardLabel, RoundedCounts
from neuroattack.targets.repetition import Repeated
from neuroattack.validation import check_integer, check_number

__all__ = [
    "DEFENSES",
    "DNN",
    "DeploymentSpec",
    "WeightRounding",
    "WeightScale",
    "is_address",
    "profile_checksum",
]

DNN = "dnn"
"""Backend name of the conventional network, which is deterministic and not simulated."""

_WRAPPERS: Mapping[str, Callable[[Target, int], Target]] = {
    "capped-counts": CappedCounts,
    "repeats": Repeated,
    "rounded-counts": RoundedCounts,
}
# Defenses that change the input spikes: settings of the encoder of a network that reads events.
_FILTERS = {
    "background-filter": "background_s",
    "mask-filter": "mask_events",
    "rate-limit": "rate_limit_steps",
}
_OF_INPUT = ("random-rate", *_FILTERS)
DEFENSES = (*_OF_INPUT, *_WRAPPERS)
"""Defenses of a deployment, each with a number, as in ``repeats:5``."""

WeightScale = Literal["shared", "per_projection"]
WeightRounding = Literal["nearest", "stochastic"]

# Settings of each kind of deployment besides the backend.
_OF_DNN = ("response", "defense")
_OF_SERVED = ("response", "defense", "token_file", "ca_file")
_OF_PROFILE = ("allow_lossy", "weight_scale", "weight_rounding")
_INTEGERS = ("steps", "seed")
_LARGEST_OF_DEFENSE = 10_000

# Intervals of the numbers of defenses; the others are integers.
_REAL_NUMBERS = {"random-rate": "(0, 1]", "background-filter": f"(0, {_LARGEST_OF_DEFENSE}]"}


def is_address(text: str) -> bool:
    """Return whether `text` is the address of a served network."""
    return text.startswith(("http://", "https://"))


@dataclass(frozen=True)
class DeploymentSpec:
    """Specification of a deployment: backend, hardware profile and settings.

    Written as ``native,profile=loihi1,steps=100`` on the command line and in results, as the same
    text or a table with the same keys in TOML, and as command-line options with these names.

    Parameters
    ----------
    backend : str, optional
        Name of a simulator; ``"dnn"`` for the conventional network; or the address of a served
        network.
    precision : {"floating", "fixed"}, optional
        Precision; by default that of the network.
    profile : str, optional
        Name or file of a hardware profile.
    steps : int, optional
        Number of time steps T per query; by default 350, or that of the event samples, see
        :meth:`for_samples`.
    seed : int, optional
        Random seed of the input spikes.
    encoder : str, optional
        Kind of encoder; by default that of the network. Another rate encoder has the same input
        rate; instead of direct coding, one spike per step at intensity 1, with the same mean input.
        Direct coding injects the intensity in every step, without scaling the weights.
    response : {"counts", "labels"}, optional
        Whether queries return the spike counts of all classes, or only the predicted class.
    search_randomness : {"independent", "shared"}, optional
        Whether each query of a search has independent input spikes, or all queries of a batch share
        their random numbers, as if the attacker controlled the encoder. Verification trials are
        always independent.
    defense : str, optional
        Defense and its number, such as ``"repeats:5"``: ``repeats`` responds with the sum of that
        many trials; ``rounded-counts`` and ``capped-counts`` round counts to multiples and limit
        them (:mod:`neuroattack.targets.defenses`); ``random-rate`` multiplies the input rate of
        each trial by a random factor, uniform within 1 plus or minus the number, for Poisson
        spikes. For networks that read events, ``background-filter``, ``mask-filter`` and
        ``rate-limit`` remove input events after the sensor noise
        (:mod:`neuroattack.encoding.filters`); their numbers are a time window in milliseconds, the
        largest number of events of a pixel in a sample, and the least number of time steps between
        two events of a pixel. A defense applies to the search and the verification.
    sensor_noise : str, optional
        For networks that read events: noise of the sensor, in every trial of the search and of the
        verification, such as ``"drop:0.05+jitter_s:0.001"``; settings of
        :class:`neuroattack.encoding.events.EventEncoder`. By default that of the network.
    meter : str, optional
        Meter that the attacker reads in every query, with its relative measurement noise, such as
        ``"energy"`` or ``"energy:0.05"`` (:mod:`neuroattack.deployment.meters`).
    exit : str, optional
        Early exit, such as ``"margin:5"`` or ``"first-spike"``: the network decides as soon as one
        class leads by that many output spikes
        (:class:`neuroattack.encoding.early_exit.EarlyExit`).
    allow_lossy : bool, optional
        Drop features that the profile does not support instead of refusing the network.
    weight_scale : {"shared", "per_projection"}, optional
        Whether the weights into a population share one scale.
    weight_rounding : {"nearest", "stochastic"}, optional
        Rounding of weights to the profile's number formats.
    token_file, ca_file : str, optional
        For served networks: file with the bearer token, and certificates to verify the server.
    device : str, optional
        Device of the backend ``torch``: ``"cpu"`` (default), ``"cuda"``, or one of several such as
        ``"cuda:1"``.

    Raises
    ------
    ValidationError, UnknownNameError, BackendUnavailableError
        If settings are invalid, or the backend is unknown or not available here.
    """

    backend: str = "native"
    precision: Precision | None = None
    profile: str | None = None
    steps: int | None = None
    seed: int = 0
    encoder: str | None = None
    response: Response = "counts"
    search_randomness: Randomness = "independent"
    defense: str | None = None
    sensor_noise: str | None = None
    meter: str | None = None
    exit: str | None = None
    allow_lossy: bool = False
    weight_scale: WeightScale = "shared"
    weight_rounding: WeightRounding = "nearest"
    token_file: str | None = None
    ca_file: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("response", get_args(Response)),
            ("search_randomness", get_args(Randomness)),
            ("weight_scale", get_args(WeightScale)),
            ("weight_rounding", get_args(WeightRounding)),
        ):
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{name} of a deployment", getattr(self, name), known)
        if self.defense is not None:
            _defense(self.defense)
        if self.sensor_noise is not None:
            EventEncoder.from_text(self.sensor_noise)
        self._check_meter()
        if self.exit is not None:
            EarlyExit.from_text(self.exit)
        changes_input = self.defense is not None and _defense(self.defense)[0] in _OF_INPUT
        if changes_input and self.kind != "network":
            raise ValidationError(
                f"defense of deployment {self.backend!r}", self.defense, "a simulated network"
            )
        if self.kind == "dnn":
            self._refuse_all_but(_OF_DNN, f"{DNN}, or {DNN},response=labels")
            return
        if self.kind == "served":
            self._refuse_all_but(_OF_SERVED, "none: the server determines how the network runs")
            return
        self._refuse(("token_file", "ca_file"), "the address of a served network as the backend")
        check_settings(self.backend, self.steps, self.seed, self.device)
        if self.precision not in (None, "floating", "fixed"):
            raise ValidationError("precision of a deployment", self.precision, "floating or fixed")
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise UnknownNameError("encoder", self.encoder, ENCODERS)
        if self.profile is None:
            self._refuse(_OF_PROFILE, "a profile in addition")
        elif self.precision is not None:
            raise ValidationError(
                "precision of a deployment", self.precision, "none with a profile"
            )

    def _check_meter(self) -> None:
        if self.reading is not None and (self.response == "labels" or self.changes_counts):
            raise ValidationError(
                f"meter of deployment {self.backend!r}",
                self.defense if self.changes_counts else self.response,
                "counts without a defense that changes them",
            )

    def _refuse_all_but(self, taken: tuple[str, ...], expected: str) -> None:
        names = tuple(field.name for field in dataclasses.fields(self)[1:])
        self._refuse(tuple(name for name in names if name not in taken), expected)

    def _refuse(self, names: tuple[str, ...], expected: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value != getattr(type(self), name):
                raise ValidationError(
                    f"{name} of deployment {self.backend!r}", repr(value), expected
                )

    @classmethod
    def from_text(cls, text: str) -> DeploymentSpec:
        """Parse a deployment such as ``native,profile=loihi1,steps=100`` or ``dnn``.

        The backend comes first; if omitted, it is ``native``.

        Raises
        ------
        ValidationError, UnknownNameError, BackendUnavailableError
            If the text or a setting is invalid, or the backend is unknown or not available here.
        """
        values: dict[str, str] = {}
        for position, part in enumerate(text.split(",")):
            key, sign, value = (piece.strip() for piece in part.partition("="))
            if position == 0 and part.strip() and (not sign or is_address(part.strip())):
                key, value = "backend", part.strip()
            elif not sign or not value:
                raise ValidationError(
                    f"deployment {text!r}", repr(part), "a backend, then key=value"
                )
            if key in values:
                raise ValidationError(f"deployment {text!r}", f"{key} twice", "each setting once")
            values[key] = value
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> DeploymentSpec:
        """Build a deployment from settings by name; numbers may be text.

        Raises
        ------
        ValidationError, UnknownNameError, BackendUnavailableError
            As :meth:`from_text`.
        """
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        settings: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise UnknownNameError("setting of a deployment", key, known)
            settings[key] = _of_type(key, value, known[key])
        return cls(**settings)

    def __str__(self) -> str:
        parts = [self.backend]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={str(value).lower() if value is True else value}")
        return ",".join(parts)

    @property
    def kind(self) -> Literal["network", "dnn", "served"]:
        """Kind of target: a simulated network, the conventional network, or a served network."""
        if self.backend == DNN:
            return "dnn"
        return "served" if is_address(self.backend) else "network"

    def _number_of(self, name: str) -> float | None:
        """Return the number of the defense if it has this name."""
        if self.defense is None:
            return None
        own, number = _defense(self.defense)
        return number if own == name else None

    @property
    def trials_per_query(self) -> int:
        """Number of trials of the network per query: 1 unless the defense is ``repeats``."""
        return int(self._number_of("repeats") or 1)

    @property
    def changes_counts(self) -> bool:
        """Whether the defense changes the counts of a trial."""
        return any(self._number_of(name) is not None for name in _WRAPPERS if name != "repeats")

    def wrap(self, target: Target) -> Target:
        """Return the target as the attacker sees it: with the defense, then the response."""
        for name, wrapper in _WRAPPERS.items():
            number = self._number_of(name)
            if number is not None:
                target = wrapper(target, int(number))
        return target if self.response == "counts" else HardLabel(target)

    @property
    def reading(self) -> Meter | None:
        """The meter that the attacker reads."""
        return None if self.meter is None else Meter.from_text(self.meter)

    def metered(self, quantity: str | None) -> DeploymentSpec:
        """Return the deployment with a meter of this quantity and no other; None for no meter."""
        if self.reading is not None and self.reading.quantity == quantity:
            return self
        return dataclasses.replace(self, meter=quantity)

    @property
    def rounding(self) -> Rounding | None:
        """Settings of the quantization; None without a profile."""
        if self.profile is None:
            return None
        return Rounding(
            scale=self.weight_scale,
            rounding=self.weight_rounding,
            seed=self.seed,
            allow_lossy=self.allow_lossy,
        )

    def for_samples(self, network: Network | None, samples: NDArray[Any]) -> DeploymentSpec:
        """Return the deployment with the number of time steps of event samples.

        It is unchanged if it runs on images.

        Parameters
        ----------
        network : Network or None
            Network, if the deployment simulates one.
        samples : array, shape (samples, ...)
            Images, or event samples of shape (samples, steps, ...).

        Raises
        ------
        ValidationError
            If the deployment has another number of steps, or the samples are no events.
        """
        if self.kind != "network" or network is None or not network.input.reads_events:
            return self
        steps = network.input.time_steps(self.steps, samples.shape)
        return dataclasses.replace(self, steps=steps)

    def deploy(self, network: Network, expected_images: int = 0) -> Deployment:
        """Deploy a network; see :func:`neuroattack.deployment.deployment.deploy`.

        Raises
        ------
        ValidationError
            If the backend is not a simulator.
        NeuroattackError
            If the network cannot be deployed.
        """
        if self.kind != "network":
            raise ValidationError("backend", repr(self.backend), "a simulator")
        network = _with_encoder(network, self.encoder)
        if self.sensor_noise is not None:
            network = _with_sensor(network, self.sensor_noise)
        for name, setting in _FILTERS.items():
            number = self._number_of(name)
            if number is not None:
                network = _with_filter(network, name, setting, number)
        return deploy(
            _with_random_rate(network, self._number_of("random-rate")),
            backend=self.backend,
            device=self.device,
            precision=self.precision,
            profile=self.profile,
            rounding=self.rounding,
            steps=self.steps,
            seed=self.seed,
            exit=self.exit,
            expected_images=expected_images,
        )


def _of_type(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if value not in (True, False, "true", "false"):
            raise ValidationError(f"{key} of a deployment", repr(value), "true or false")
        return value in (True, "true")
    if key in _INTEGERS:
        try:
            return int(value) if isinstance(value, str) else value
        except ValueError:
            raise ValidationError(f"{key} of a deployment", repr(value), "an integer") from None
    if not isinstance(value, str):
        raise ValidationError(f"{key} of a deployment", repr(value), "text")
    return value


def _defense(text: str) -> tuple[str, float]:
    """Return name and number of a defense such as ``repeats:5``."""
    name, _, number = text.partition(":")
    if name not in DEFENSES:
        raise UnknownNameError("defense", name, DEFENSES)
    is_integer = name not in _REAL_NUMBERS
    try:
        value = int(number) if is_integer else float(number)
    except ValueError:
        expected = "an integer" if is_integer else "a number"
        raise ValidationError(
            f"defense {name!r}", repr(number), f"{expected} after the name, as in {name}:1"
        ) from None
    if is_integer:
        return name, check_integer(f"defense {name!r}", value, 1, _LARGEST_OF_DEFENSE)
    return name, check_number(f"defense {name!r}", value, _REAL_NUMBERS[name])


def _with_sensor(network: Network, text: str) -> Network:
    own = network.input.encoder
    if not isinstance(own, EventEncoder):
        raise ValidationError("sensor noise", f"a network with {own.kind} encoder", "events")
    return dataclasses.replace(
        network, input=dataclasses.replace(network.input, encoder=EventEncoder.from_text(text))
    )


def _with_filter(network: Network, name: str, setting: str, number: float) -> Network:
    own = network.input.encoder
    if not isinstance(own, EventEncoder):
        raise ValidationError(f"defense {name!r}", f"{own.kind} encoder", "events")
    settings: dict[str, Any] = own.settings()
    settings[setting] = number / 1000 if setting == "background_s" else int(number)
    encoder = FilteredEventEncoder(shape=network.input.shape, **settings)
    return dataclasses.replace(network, input=dataclasses.replace(network.input, encoder=encoder))


def _with_random_rate(network: Network, spread: float | None) -> Network:
    if spread is None:
        return network
    own = network.input.encoder
    if not isinstance(own, PoissonEncoder):
        raise ValidationError("defense 'random-rate'", f"{own.kind} encoder", "Poisson spikes")
    encoder = RandomRateEncoder(own.max_rate_hz, spread)
    return dataclasses.replace(network, input=dataclasses.replace(network.input, encoder=encoder))


def _with_encoder(network: Network, kind: str | None) -> Network:
    own = network.input.encoder
    if kind is None or kind == own.kind:
        return network
    if EventEncoder.kind in {kind, own.kind}:
        raise ValidationError(
            "encoder of a deployment", repr(kind), f"{own.kind!r}: events are no images"
        )
    encoder: Encoder
    if kind == DirectEncoder.kind:
        encoder = DirectEncoder()
    elif isinstance(own, RateEncoder):
        encoder = encoder_from(kind, own.settings())
    else:
        # One spike per step at intensity 1, so that the mean input is the same.
        encoder = encoder_from(kind, {"max_rate_hz": highest_rate_hz(network.dt_s)})
    return dataclasses.replace(network, input=dataclasses.replace(network.input, encoder=encoder))


def profile_checksum(spec: DeploymentSpec) -> str:
    """Return the checksum of a deployment's profile; empty without a profile."""
    if spec.profile is None:
        return ""
    from neuroattack.hardware.profiles.files import load_profile

    return load_profile(spec.profile).checksum
