"""The command that offers a deployed network as a black box over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import NetworkFile
from neuroattack.errors import BackendUnavailableError
from neuroattack.report.terminal import console

__all__ = ["serve"]


@with_deployment()
def serve(
    network: NetworkFile,
    deployment: GivenDeployment,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.")] = 8000,
    name: Annotated[str, typer.Option(help="Of the model: /v2/models/NAME.")] = "sdbn",
    token_file: Annotated[
        Path | None, typer.Option(help="Who may ask: a line 'name token' for each client.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file, to serve https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="SQLite file that counts every query; by default while it runs."),
    ] = None,
    queries_per_client: Annotated[
        int | None, typer.Option(help="Images that a client may ask; by default no limit.")
    ] = None,
    max_batch: Annotated[int, typer.Option(help="Images of a request at most.")] = 1024,
    max_request_mib: Annotated[int, typer.Option(help="Size of a request at most, in MiB.")] = 16,
    queue_size: Annotated[int, typer.Option(help="Requests that may wait at a time.")] = 256,
    timeout_s: Annotated[float, typer.Option(help="Time limit of a request.")] = 120.0,
) -> None:
    """Offer a network as a black box over HTTP: images in, spike counts out, nothing else.

    It speaks the Open Inference Protocol v2; 'attack https://…', Triton's client and others ask
    it. Ctrl-C ends it when what was begun is answered.
    """
    from neuroattack.ir.storage import load_network

    try:
        from neuroattack.remote import serving
        from neuroattack.remote.app import make_app
        from neuroattack.remote.query_log import QueryLog
        from neuroattack.remote.service import Limits, Service
    except ImportError as error:
        raise BackendUnavailableError(
            "networks are served by FastAPI and uvicorn: pip install 'neuroattack[remote]'"
        ) from error

    address = serving.Address(host, port, tls_certificate, tls_key)
    tokens = None if token_file is None else serving.read_tokens(token_file)
    limits = Limits(max_request_mib * 2**20, max_batch, queries_per_client, queue_size, timeout_s)
    serving.check_reach(address, protected=tokens is not None)
    with deployment().deploy(load_network(network)) as deployed:
        box = deployed.black_box(stream=0)
        service = Service(box, QueryLog(log), limits.queries_per_client)
        app = make_app(name, service, limits=limits, tokens=tokens)
        serving.serve(
            app,
            address,
            announce=lambda url: console.note(f"Serving {url}/v2/models/{name} (Ctrl-C ends it)"),
        )
    console.note("Stopped: what was begun is answered")
