"""Read and validate the configuration file of a campaign."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import ValidationError as SchemaError

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Quantity
from neuroattack.attacks.protocol import Attack
from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.attacks.registry import make_attack, present_name
from neuroattack.datasets import OWN_SUFFIXES
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import FileError, NeuroattackError, UnknownNameError
from neuroattack.experiments.attack_cells import REFERENCE
from neuroattack.experiments.substitutes import with_folder
from neuroattack.files import tomllib
from neuroattack.hardware.profiles.files import is_profile_path

__all__ = ["AttackChoice", "CampaignConfig", "Images", "read_config"]

_ANY_BOUND = 1.0
_MAX_QUERIES = 10**7
_MAX_IMAGES = 10**6

Value = TypeVar("Value")


def _unique(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if len(set(map(str, values))) < len(values):
        raise ValueError("expected different values")
    return values


def _deployment(value: object) -> DeploymentSpec:
    if isinstance(value, DeploymentSpec):
        return value
    if isinstance(value, str):
        return DeploymentSpec.from_text(value)
    if isinstance(value, dict):
        return DeploymentSpec.from_values(value)
    raise ValueError(  # pydantic reports ValueErrors
        "expected a deployment: 'native,profile=loihi1' or { profile = 'loihi1' }"
    )


def _bound(text: str) -> str:
    norm, at, reference = text.partition("@")
    if at and reference != REFERENCE:
        raise UnknownNameError("reference of a bound", reference, [REFERENCE])
    Bound.from_text(f"{norm}={_ANY_BOUND}" if at else text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Images(_Part):
    """Test images to attack: a number of random images, or indices.

    Parameters
    ----------
    dataset : str, optional
        Data set; by default that of the network's training. File names are relative to the
        configuration's folder.
    count : int, optional
        Number of random images, all classified correctly by all deployments.
    indices : tuple of int, optional
        Indices of images, whether or not they are classified correctly.
    """

    dataset: str | None = None
    count: Annotated[int, Field(ge=1, le=_MAX_IMAGES)] | None = None
    indices: (
        Annotated[
            tuple[Annotated[int, Field(ge=0)], ...],
            Field(min_length=1),
            AfterValidator(_unique),
        ]
        | None
    ) = None


class AttackChoice(_Part):
    """An attack and its settings.

    Parameters
    ----------
    name : str
        Name of the attack, one of :func:`neuroattack.attacks.registry.attack_names`.
    settings : dict, optional
        Parameters of its constructor other than the defaults.
    """

    name: Annotated[str, AfterValidator(present_name)]
    settings: dict[str, Any] = Field(default_factory=dict)

    def model_post_init(self, _: Any) -> None:
        """Raise an error if the attack cannot be made."""
        self.make()

    def make(self) -> Attack:
        """Return the attack with an arbitrary bound, to validate and inspect it."""
        return make_attack(self.name, Bound("l2", _ANY_BOUND), 1, 0, self.settings)

    def __str__(self) -> str:
        return f"{self.name} {self.settings}" if self.settings else self.name


Texts = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_unique)]


class CampaignConfig(_Part):
    """A campaign: every attack, at every bound and budget, on every image of every deployment.

    Parameters
    ----------
    network : Path, optional
        Network file, relative to the folder of the configuration; not needed if all deployments
        are remote or conventional.
    dnn : Path, optional
        Model file of the conventional network, for the deployment ``dnn``.
    seed : int, optional
        Random seed of the images, target classes and attacks.
    trials : int, optional
        Number of fresh trials per image.
    deployments : tuple of DeploymentSpec, optional
        Attacked deployments; profile files are relative to the folder of the configuration.
    goals : tuple of str, optional
        Goals: ``"untargeted"``; ``"random"``, a random target class per image; or a quantity to
        maximize, see :class:`neuroattack.attacks.goals.Goal`.
    budgets : tuple of int
        Query budgets per search.
    bounds : tuple of str
        Norm bounds such as ``"l2=2"``, or ``"local_sd@greedy-window"`` for the distance that
        Algorithm 1 used on each image.
    attacks : tuple of AttackChoice
        Attacks to compare.
    images : Images
        Images to attack.
    """

    network: Path | None = None
    dnn: Path | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    trials: Annotated[int, Field(ge=1, le=100_000)] = 50
    deployments: Annotated[
        tuple[Annotated[DeploymentSpec, BeforeValidator(_deployment)], ...],
        Field(min_length=1),
        AfterValidator(_unique),
    ] = (DeploymentSpec(),)
    goals: Annotated[
        tuple[Literal["untargeted", "random", Quantity], ...],
        Field(min_length=1),
        AfterValidator(_unique),
    ] = ("untargeted",)
    budgets: Annotated[
        tuple[Annotated[int, Field(ge=1, le=_MAX_QUERIES)], ...],
        Field(min_length=1),
        AfterValidator(_unique),
    ]
    bounds: Annotated[
        tuple[Annotated[str, AfterValidator(_bound)], ...],
        Field(min_length=1),
        AfterValidator(_unique),
    ]
    attacks: Annotated[tuple[AttackChoice, ...], Field(min_length=1), AfterValidator(_unique)]
    images: Images

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values, in the structure of the configuration file."""
        values = self.model_dump(mode="python")
        values["network"] = None if self.network is None else str(self.network)
        values["dnn"] = None if self.dnn is None else str(self.dnn)
        values["deployments"] = [str(spec) for spec in self.deployments]
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
        }


