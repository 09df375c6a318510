"""Waiting requests are processed as one batch, with the results of one request after another."""

import concurrent.futures
import contextlib
import secrets
import time

import httpx
import numpy as np
import pytest
from support.remote_servers import SHAPE, GatedTarget, served, toy_target

from neuroattack.deployment.deployment import deploy
from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.ir.storage import load_network
from neuroattack.remote.client import RemoteTarget
from neuroattack.remote.query_log import QueryLog
from neuroattack.remote.service import Limits, Service
from neuroattack.targets.defenses import TargetWrapper

RNG = np.random.default_rng(0)
FIRST = ("first client", "first key")


def images(count, shape=SHAPE):
    return RNG.random((count, *shape))


@contextlib.contextmanager
def busy_service(target=None, limits=None, log=None):
    """Yield a service while it processes a request of one image, and its target."""
    gated = GatedTarget(target or toy_target())
    service = Service(gated, log or QueryLog(), limits or Limits())
    try:
        submit(service, *FIRST, images(1, gated.image_shape))
        assert gated.entered.wait(60)
        yield service, gated
    finally:
        gated.gate.set()
        service.close()


def submit(service, client, key, shown):
    return service.submit(client, key, shown, shown.tobytes())


def numbers(future):
    """Return the numbers of the images among all that the toy target received."""
    return future.result(60)[:, 0].tolist()


def outcome(future):
    """Return the counts of a request, or its error."""
    error = future.exception(60)
    return future.result().tolist() if error is None else f"{type(error).__name__}: {error}"


def test_waiting_requests_are_one_batch_in_order_of_arrival():
    with busy_service() as (service, target):
        sizes = (2, 1, 3)
        shown = [images(size) for size in sizes]
        waiting = [submit(service, "ann", str(key), each) for key, each in enumerate(shown)]
        target.gate.set()
        assert [numbers(each) for each in waiting] == [[1, 2], [3], [4, 5, 6]]
        for future, each in zip(waiting, shown, strict=True):
            brightness = np.rint(each.reshape(len(each), -1).sum(axis=1) * 1000)
            np.testing.assert_array_equal(future.result()[:, 1], brightness)
        assert target.sizes == [1, 6]
        assert service.counted().result() == 7


def test_a_request_without_others_is_processed_at_once():
    target = GatedTarget(toy_target())
    target.gate.set()
    service = Service(target, QueryLog(), Limits())
    for key in range(3):
        assert numbers(submit(service, "ann", str(key), images(1))) == [key]
    assert target.sizes == [1, 1, 1]
    service.close()


def test_batches_have_at_most_the_images_of_a_request():
    with busy_service(limits=Limits(max_batch=4)) as (service, target):
        waiting = [
            submit(service, "ann", str(key), images(size))
            for key, size in enumerate((2, 2, 1, 6, 3, 1))
        ]
        target.gate.set()
        assert np.concatenate([numbers(each) for each in waiting]).tolist() == list(range(1, 16))
        assert target.sizes == [1, 4, 1, 6, 4]


@pytest.mark.parametrize("randomness", ["independent", "shared"])
def test_counts_are_those_of_one_request_after_another(network_file, randomness):
    requests = [images(size, (28, 28)) for size in (1, 3, 1, 2, 4)]
    with deploy(load_network(network_file), steps=60, seed=3) as deployment:
        alone = deployment.black_box(0, randomness=randomness)
        expected = [alone.query(shown) for shown in (images(1, (28, 28)), *requests)]
        box = deployment.black_box(0, randomness=randomness)
        with busy_service(box) as (service, target):
            waiting = [submit(service, "ann", str(key), each) for key, each in enumerate(requests)]
            target.gate.set()
            for future, counts in zip(waiting, expected[1:], strict=True):
                np.testing.assert_array_equal(future.result(60), counts)
        # In one batch, images with shared randomness would share it between requests.
        assert target.sizes == ([1, 11] if randomness == "independent" else [1, 1, 3, 1, 2, 4])


