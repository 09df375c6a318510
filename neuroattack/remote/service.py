"""Black box shared by many clients: queries are processed in order, and counted once each."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.images import validate_images
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
        Maximum size of a request in bytes, and number of images per request.
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


class Service:
    """Processes requests in the order of arrival in a separate thread.

    Requests are counted in the log, which is closed together with the service. Each client may
    query up to `queries_per_client` images.
    """

    def __init__(
        self, target: Target, log: QueryLog, queries_per_client: int | None = None
    ) -> None:
        self._target = target
        self._log = log
        self._queries_per_client = queries_per_client
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
        return self._thread.submit(self._process, client, key, rows, content)

    def _process(
        self, client: str, key: str, images: NDArray[np.float64], content: bytes
    ) -> NDArray[np.int32]:
        budget = self._queries_per_client
        counts = self._log.accept(client, key, len(images), content, budget)
        if counts is None:
            counts = self._target.query(images)
            self._log.store(client, key, counts)
        return counts

    def counted(self) -> Future[int]:
        """Return a future of the number of images counted so far."""
        return self._thread.submit(self._log.counted)

    def close(self) -> None:
        """Finish the current request, cancel all others, and close the log."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._log.close()
