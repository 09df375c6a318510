"""Web application that serves a black box."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from anyio import fail_after, move_on_after
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException as RoutingError
from starlette.requests import ClientDisconnect

from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.remote.protocol import (
    HEADER_LENGTH,
    decode_inference,
    describe_model,
    encode_response,
)
from neuroattack.remote.service import Limits, Service

__all__ = ["KEY", "make_app"]

KEY = "Idempotency-Key"
"""HTTP header that identifies a request when it is sent again."""

_LONGEST_KEY = 200

_log = logging.getLogger(__name__)


class _Metrics:
    """Prometheus metrics of requests and queries; they contain no images or counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.queries = Counter("neuroattack_queries", "Processed images", registry=self.registry)
        self.requests = Counter(
            "neuroattack_requests", "Inference requests", ["status"], registry=self.registry
        )
        self.waiting = Gauge(
            "neuroattack_waiting", "Requests without a response yet", registry=self.registry
        )
        self.seconds = Histogram(
            "neuroattack_request_seconds", "Time from request to response", registry=self.registry
        )


class _Inferences:
    """Handler of inference requests, within limits."""

    def __init__(self, name: str, service: Service, limits: Limits, metrics: _Metrics) -> None:
        self._name = name
        self._service = service
        self._limits = limits
        self._metrics = metrics
        self._waiting = 0

    async def __call__(self, request: Request, client: str) -> Response:
        begun_s = time.perf_counter()
        status = 500
        try:
            response = await self._respond(request, client)
            status = response.status_code
        except HTTPException as refusal:
            status = refusal.status_code
            raise
        finally:
            self._metrics.requests.labels(str(status)).inc()
            self._metrics.seconds.observe(time.perf_counter() - begun_s)
        return response

    async def _respond(self, request: Request, client: str) -> Response:
        if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
            raise HTTPException(415, f"Content-Encoding: got {encoding!r}, expected none")
        key = request.headers.get(KEY) or secrets.token_hex(16)
        if len(key) > _LONGEST_KEY:
            raise HTTPException(400, f"{KEY}: expected at most {_LONGEST_KEY} characters")
        if self._waiting >= self._limits.queue_size:
            raise HTTPException(
                503, "the queue is full; no query was counted", {"Retry-After": "1"}
            )
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            body = await self._body(request)
            inference = decode_inference(body, request.headers.get(HEADER_LENGTH))
            images = inference.images
            most = self._limits.max_batch
            if len(images) > most:
                raise HTTPException(
                    413, f"batch: got {len(images)} images, expected at most {most}"
                )
            future = self._service.submit(client, key, images, body)
            with move_on_after(self._limits.timeout_s) as time_limit:
                # A timeout cancels a query that has not begun; a running query continues.
                counts = await asyncio.wrap_future(future)
            if time_limit.cancelled_caught:
                again = {"Retry-After": "1"}
                if future.cancelled():
                    raise HTTPException(503, "timeout in the queue; no query was counted", again)
                raise HTTPException(504, f"no response yet; retry with the same {KEY}", again)
        except ValidationError as error:
            raise HTTPException(400, str(error)) from error
        except BudgetExceededError as error:
            raise HTTPException(403, str(error)) from error
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        self._metrics.queries.inc(len(counts))
        content, headers = encode_response(self._name, inference, counts)
        return Response(content, headers=headers)

    async def _body(self, request: Request) -> bytes:
        limit = self._limits.max_request_bytes
        too_large = HTTPException(413, f"body: expected at most {limit} bytes")
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > limit:
            raise too_large
        body = bytearray()
        try:
            with fail_after(self._limits.timeout_s):
                async for chunk in request.stream():
                    body.extend(chunk)
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise HTTPException(408, "body: timeout while receiving it") from None
        except ClientDisconnect:
            # Incomplete body: do not count the request.
            raise HTTPException(400, "body: connection closed while receiving it") from None
        return bytes(body)


def make_app(
    name: str,
    service: Service,
    *,
    limits: Limits,
    tokens: Mapping[str, str] | None = None,
) -> FastAPI:
    """Return the web application that serves a black box as ``/v2/models/NAME``.

    The service is closed when the application shuts down. `tokens` maps bearer tokens to client
    names in the log. Without tokens, everyone who can reach the server may send queries, and
    clients are identified by their addresses.
    """
    metrics = _Metrics()
    infer = _Inferences(name, service, limits, metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, service.close)

    # FastAPI's documentation pages would reveal more than shapes and classes, and load external
    # files.
    app = FastAPI(lifespan=life, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(RoutingError, _refused)
    app.add_exception_handler(Exception, _failed)

    def client_of(request: Request) -> str:
        if not tokens:
            return request.client.host if request.client else ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        found = [
            known
            for token, known in tokens.items()
            if hmac.compare_digest(token.encode(), given.strip().encode())
        ]
        if scheme.lower() != "bearer" or not found:
            raise HTTPException(401, "expected a bearer token", {"WWW-Authenticate": "Bearer"})
        return found[0]

    def check_name(model: str) -> None:
        if model != name:
            raise HTTPException(404, "no model of that name")

    @app.get("/v2/health/live")
    @app.get("/v2/health/ready")
    async def healthy() -> Response:
        return Response()

    @app.get("/v2")
    async def server(request: Request) -> dict[str, Any]:
        client_of(request)
        return {"name": "neuroattack", "version": "2", "extensions": ["binary_tensor_data"]}

    @app.get("/v2/models/{model}")
    async def metadata(model: str, request: Request) -> dict[str, Any]:
        client_of(request)
        check_name(model)
        return describe_model(name, service.image_shape, service.n_classes)

    @app.get("/v2/models/{model}/ready")
    async def ready(model: str, request: Request) -> Response:
        client_of(request)
        check_name(model)
        return Response()

    @app.post("/v2/models/{model}/infer")
    async def inference(model: str, request: Request) -> Response:
        client = client_of(request)
        check_name(model)
        return await infer(request, client)

    @app.get("/metrics")
    async def numbers(request: Request) -> Response:
        client_of(request)
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    return app


async def _refused(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    detail = getattr(error, "detail", "")
    return JSONResponse(
        {"error": str(detail)}, status_code=status, headers=getattr(error, "headers", None)
    )


async def _failed(_: Request, error: Exception) -> Response:
    # The error is only logged on the server: its message may reveal details of the network.
    _log.error("a request failed", exc_info=error)
    return JSONResponse({"error": "internal error"}, status_code=500)
