"""Black box shared by many clients: queries are processed in order, and counted once each."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.remote.query_log import QueryLog
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_positive

__all__ = ["Limits", "Service"]


@dataclass(frozen=True)
class Limits:
    """Limits of a server; raises ValidationError if a value is not positive.

    Parameters
    ----------
    max_request_bytes, max_batch : int
        Maximum size of a request in bytes, and number of images per request, or per batch of
        requests that are processed together.
    queries_per_client : int or None
        Total query budget of each client in images; None for no limit.
    queue_size : int
        Maximum number of requests without a response.
    timeout_s : float
        Maximum time from request to response, in seconds.
    """

    max_request_bytes: int = 16 * 2**20
    max_batch: int = 1024
    queries_per_client: int | None = None
    queue_size: int = 256
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_request_bytes", "max_batch", "queue_size"):
            check_integer(f"limit {name}", getattr(self, name), 1)
        if self.queries_per_client is not None:
            check_integer("limit queries_per_client", self.queries_per_client, 1)
        check_positive("limit timeout_s", self.timeout_s, "number of seconds")


@dataclass(frozen=True, eq=False)
class _Request:
    client: str
    key: str
    images: NDArray[np.float64]
    content: bytes
    counts: Future[NDArray[np.int32]]


class Service:
    """Processes requests in the order of arrival in a separate thread.

    Requests that arrive while the thread is busy are then processed as one batch, with the same
    results as one after another. Requests are counted in the log, which is closed together with the
    service. Uses `max_batch` and `queries_per_client` of `limits`.
    """

    def __init__(self, target: Target, log: QueryLog, limits: Limits) -> None:
        self._target = target
        self._log = log
        self._limits = limits
        self._waiting: deque[_Request] = deque()
        self._thread = ThreadPoolExecutor(1, "neuroattack-queries")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._target.image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._target.n_classes

    def submit(
        self, client: str, key: str, images: NDArray[np.float64], content: bytes
    ) -> Future[NDArray[np.int32]]:
        """Queue a request; return a future of its counts.

        A request that is canceled before its turn is not counted. `content` detects other requests
        with the same key. Raises ValidationError if the images are invalid for the network; the
        request is then not counted.
        """
        rows = validate_images(images, self.image_shape)
        request = _Request(client, key, rows, content, Future())
        self._waiting.append(request)
        # One call per request: each processes at least the first one that is still waiting.
        self._thread.submit(self._process_waiting)
        return request.counts

    def _process_waiting(self) -> None:
        batch = self._next_batch()
        try:
            if batch:
                self._process(batch)
        except BaseException as error:
            for request in batch:
                if not request.counts.done():
                    request.counts.set_exception(error)

    def _next_batch(self) -> list[_Request]:
        """Remove and return the requests that can be processed with one query of the target."""
        # With shared randomness, requests in one batch would share random numbers.
        most = self._limits.max_batch if self._target.randomness == "independent" else 0
        if (remaining := self._target.remaining) is not None:
            # A request beyond the budget is processed, and refused, alone.
            most = min(most, remaining)
        batch: list[_Request] = []
        images = 0
        while self._waiting and (not batch or images + len(self._waiting[0].images) <= most):
            request = self._waiting.popleft()
            if request.counts.set_running_or_notify_cancel():
                batch.append(request)
                images += len(request.images)
        return batch

    def _process(self, batch: list[_Request]) -> None:
        remaining = self._target.remaining
        # By client and key: a repeated key is the same request.
        accepted: dict[tuple[str, str], list[_Request]] = {}
        with self._log.transaction():
            for request in batch:
                try:
                    counts = self._log.accept(
                        request.client,
                        request.key,
                        len(request.images),
                        request.content,
                        budget=self._limits.queries_per_client,
                        remaining=remaining,
                    )
                except (BudgetExceededError, ValidationError) as error:
                    request.counts.set_exception(error)
                else:
                    if counts is None:
                        accepted.setdefault((request.client, request.key), []).append(request)
                    else:
                        request.counts.set_result(counts)
        if not accepted:
            return
        images = [same[0].images for same in accepted.values()]
        counts = self._target.query(np.concatenate(images))
        parts = np.split(counts, np.cumsum([len(part) for part in images])[:-1])
        with self._log.transaction():
            for (client, key), part in zip(accepted, parts, strict=True):
                self._log.store(client, key, part)
        for same, part in zip(accepted.values(), parts, strict=True):
            for request in same:
                request.counts.set_result(part)

    def counted(self) -> Future[int]:
        """Return a future of the number of images counted so far."""
        return self._thread.submit(self._log.counted)

    def close(self) -> None:
        """Finish the current batch, cancel all other requests, and close the log."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        while self._waiting:
            self._waiting.popleft().counts.cancel()
        self._log.close()