def read_config(path: str | os.PathLike[str]) -> CampaignConfig:
    """Read a configuration file in TOML.

    Raises
    ------
    FileError
        If it cannot be read, or a key is missing, unknown or invalid; the first such key is named.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(path, "is missing, expected the configuration of a campaign") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(path, f"cannot be read as TOML: {error}") from None
    config = config_of(values, path)
    if (config.images.count is None) == (config.images.indices is None):
        raise FileError(path, "images: expected either count or indices")
    specs = config.deployments
    if config.dnn is None and any(spec.kind == "dnn" for spec in specs):
        raise FileError(path, "dnn: missing, but a deployment is the conventional network")
    if config.network is None and any(spec.kind == "network" for spec in specs):
        raise FileError(path, "network: missing, but a deployment simulates it")
    if config.network is None and config.images.dataset is None:
        raise FileError(path, "images.dataset: missing, and required without a network")
    for spec in specs:
        if spec.kind != "network":
            _check_black_box_suffices(config, spec, path)
        if spec.response == "labels":
            _check_labels_suffice(config, spec, path)
    folder = path.absolute().parent
    specs = tuple(
        replace(spec, profile=str(folder / spec.profile))
        if spec.profile and is_profile_path(spec.profile)
        else spec
        for spec in specs
    )
    attacks = tuple(
        attack.model_copy(update={"settings": with_folder(attack.settings, folder)})
        for attack in config.attacks
    )
    dataset = config.images.dataset
    if dataset is not None and dataset.lower().endswith(OWN_SUFFIXES):
        dataset = str(folder / dataset)
    return config.model_copy(
        update={
            "deployments": specs,
            "attacks": attacks,
            "network": None if config.network is None else folder / config.network,
            "dnn": None if config.dnn is None else folder / config.dnn,
            "images": config.images.model_copy(update={"dataset": dataset}),
        }
    )


def _check_black_box_suffices(config: CampaignConfig, spec: DeploymentSpec, path: Path) -> None:
    for attack in config.attacks:
        if needs_network(attack.make()):
            raise FileError(
                path,
                f"attacks: {attack.name!r} needs the network itself, but the deployment "
                f"{str(spec)!r} does not simulate it",
            )


def _check_labels_suffice(config: CampaignConfig, spec: DeploymentSpec, path: Path) -> None:
    reason = f"but the deployment {str(spec)!r} returns labels"
    for bound in config.bounds:
        if "@" in bound:
            raise FileError(
                path,
                f"bounds: {bound!r} needs {REFERENCE}, which is score-based, {reason}; "
                "use a fixed bound such as l2=2",
            )
    for attack in config.attacks:
        if attack.make().kind == "score":
            raise FileError(
                path,
                f"attacks: {attack.name!r} is score-based and needs spike counts, {reason}",
            )


def config_of(values: dict[str, Any], path: Path) -> CampaignConfig:
    """Validate parsed values; FileError names `path` and the first invalid key."""
    try:
        return CampaignConfig.model_validate(values)
    except SchemaError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise FileError(path, f"{key}: {_message(first)}") from None
    except NeuroattackError as error:
        raise FileError(path, str(error)) from None


# Replaces messages of pydantic that refer to Python types instead of TOML.
_EXPECTED = {
    "tuple_type": "expected a list",
    "model_type": "expected a table, such as { name = 'count-regression' } for an attack",
    "dict_type": "expected a table",
    "too_short": "expected at least one",
    "path_type": "expected the path of a file, as text",
}


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the known keys of the table that contains an unknown key."""
    parts: dict[str, type[BaseModel]] = {"images": Images, "attacks": AttackChoice}
    part = parts[str(location[0])] if len(location) > 1 else CampaignConfig
    return list(part.model_fields)


def _message(first: Any) -> str:
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(first["loc"]), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"unknown key{meant}; see docs/campaigns.md"
    if first["type"] == "missing":
        return "missing"
    got = repr(first["input"])
    text = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return f"got {got if len(got) < 60 else got[:57] + '...'}, {_EXPECTED.get(first['type'], text)}"
