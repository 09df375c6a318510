"""Client of a served black box, which can be attacked like a local one."""

from __future__ import annotations

import random
import secrets
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import (
    BudgetExceededError,
    NeuroattackError,
    RemoteError,
    ValidationError,
)
from neuroattack.remote.addresses import is_loopback
from neuroattack.remote.protocol import (
    HEADER_LENGTH,
    decode_response,
    encode_inference,
    shapes_of_model,
)
from neuroattack.targets.black_box import Randomness, Response
from neuroattack.validation import check_integer, check_positive

__all__ = ["RemoteTarget"]

# Status codes after which a request is sent again.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

_LONGEST_PAUSE_S = 5.0
_LARGEST_RESPONSE = 2**28


class RemoteTarget:
    """Target on a server with the Open Inference Protocol v2 over HTTP.

    Queries are counted by the client when they are first sent. A batch is split into requests of
    up to `max_batch` images, each with a unique key. After a failure of the network or the server,
    a request is sent again with the same key; servers that support keys, such as
    ``neuroattack serve``, count it only once.

    Parameters
    ----------
    url : str
        Address of the model: ``https://host/v2/models/NAME``.
    token : str, optional
        Bearer token, sent only over https or to this machine.
    budget : int, optional
        Query budget in images.
    timeout_s : float, optional
        Timeout of a request in seconds.
    retries : int, optional
        Maximum number of times a request is sent again.
    max_batch : int, optional
        Maximum number of images per request.
    ca_file : str, optional
        File with certificates to verify the server's certificate, instead of those of the system.
        Certificates are always verified.

    Raises
    ------
    ValidationError
        If a setting is out of range, or the model does not return counts.
    RemoteError
        If the server cannot be reached or refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        budget: int | None = None,
        timeout_s: float = 60.0,
        retries: int = 5,
        max_batch: int = 99,
        ca_file: str | None = None,
    ) -> None:
        self._url = _checked_url(url, token)
        self._budget = None if budget is None else check_integer("query budget", budget, 1)
        self._retries = check_integer("retries", retries, 0)
        self._max_batch = check_integer("images of a request", max_batch, 1)
        check_positive("timeout", timeout_s, "number of seconds")
        self._queries = 0
        self._lock = threading.Lock()
        self._http = httpx.Client(
            timeout=timeout_s,
            verify=_certificates(ca_file),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            # A redirect would send images and the token to another server.
            follow_redirects=False,
        )
        try:
            metadata = _json(self._send("GET", self._url))
            self._image_shape, self._n_classes = shapes_of_model(metadata)
        except NeuroattackError:
            self.close()
            raise

    def __enter__(self) -> RemoteTarget:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._n_classes

    @property
    def response(self) -> Response:
        """Always ``"counts"``."""
        return "counts"

    @property
    def randomness(self) -> Randomness:
        """Always ``"independent"``: the server encodes the images."""
        return "independent"

    @property
    def meter(self) -> None:
        """Always None: the protocol has no readings of meters."""
        return

    @property
    def queries(self) -> int:
        """Number of images queried so far, including those without a response."""
        return self._queries

    @property
    def remaining(self) -> int | None:
        """Remaining query budget; None without a budget."""
        return None if self._budget is None else self._budget - self._queries

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; see :meth:`neuroattack.targets.black_box.Target.query`.

        Raises
        ------
        RemoteError
            If the server cannot be reached, refuses, or returns an invalid response. The queries
            are counted nevertheless, because the server may have counted them.
        """
        rows = validate_images(images, self._image_shape)
        with self._lock:
            if self.remaining is not None and len(rows) > self.remaining:
                raise BudgetExceededError(len(rows), self.remaining)
            counts = []
            for start in range(0, len(rows), self._max_batch):
                batch = rows[start : start + self._max_batch]
                self._queries += len(batch)
                counts.append(self._infer(batch))
            return np.concatenate(counts)

    def _infer(self, rows: NDArray[np.float64]) -> NDArray[np.int32]:
        body, headers = encode_inference(rows.reshape(len(rows), *self._image_shape))
        headers["Idempotency-Key"] = secrets.token_hex(16)
        response = self._send("POST", f"{self._url}/infer", content=body, headers=headers)
        try:
            return decode_response(
                response.content,
                response.headers.get(HEADER_LENGTH),
                (len(rows), self._n_classes),
            )
        except ValidationError as error:
            raise RemoteError(self._url, str(error)) from error

    def _send(self, method: str, url: str, **request: Any) -> httpx.Response:
        """Return a successful response; send the request again after temporary failures."""
        problem = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(_pause_s(attempt))
            try:
                response = self._send_once(method, url, request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                if isinstance(error, httpx.ConnectError) and _is_certificate(error):
                    raise RemoteError(
                        self._url, f"its certificate is not trusted: {error}"
                    ) from error
                problem = str(error) or type(error).__name__
                continue
            if response.status_code == httpx.codes.OK:
                return response
            problem = f"status {response.status_code}: {_error_of(response)}"
            if response.status_code not in _AGAIN:
                break
        raise RemoteError(self._url, problem)

    def _send_once(self, method: str, url: str, request: Mapping[str, Any]) -> httpx.Response:
        with self._http.stream(method, url, **request) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content.extend(chunk)
                if len(content) > _LARGEST_RESPONSE:
                    raise RemoteError(
                        self._url,
                        f"response: got over {_LARGEST_RESPONSE} bytes, expected at most that many",
                    )
            kept = {
                name: value
                for name, value in response.headers.items()
                if name not in ("content-encoding", "content-length", "transfer-encoding")
            }
            return httpx.Response(response.status_code, headers=kept, content=bytes(content))


def _checked_url(url: str, token: str | None) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError("target", repr(url), "an address such as https://host/v2/models/NAME")
    if token and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValidationError("target", repr(url), "https, because a token is sent")
    return url.rstrip("/")


def _certificates(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValidationError("certificates", repr(ca_file), f"a PEM file ({error})") from error


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _pause_s(attempt: int) -> float:
    """Return the pause before an attempt: exponential backoff with random jitter."""
    # The jitter does not affect results.
    return float(min(_LONGEST_PAUSE_S, 0.1 * 2**attempt)) * random.uniform(0.5, 1)  # noqa: S311


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _error_of(response: httpx.Response) -> str:
    found = _json(response)
    text = found.get("error") if isinstance(found, dict) else None
    return " ".join(str(text or response.reason_phrase).split())[:300]