def test_a_key_is_processed_once_per_batch():
    with busy_service() as (service, target):
        shown, other = images(2), images(2)
        waiting = {
            "first": submit(service, "ann", "a", shown),
            "again": submit(service, "ann", "a", shown),
            "between": submit(service, "ann", "b", images(1)),
            "last": submit(service, "ann", "a", shown),
            "other client": submit(service, "bob", "a", shown),
        }
        refused = submit(service, "ann", "a", other)
        target.gate.set()
        found = {name: numbers(future) for name, future in waiting.items()}
        assert found["first"] == found["again"] == found["last"] == [1, 2]
        assert (found["between"], found["other client"]) == ([3], [4, 5])
        with pytest.raises(ValidationError, match="expected a new key"):
            refused.result(60)
        assert target.sizes == [1, 5]
        assert numbers(submit(service, "ann", "a", shown)) == [1, 2]
        assert service.counted().result() == 6


def test_a_request_beyond_the_budget_of_its_client_is_refused_alone():
    with busy_service(limits=Limits(queries_per_client=5)) as (service, target):
        fits, beyond = submit(service, "ann", "a", images(3)), images(3)
        refused = submit(service, "ann", "b", beyond)
        smaller, other = (submit(service, each, "c", images(2)) for each in ("ann", "bob"))
        target.gate.set()
        assert [numbers(each) for each in (fits, smaller, other)] == [[1, 2, 3], [4, 5], [6, 7]]
        with pytest.raises(BudgetExceededError, match=r"got 3 images, .* 2"):
            refused.result(60)
        assert service.counted().result() == 8


def test_a_request_beyond_the_budget_of_the_target_is_refused_alone_and_not_counted():
    with busy_service(toy_target(budget=7)) as (service, target):
        shown = images(2)
        sizes = (3, 4, 2, 2, 1)
        first, refused, second, third, last = (
            submit(service, "ann", str(key), shown if size == 2 else images(size))
            for key, size in enumerate(sizes)
        )
        target.gate.set()
        assert [numbers(each) for each in (first, second, last)] == [[1, 2, 3], [4, 5], [6]]
        for each, left in ((refused, 3), (third, 1)):
            with pytest.raises(BudgetExceededError, match=rf"images, .* {left}\b"):
                each.result(60)
        # A repeated request needs no budget.
        assert numbers(submit(service, "ann", "2", shown)) == [4, 5]
        assert service.counted().result() == target.queries == 7


def test_outcomes_with_repeated_keys_and_budgets_are_those_of_one_request_after_another():
    rng = np.random.default_rng(1)
    pool = [images(size) for size in (1, 2, 3, 5)]
    for _ in range(30):
        script = [
            (str(rng.integers(2)), str(rng.integers(8)), pool[rng.integers(len(pool))])
            for _ in range(25)
        ]
        limits = Limits(max_batch=int(rng.integers(3, 30)), queries_per_client=20)
        budget = int(rng.integers(10, 45))
        alone = Service(toy_target(budget=budget), QueryLog(), limits)
        shown = images(1)
        submit(alone, *FIRST, shown).result(60)
        expected = [outcome(submit(alone, *request)) for request in script]
        with busy_service(toy_target(budget=budget), limits) as (service, target):
            waiting = [submit(service, *request) for request in script]
            target.gate.set()
            assert [outcome(each) for each in waiting] == expected
            assert service.counted().result() == alone.counted().result() == target.queries
        alone.close()


def test_a_canceled_request_is_not_counted():
    with busy_service() as (service, target):
        first, canceled, last = (submit(service, "ann", str(key), images(2)) for key in range(3))
        assert canceled.cancel()
        target.gate.set()
        assert (numbers(first), numbers(last)) == ([1, 2], [3, 4])
        assert service.counted().result() == 5
        assert not first.cancel()


