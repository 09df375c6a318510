"""Options that describe a deployment, the same for every command that takes one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuroattack.cli.arguments.options import (
    AllowLossy,
    Backend,
    Precision,
    ProfileName,
    Seed,
    Steps,
    WeightRounding,
    WeightScale,
)

if TYPE_CHECKING:
    from neuroattack.deployment.spec import DeploymentSpec

    GivenDeployment = Callable[..., DeploymentSpec]
else:
    # Importing the specification would make --help slow.
    GivenDeployment = Any

__all__ = ["Deployments", "GivenDeployment", "with_deployment"]

Deployments = Annotated[
    list[str] | None,
    typer.Option(
        "--deployment",
        metavar="<spec>",
        help="Deployment; repeat the option for several. A backend and its settings, such as "
        "native,profile=loihi1 or brian2,steps=100,seed=1; dnn; or the address of a served "
        "network.",
    ),
]

# Type, help and default of each option; the defaults are those of DeploymentSpec.
_FLAGS: dict[str, tuple[Any, Any]] = {
    "backend": (Backend, "native"),
    "device": (
        Annotated[
            str | None,
            typer.Option(
                help="Device of backend 'torch': 'cpu' (default), 'cuda', or one of several such "
                "as 'cuda:1'."
            ),
        ],
        None,
    ),
    "precision": (Precision, None),
    "profile": (ProfileName, None),
    "allow_lossy": (AllowLossy, False),
    "weight_scale": (WeightScale, "shared"),
    "weight_rounding": (WeightRounding, "nearest"),
    "encoder": (
        Annotated[
            str | None,
            typer.Option(
                help="Encoder of the input: 'poisson', 'regular' or 'direct'. Default: the "
                "network's own."
            ),
        ],
        None,
    ),
    "steps": (Steps, None),
    "exit": (
        Annotated[
            str | None,
            typer.Option(
                metavar="<rule>",
                help="Early exit of the readout: 'margin:5', when one class leads by 5 output "
                "spikes; or 'first-spike'. Default: after all time steps.",
            ),
        ],
        None,
    ),
    "seed": (Seed, 0),
    "response": (
        Annotated[
            Literal["counts", "labels"],
            typer.Option(
                help="Response to a query: spike counts of all classes, or the predicted class "
                "only."
            ),
        ],
        "counts",
    ),
    "defense": (
        Annotated[
            str | None,
            typer.Option(
                metavar="<name:number>",
                help="Defense: 'repeats:5', sum of 5 trials per query; 'random-rate:0.3', input "
                "rates times a random factor from 0.7 to 1.3; 'rounded-counts:5'; "
                "'capped-counts:20'; or for networks that read events a filter: "
                "'background-filter:5' (ms), 'mask-filter:20' (events per pixel) or "
                "'rate-limit:3' (time steps).",
            ),
        ],
        None,
    ),
    "sensor_noise": (
        Annotated[
            str | None,
            typer.Option(
                metavar="<name:number+...>",
                help="Noise of the sensor of a network that reads events: 'drop:0.05' (missing "
                "events), 'jitter_s:0.001', 'background_hz:1', 'hot_fraction:0.01' and "
                "'hot_hz:100', joined by '+'.",
            ),
        ],
        None,
    ),
    "meter": (
        Annotated[
            str | None,
            typer.Option(
                metavar="<name[:noise]>",
                help="Meter that the attacker reads in every query: 'spikes', "
                "'synaptic-operations', 'energy' or 'latency', with relative noise as in "
                "'energy:0.05'.",
            ),
        ],
        None,
    ),
    "search_randomness": (
        Annotated[
            Literal["independent", "shared"],
            typer.Option(help="Randomness of the input spikes across a batch of search queries."),
        ],
        "independent",
    ),
    "token_file": (
        Annotated[
            str | None, typer.Option(help="File with the bearer token for a served network.")
        ],
        None,
    ),
    "ca_file": (
        Annotated[
            str | None, typer.Option(help="PEM file of certificates that verify a served network.")
        ],
        None,
    ),
}
_OF_TARGETS = ("response", "meter", "search_randomness", "token_file", "ca_file")


def with_deployment(
    *, target: bool = False, leave_out: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `deployment` by the options that describe a deployment.

    The command receives a function that returns the :class:`DeploymentSpec`. Arguments of the
    function override fields of it.

    Parameters
    ----------
    target : bool, optional
        Whether the command queries a target: adds the options on responses, on randomness and
        on access to served networks.
    leave_out : tuple of str, optional
        Options that the command does not have, or defines itself.
    """
    names = [
        name for name in _FLAGS if name not in leave_out and (target or name not in _OF_TARGETS)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            values = {name: given.pop(name) for name in names}

            def spec(**own: Any) -> DeploymentSpec:
                from neuroattack.deployment.spec import DeploymentSpec

                return DeploymentSpec(**{**values, **own})

            command(**given, deployment=spec)

        signature = inspect.signature(command, eval_str=True)
        flags = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_FLAGS[name][1],
                annotation=_FLAGS[name][0],
            )
            for name in names
        ]
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in signature.parameters.values()
            if parameter.name != "deployment"
        ]
        # In the order of the usage line: network, deployment, options of the command.
        parameters = [*own[:1], *flags, *own[1:]]
        wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapped

    return decorate
