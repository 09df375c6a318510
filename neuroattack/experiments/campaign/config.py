"""The file that says what a campaign does, checked key by key."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import ValidationError as SchemaError

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.protocol import Attack
from neuroattack.attacks.registry import make_attack, present_name
from neuroattack.datasets import OWN_SUFFIXES
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import FileError, NeuroattackError, UnknownNameError
from neuroattack.experiments.attack_cells import REFERENCE
from neuroattack.files import tomllib
from neuroattack.hardware.profiles.files import is_profile_path

__all__ = ["AttackChoice", "CampaignConfig", "Images", "read_config"]

_ANY_BOUND = 1.0
_MOST_QUERIES = 10**7
_MOST_IMAGES = 10**6

Value = TypeVar("Value")


def _each_once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if len(set(map(str, values))) < len(values):
        raise ValueError("each may stand there once")
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
    measure, at, reference = text.partition("@")
    if at and reference != REFERENCE:
        raise UnknownNameError("reference of a bound", reference, [REFERENCE])
    Bound.from_text(f"{measure}={_ANY_BOUND}" if at else text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Images(_Part):
    """Which test images: so many by chance, or these.

    Parameters
    ----------
    dataset : str, optional
        By default the one that the network was trained on; a file's name is read from the
        configuration's folder.
    count : int, optional
        So many that all deployments classify correctly, in an order drawn from the seed.
    indices : tuple of int, optional
        These instead, classified correctly or not.
    """

    dataset: str | None = None
    count: Annotated[int, Field(ge=1, le=_MOST_IMAGES)] | None = None
    indices: (
        Annotated[
            tuple[Annotated[int, Field(ge=0)], ...],
            Field(min_length=1),
            AfterValidator(_each_once),
        ]
        | None
    ) = None


class AttackChoice(_Part):
    """An attack, and what of its parameters is not as by default.

    Parameters
    ----------
    name : str
        One of :func:`neuroattack.attacks.registry.attack_names`.
    settings : dict, optional
        Parameters of its constructor.
    """

    name: Annotated[str, AfterValidator(present_name)]
    settings: dict[str, Any] = Field(default_factory=dict)

    def model_post_init(self, _: Any) -> None:
        """Refuse what there is not."""
        self.made()

    def made(self) -> Attack:
        """Return the attack at some bound, for what it says of itself."""
        return make_attack(self.name, Bound("l2", _ANY_BOUND), 1, 0, self.settings)

    def __str__(self) -> str:
        return f"{self.name} {self.settings}" if self.settings else self.name


Texts = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]


class CampaignConfig(_Part):
    """A campaign: every attack, at every bound and budget, on every image of every deployment.

    Parameters
    ----------
    network : Path, optional
        File of the network, relative to the folder of the configuration; not needed where all
        deployments are served or conventional.
    dnn : Path, optional
        Of the conventional network, for the deployment ``dnn``.
    seed : int, optional
        Of the choice of images and of all chance of the attacks.
    trials : int, optional
        Fresh draws by which an image is judged.
    deployments : tuple of DeploymentSpec, optional
        Where the network is attacked; a profile's file is read from the configuration's folder.
    goals : tuple of {"untargeted", "random"}, optional
        ``"random"``: targeted at a wrong class, drawn for each image.
    budgets : tuple of int
        Queries of a search.
    bounds : tuple of str
        ``"l2=2"``, or ``"local_sd@greedy-window"``.
    attacks : tuple of AttackChoice
        What is compared.
    images : Images
        What is attacked.
    """

    network: Path | None = None
    dnn: Path | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    trials: Annotated[int, Field(ge=1, le=100_000)] = 50
    deployments: Annotated[
        tuple[Annotated[DeploymentSpec, BeforeValidator(_deployment)], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
    ] = (DeploymentSpec(),)
    goals: Annotated[
        tuple[Literal["untargeted", "random"], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
    ] = ("untargeted",)
    budgets: Annotated[
        tuple[Annotated[int, Field(ge=1, le=_MOST_QUERIES)], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
    ]
    bounds: Annotated[
        tuple[Annotated[str, AfterValidator(_bound)], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
    ]
    attacks: Annotated[tuple[AttackChoice, ...], Field(min_length=1), AfterValidator(_each_once)]
    images: Images

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, as :func:`read_config` takes it."""
        values = self.model_dump(mode="python")
        values["network"] = None if self.network is None else str(self.network)
        values["dnn"] = None if self.dnn is None else str(self.dnn)
        values["deployments"] = [str(spec) for spec in self.deployments]
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
        }


def read_config(path: str | os.PathLike[str]) -> CampaignConfig:
    """Read a configuration in TOML.

    Raises
    ------
    FileError
        If it cannot be read, or a key is missing, unknown or out of range; the first is named.
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
        raise FileError(path, "dnn: is missing, and a deployment is the conventional network")
    if config.network is None and any(spec.kind == "network" for spec in specs):
        raise FileError(path, "network: is missing, and a deployment simulates it")
    if config.network is None and config.images.dataset is None:
        raise FileError(path, "images.dataset: is missing, and there is no network to take it from")
    for spec in specs:
        if spec.response == "labels":
            _check_content_with_labels(config, spec, path)
    folder = path.absolute().parent
    specs = tuple(
        replace(spec, profile=str(folder / spec.profile))
        if spec.profile and is_profile_path(spec.profile)
        else spec
        for spec in specs
    )
    dataset = config.images.dataset
    if dataset is not None and dataset.lower().endswith(OWN_SUFFIXES):
        dataset = str(folder / dataset)
    return config.model_copy(
        update={
            "deployments": specs,
            "network": None if config.network is None else folder / config.network,
            "dnn": None if config.dnn is None else folder / config.dnn,
            "images": config.images.model_copy(update={"dataset": dataset}),
        }
    )


def _check_content_with_labels(config: CampaignConfig, spec: DeploymentSpec, path: Path) -> None:
    told = f"{str(spec)!r} returns the class only"
    for bound in config.bounds:
        if "@" in bound:
            raise FileError(
                path,
                f"bounds: {bound!r} needs the distances that {REFERENCE} reaches with counts, and "
                f"the deployment {told}; expected fixed bounds",
            )
    for attack in config.attacks:
        if attack.made().kind == "score":
            raise FileError(
                path,
                f"attacks: {attack.name!r} needs spike counts of every class, and the "
                f"deployment {told}",
            )


def config_of(values: dict[str, Any], path: Path) -> CampaignConfig:
    """Return the configuration of parsed values; FileError names `path` and the first bad key."""
    try:
        return CampaignConfig.model_validate(values)
    except SchemaError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise FileError(path, f"{key}: {_sentence(first)}") from None
    except NeuroattackError as error:
        raise FileError(path, str(error)) from None


# Where pydantic speaks of Python and not of TOML.
_EXPECTED = {
    "tuple_type": "expected a list",
    "model_type": "expected a table, such as { name = 'count-regression' } for an attack",
    "dict_type": "expected a table",
    "too_short": "expected at least one",
    "path_type": "expected the path of a file, as text",
}


def _keys_beside(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    parts: dict[str, type[BaseModel]] = {"images": Images, "attacks": AttackChoice}
    part = parts[str(place[0])] if len(place) > 1 else CampaignConfig
    return list(part.model_fields)


def _sentence(first: Any) -> str:
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _keys_beside(first["loc"]), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"no such key{meant}; see docs/campaigns.md"
    if first["type"] == "missing":
        return "is missing"
    got = repr(first["input"])
    expected = _EXPECTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"got {got if len(got) < 60 else got[:57] + '...'}; {expected}"