def test_requests_are_in_the_log_before_they_are_processed(tmp_path):
    path, seen = tmp_path / "log.sqlite", []

    class Reader(TargetWrapper):
        def query(self, shown):
            log = QueryLog(path)
            seen.append((len(shown), log.counted()))
            log.close()
            return super().query(shown)

    with busy_service(Reader(toy_target()), log=QueryLog(path)) as (service, target):
        waiting = [submit(service, "ann", str(key), images(2)) for key in range(3)]
        target.gate.set()
        assert [len(numbers(each)) for each in waiting] == [2, 2, 2]
    assert seen == [(1, 1), (6, 7)]


def test_after_a_failure_all_requests_of_the_batch_can_be_sent_again():
    class FailsOnce(TargetWrapper):
        calls = 0

        def query(self, shown):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("simulator")
            return super().query(shown)

    with busy_service(FailsOnce(toy_target())) as (service, target):
        shown = [images(2), images(1)]
        failed = [submit(service, "ann", str(key), each) for key, each in enumerate(shown)]
        target.gate.set()
        for each in failed:
            with pytest.raises(RuntimeError, match="simulator"):
                each.result(60)
        assert target.sizes == [1, 3]
        again = [submit(service, "ann", str(key), each) for key, each in enumerate(shown)]
        assert [numbers(each) for each in again] == [[1, 2], [3]]
        assert service.counted().result() == 4


def test_closing_completes_the_batch_in_progress_only():
    target = GatedTarget(toy_target())
    service = Service(target, QueryLog(), Limits())
    first = submit(service, *FIRST, images(1))
    assert target.entered.wait(60)
    waiting = [submit(service, "ann", str(key), images(1)) for key in range(3)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        closing = pool.submit(service.close)
        wait_until(lambda: is_closed(service))
        target.gate.set()
        closing.result(60)
    assert numbers(first) == [0]
    assert all(each.cancelled() for each in waiting)
    assert target.sizes == [1]


def test_a_failing_log_fails_the_requests_and_queries_nothing(tmp_path):
    log = QueryLog(tmp_path / "log.sqlite")
    with busy_service(log=log) as (service, target):
        waiting = [submit(service, "ann", str(key), images(1)) for key in range(3)]
        log.close()
        target.gate.set()
        for each in waiting:
            assert "closed database" in str(each.exception(60))
        assert target.sizes == [1]


def test_clients_at_once_are_answered_with_one_batch():
    clients = 8
    target = GatedTarget(toy_target())
    with served(target) as (url, service):
        targets = [RemoteTarget(url) for _ in range(clients + 1)]
        with concurrent.futures.ThreadPoolExecutor(clients + 1) as pool:
            first = pool.submit(targets[0].query, images(1))
            assert target.entered.wait(60)
            others = [pool.submit(each.query, images(1)) for each in targets[1:]]
            wait_until(lambda: len(service._waiting) == clients)
            target.gate.set()
            assert first.result(60)[0, 0] == 0
            assert sorted(each.result(60)[0, 0] for each in others) == list(range(1, clients + 1))
        assert target.sizes == [1, clients]
        assert service.counted().result() == clients + 1
        for each in targets:
            each.close()


def test_a_timeout_in_the_queue_is_not_counted():
    target = GatedTarget(toy_target())
    with served(target, limits=Limits(timeout_s=0.5)) as (url, service):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(post, url, "a")
            assert target.entered.wait(60)
            second = pool.submit(post, url, "b")
            assert first.result(60).status_code == 504
            assert second.result(60).status_code == 503
        target.gate.set()
        answers = []
        wait_until(lambda: answers.append(post(url, "a")) or answers[-1].status_code == 200)
        again = answers[-1]
        assert again.json()["outputs"][0]["data"][0] == 0
        assert service.counted().result() == 1


def wait_until(condition, timeout_s=60):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def is_closed(service):
    try:
        submit(service, "late", secrets.token_hex(8), images(1))
    except RuntimeError:
        return True
    return False


def post(url, key):
    tensor = {"name": "image", "shape": [1, *SHAPE], "datatype": "FP64", "data": [0.5] * 12}
    headers = {"Idempotency-Key": key}
    return httpx.post(f"{url}/infer", json={"inputs": [tensor]}, headers=headers, timeout=60)
