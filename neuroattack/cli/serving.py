"""The command that serves a deployed network as a black box over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import NetworkFile
from neuroattack.errors import BackendUnavailableError
from neuroattack.report.terminal import console

__all__ = ["serve"]


_Seed = Annotated[
    int, typer.Option(help="Random seed of the input spikes.", rich_help_panel="Target")
]
_Host = Annotated[
    str, typer.Option(help="Address to listen on; non-loopback addresses require --token-file.")
]
_Port = Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.")]
_Name = Annotated[str, typer.Option(help="Name of the model in the address: /v2/models/NAME.")]
_TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File of bearer tokens, with a line 'name token' for each client. Default: no "
        "authentication.",
        rich_help_panel="Server",
    ),
]
_Certificate = Annotated[
    Path | None, typer.Option(help="PEM file of the certificate, to serve HTTPS.")
]
_Key = Annotated[Path | None, typer.Option(help="PEM file of the certificate's private key.")]
_Log = Annotated[
    Path | None,
    typer.Option(help="SQLite file that logs and counts all queries. Default: count in memory."),
]
_QueriesPerClient = Annotated[
    int | None, typer.Option(help="Query budget of a client, in images. Default: no limit.")
]
_MaxBatch = Annotated[
    int,
    typer.Option(help="Maximum number of images per request, and per batch of waiting requests."),
]
_MaxRequest = Annotated[int, typer.Option(help="Maximum size of a request in MiB.")]
_QueueSize = Annotated[int, typer.Option(help="Maximum number of waiting requests.")]
_Timeout = Annotated[float, typer.Option(help="Time limit of a request in seconds.")]


@with_deployment(leave_out=("seed", "defense"))
def serve(
    network: NetworkFile,
    deployment: GivenDeployment,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    name: _Name = "sdbn",
    token_file: _TokenFile = None,
    tls_certificate: _Certificate = None,
    tls_key: _Key = None,
    log: _Log = None,
    seed: _Seed = 0,
    queries_per_client: _QueriesPerClient = None,
    max_batch: _MaxBatch = 1024,
    max_request_mib: _MaxRequest = 16,
    queue_size: _QueueSize = 256,
    timeout_s: _Timeout = 120.0,
) -> None:
    """Serve a network as a black box over HTTP.

    Clients send images and receive spike counts, nothing else. The server implements the Open
    Inference Protocol v2, which 'attack https://...', Triton's client and others use. Ctrl-C stops
    the server after pending requests are answered.
    """
    from neuroattack.ir.storage import load_network

    try:
        from neuroattack.remote import serving
        from neuroattack.remote.app import make_app
        from neuroattack.remote.query_log import QueryLog
        from neuroattack.remote.service import Limits, Service
    except ImportError as error:
        raise BackendUnavailableError(
            "serving networks needs FastAPI and uvicorn: pip install 'neuroattack[remote]'"
        ) from error

    address = serving.Address(host, port, tls_certificate, tls_key)
    tokens = None if token_file is None else serving.read_tokens(token_file)
    limits = Limits(max_request_mib * 2**20, max_batch, queries_per_client, queue_size, timeout_s)
    serving.check_reach(address, protected=tokens is not None)
    with deployment(seed=seed).deploy(load_network(network)) as deployed:
        box = deployed.black_box(stream=0)
        service = Service(box, QueryLog(log), limits)
        app = make_app(name, service, limits=limits, tokens=tokens)
        serving.serve(
            app,
            address,
            announce=lambda url: console.note(
                f"Serving {url}/v2/models/{name} (press Ctrl-C to stop)"
            ),
        )
    console.note("Stopped; all pending requests were answered")
