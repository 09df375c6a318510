"""A black box that many clients ask: one query after the other, each counted once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.remote.query_log import QueryLog
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_positive, check_whole

__all__ = ["Limits", "Service"]


@dataclass(frozen=True)
class Limits:
    """What a server allows; raises ValidationError, naming what is not positive.

    Parameters
    ----------
    max_request_bytes, max_batch : int
        Of a request.
    queries_per_client : int or None
        Images of a client, all its requests together; None for no limit.
    queue_size : int
        Requests that wait for an answer at a time.
    timeout_s : float
        Seconds from a request to its answer.
    """

    max_request_bytes: int = 16 * 2**20
    max_batch: int = 1024
    queries_per_client: int | None = None
    queue_size: int = 256
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_request_bytes", "max_batch", "queue_size"):
            check_whole(f"limit {name}", getattr(self, name), 1)
        if self.queries_per_client is not None:
            check_whole("limit client_queries", self.queries_per_client, 1)
        check_positive("limit query_s", self.timeout_s, "number of seconds")


class Service:
    """Answers requests in the order in which they come, in a thread of its own.

    Requests are counted in the log, which is closed with the service. A client may ask for
    `queries_per_client` images at most.
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
        """Classes it tells apart."""
        return self._target.n_classes

    def submit(
        self, client: str, key: str, images: NDArray[np.float64], content: bytes
    ) -> Future[NDArray[np.int32]]:
        """Queue a request; return its answer to be.

        Canceled before its turn, it was never counted. `content` is what tells it from another
        request of the same key. Raises ValidationError if the images are not what the network
        takes; nothing is counted then.
        """
        rows = validate_images(images, self.image_shape)
        return self._thread.submit(self._answer, client, key, rows, content)

    def _answer(
        self, client: str, key: str, images: NDArray[np.float64], content: bytes
    ) -> NDArray[np.int32]:
        budget = self._queries_per_client
        answered = self._log.accept(client, key, len(images), content, budget)
        if answered is None:
            answered = self._target.query(images)
            self._log.answer(client, key, answered)
        return answered

    def counted(self) -> Future[int]:
        """Return the number of images counted so far, to be."""
        return self._thread.submit(self._log.counted)

    def close(self) -> None:
        """Answer what was begun, and no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._log.close()
