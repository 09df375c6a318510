"""Black boxes over HTTP: every query is counted once on both sides, despite failures."""

import concurrent.futures
import json
import signal
import threading
import time

import httpx
import numpy as np
import pytest
import tritonclient.http
import trustme
from support.output import refused
from support.remote_servers import CLASSES, SHAPE, ServeCommand, faulty_network, served, toy_target

from neuroattack.deployment.deployment import deploy
from neuroattack.errors import (
    BudgetExceededError,
    FileError,
    OutputError,
    RemoteError,
    ValidationError,
)
from neuroattack.ir.storage import load_network
from neuroattack.remote.client import RemoteTarget
from neuroattack.remote.query_log import QueryLog
from neuroattack.remote.service import Limits
from neuroattack.remote.serving import read_tokens

RNG = np.random.default_rng(0)
TOKEN = "0123456789abcdef"  # noqa: S105


def images(count, shape=SHAPE):
    return RNG.random((count, *shape))


def tensor(given, **changes):
    """Return a request as JSON values."""
    values = {
        "name": "image",
        "shape": list(given.shape),
        "datatype": "FP64",
        "data": given.ravel().tolist(),
    }
    return {"inputs": [{**values, **changes}]}


def test_counts_over_http_are_those_of_the_deployment(network_file):
    shown = images(7, (28, 28))
    with deploy(load_network(network_file), steps=60, seed=3) as deployment:
        expected = deployment.black_box(0).query(shown)
    with ServeCommand(network_file, "--steps", "60", "--seed", "3") as server:
        with RemoteTarget(server.url, max_batch=3) as target:
            assert (target.image_shape, target.n_classes) == ((28, 28), 10)
            np.testing.assert_array_equal(target.query(shown), expected)
            assert target.queries == 7
        host = server.url.split("/")[2]
        client = tritonclient.http.InferenceServerClient(host)
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sdbn")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        assert client.get_model_metadata("sdbn")["inputs"][0]["shape"] == [-1, 28, 28]


@pytest.mark.parametrize("precision", ["FP64", "FP32"])
@pytest.mark.parametrize("binary", [False, True])
def test_another_client_gets_the_same_counts(network_file, precision, binary):
    shown = images(4, (28, 28)).astype(np.float32)
    with deploy(load_network(network_file), steps=60) as deployment:
        expected = deployment.black_box(0).query(shown)
    with ServeCommand(network_file, "--steps", "60") as server:
        client = tritonclient.http.InferenceServerClient(server.url.split("/")[2])
        given = tritonclient.http.InferInput("image", [4, 28, 28], precision)
        kind = np.float64 if precision == "FP64" else np.float32
        given.set_data_from_numpy(shown.astype(kind), binary_data=binary)
        wanted = tritonclient.http.InferRequestedOutput("counts", binary_data=binary)
        found = client.infer("sdbn", [given], outputs=[wanted], request_id="7")
        np.testing.assert_array_equal(found.as_numpy("counts"), expected)
        assert found.get_response()["id"] == "7"


def test_metadata_and_errors_reveal_shapes_and_classes_only():
    with served(toy_target(fault=RuntimeError("weights of hidden1"))) as (url, _):
        assert httpx.get(url).json() == {
            "name": "toy",
            "versions": [],
            "platform": "",
            "inputs": [{"name": "image", "datatype": "FP64", "shape": [-1, *SHAPE]}],
            "outputs": [{"name": "counts", "datatype": "INT32", "shape": [-1, CLASSES]}],
        }
        response = httpx.post(f"{url}/infer", json=tensor(images(1)))
        assert (response.status_code, response.json()) == (500, {"error": "internal error"})
        for page in ("/docs", "/redoc", "/openapi.json"):
            assert httpx.get(url.split("/v2")[0] + page).status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"not json", "body: got invalid JSON"),
        (b"[1]", "body: got [1]"),
        (b"[" * 100_000, "body: got invalid JSON"),
        ({"inputs": []}, "inputs: got []"),
        (tensor(images(1), name="picture"), "input name: got 'picture'"),
        (tensor(images(1), datatype="INT8"), "input datatype: got 'INT8', expected FP64 or FP32"),
        (tensor(images(1), shape=[1, -4, 3]), "input shape: got [1, -4, 3]"),
        (tensor(images(1), shape=[2, 4, 3]), "tensor data: got 12 numbers, expected 24"),
        (tensor(images(1), data=["a"]), "tensor data: got "),
        (tensor(images(1), data=[[1], [1, 2]]), "tensor data: got "),
        (tensor(images(1, (3, 4))), "images: got an array of shape (1, 3, 4)"),
        (tensor(images(1) + 1), "expected values in [0, 1]"),
        (tensor(images(1), parameters={"binary_data_size": 8}), "binary_data_size: got 8, and 0"),
    ],
)
def test_invalid_requests_are_refused_and_not_counted(body, message):
    with served() as (url, service):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = httpx.post(f"{url}/infer", content=content)
        assert response.status_code == 400
        assert message in response.json()["error"]
        assert service.counted().result() == 0


def test_images_that_are_not_numbers_are_refused():
    with served() as (url, service):
        body = json.dumps(tensor(np.full((1, *SHAPE), np.nan)))
        response = httpx.post(f"{url}/infer", content=body)
        assert response.status_code == 400
        assert "NaN" in response.json()["error"]
        headers = {"Inference-Header-Content-Length": "99999"}
        response = httpx.post(f"{url}/infer", content=body, headers=headers)
        assert "Inference-Header-Content-Length: got 99999" in response.json()["error"]
        response = httpx.post(f"{url}/infer", content=body, headers={"Content-Encoding": "gzip"})
        assert response.status_code == 415
        assert service.counted().result() == 0


def test_limits_of_body_and_batch():
    with served(limits=Limits(max_request_bytes=5000, max_batch=3)) as (url, service):
        response = httpx.post(f"{url}/infer", json=tensor(images(4)))
        assert response.status_code == 413
        assert response.json()["error"] == "batch: got 4 images, expected at most 3"
        large = b" " * 6000
        assert httpx.post(f"{url}/infer", content=large).status_code == 413
        # Without a Content-Length header.
        assert httpx.post(f"{url}/infer", content=iter([large])).status_code == 413
        assert service.counted().result() == 0


def test_a_repeated_key_is_the_same_query(tmp_path):
    body = tensor(images(3))
    key = {"Idempotency-Key": "once"}
    path = tmp_path / "log.sqlite"
    with served(log=QueryLog(path)) as (url, service):
        answers = [httpx.post(f"{url}/infer", json=body, headers=key).json() for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert service.counted().result() == 3
        other = httpx.post(f"{url}/infer", json=tensor(images(3)), headers=key)
        assert other.status_code == 400
        assert "expected a new key" in other.json()["error"]
        assert service.counted().result() == 3
    # Another server with the same log.
    with served(log=QueryLog(path)) as (url, service):
        assert httpx.post(f"{url}/infer", json=body, headers=key).json() == answers[0]
        assert service.counted().result() == 3


def test_invalid_logs_are_refused(tmp_path):
    (tmp_path / "text").write_text("no database, but a text that is long enough to be read as one")
    with pytest.raises(FileError, match="text: is not a"):
        QueryLog(tmp_path / "text")
    with pytest.raises(OutputError, match="cannot be opened"):
        QueryLog(tmp_path)
    import sqlite3

    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE things (name TEXT)")
    with pytest.raises(FileError, match="is another database"):
        QueryLog(tmp_path / "other.sqlite")


def test_budgets_on_both_sides():
    with served(limits=Limits(queries_per_client=10)) as (url, service):
        with RemoteTarget(url, budget=6) as target:
            target.query(images(4))
            with pytest.raises(BudgetExceededError):
                target.query(images(3))
            assert (target.queries, target.remaining) == (4, 2)
        with RemoteTarget(url) as target:
            with pytest.raises(RemoteError, match=r"status 403: .*got 7 images, .* 6"):
                target.query(images(7))
            target.query(images(6))
        assert service.counted().result() == 10


def test_tokens_are_required_and_identify_the_client():
    tokens = {TOKEN: "ann", TOKEN[::-1]: "bob"}
    with served(tokens=tokens, limits=Limits(queries_per_client=3)) as (url, service):
        for token in (None, "wrong", TOKEN[:-1]):
            with pytest.raises(RemoteError, match="status 401: expected a bearer token"):
                RemoteTarget(url, token=token)
        server = url.split("/v2")[0]
        for page in (url, f"{url}/ready", f"{server}/v2", f"{server}/metrics"):
            assert httpx.get(page).status_code == 401
        for token in tokens:
            with RemoteTarget(url, token=token) as target:
                target.query(images(3))
        assert service.counted().result() == 6


def test_tokens_are_sent_to_this_machine_or_over_https_only():
    with pytest.raises(ValidationError, match="expected https"):
        RemoteTarget("http://192.0.2.1/v2/models/toy", token=TOKEN)
    with pytest.raises(ValidationError, match="an address such as"):
        RemoteTarget("ftp://localhost/x")


def test_certificates_are_verified(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with served(certificate=tmp_path / "server.pem") as (url, _):
        with pytest.raises(RemoteError, match="certificate is not trusted"):
            RemoteTarget(url)
        with RemoteTarget(url, ca_file=str(tmp_path / "ca.pem")) as target:
            assert target.query(images(2)).shape == (2, CLASSES)
    with pytest.raises(ValidationError, match="expected a PEM file"):
        RemoteTarget("https://localhost/v2/models/toy", ca_file=str(tmp_path / "none.pem"))


def test_slow_requests_are_sent_again_and_counted_once():
    limits = Limits(timeout_s=0.2)
    with served(toy_target(delay_s=0.5), limits=limits) as (url, service):
        with RemoteTarget(url) as target:
            first = target.query(images(2))
        assert first[:, 0].tolist() == [0, 1]
        assert service.counted().result() == 2


def test_requests_beyond_the_queue_are_refused_and_not_counted():
    with served(toy_target(delay_s=0.3), limits=Limits(queue_size=2)) as (url, service):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [
                pool.submit(httpx.post, f"{url}/infer", json=tensor(images(1)), timeout=30)
                for _ in range(6)
            ]
            statuses = sorted(one.result().status_code for one in asked)
        assert set(statuses) == {200, 503}
        assert service.counted().result() == statuses.count(200)


@pytest.mark.slow
def test_two_hundred_clients_at_once_lose_nothing():
    clients, batches = 200, 3
    with served() as (url, service):
        gate = threading.Barrier(clients)

        def client(_):
            with RemoteTarget(url, timeout_s=120, retries=20) as target:
                gate.wait()
                answers = [target.query(images(2)) for _ in range(batches)]
                return target.queries, np.concatenate(answers)

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            results = list(pool.map(client, range(clients)))
        total = clients * batches * 2
        assert sum(queries for queries, _ in results) == total
        assert service.counted().result() == total
        # Every response is from a separate trial: none is repeated or lost.
        shown = np.concatenate([answers[:, 0] for _, answers in results])
        np.testing.assert_array_equal(np.sort(shown), np.arange(total))


def test_a_network_that_cuts_connections_loses_and_repeats_nothing():
    with served() as (url, service):
        port = int(url.split(":")[2].split("/")[0])
        with faulty_network(port, seed=1) as (near, cut):
            through = url.replace(str(port), str(near))
            answers = []
            for _ in range(30):
                with RemoteTarget(through, retries=30, timeout_s=10) as target:
                    answers.append(target.query(images(3)))
        assert len(cut) > 10
        assert service.counted().result() == 90
        np.testing.assert_array_equal(np.concatenate(answers)[:, 0], np.arange(90))


def test_a_request_to_a_killed_server_is_sent_again_and_counted_once(network_file, tmp_path):
    options = ("--log", str(tmp_path / "log.sqlite"), "--steps", "2000")
    shown = images(200, (28, 28))
    with ServeCommand(network_file, *options) as first:
        target = RemoteTarget(first.url, retries=100, max_batch=200)
        target.query(shown[:1])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(target.query, shown)
            time.sleep(0.15)
            first.process.kill()
            first.process.wait()
            assert not asked.done()
            with ServeCommand(network_file, *options, port=first.port):
                assert asked.result(60).shape == (200, 10)
        target.close()
    assert target.queries == 201
    log = QueryLog(tmp_path / "log.sqlite")
    assert log.counted() == 201
    log.close()


def test_a_stopped_server_completes_requests_in_progress(network_file):
    with ServeCommand(network_file, "--steps", "3000") as server:
        with concurrent.futures.ThreadPoolExecutor(1) as pool, RemoteTarget(server.url) as target:
            target.query(images(1, (28, 28)))
            asked = pool.submit(target.query, images(90, (28, 28)))
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            assert asked.result(60).shape == (90, 10)
        assert server.process.wait(30) == 0


def test_metrics_count_queries_and_requests():
    with served() as (url, _):
        with RemoteTarget(url) as target:
            target.query(images(5))
        httpx.post(f"{url}/infer", content=b"x")
        page = httpx.get(url.split("/v2")[0] + "/metrics").text
        assert "neuroattack_queries_total 5.0" in page
        assert 'neuroattack_requests_total{status="200"} 1.0' in page
        assert 'neuroattack_requests_total{status="400"} 1.0' in page
        assert "neuroattack_waiting 0.0" in page


def output(**changes):
    """Return a response as JSON values."""
    values = {"name": "counts", "datatype": "INT32", "shape": [1, 5], "data": [0] * 5}
    return {"outputs": [values | changes]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"outputs": []}, "response outputs: got \\[\\]"),
        (output(datatype="FP32"), "'FP32'"),
        (output(shape=[2, 5], data=[0] * 10), r"response shape: got \(2, 5\), expected \(1, 5\)"),
        (output(data=[0]), "got 1 numbers, expected 5"),
        (output(data=[-1] * 5), "negative counts"),
    ],
)
def test_invalid_responses_are_refused(monkeypatch, answer, message):
    with served() as (url, _):
        monkeypatch.setattr(
            "neuroattack.remote.app.encode_response",
            lambda *_: (json.dumps(answer).encode(), {}),
        )
        with RemoteTarget(url) as target, pytest.raises(RemoteError, match=message):
            target.query(images(1))
        assert target.queries == 1


def test_servers_without_a_black_box_are_refused():
    with served() as (url, _):
        with pytest.raises(RemoteError, match="status 404"):
            RemoteTarget(url.replace("toy", "other"))
        with pytest.raises(ValidationError, match="model inputs"):
            RemoteTarget(url.split("/models")[0])
    with pytest.raises(RemoteError, match="Connection refused"):
        RemoteTarget("http://127.0.0.1:9/v2/models/toy", retries=0)


def test_tokens_are_read_with_their_clients(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"ann {TOKEN}\n\nbob {TOKEN[::-1]}\n")
    assert read_tokens(path) == {TOKEN: "ann", TOKEN[::-1]: "bob"}
    for text, message in (
        ("ann short\n", "line 1 is not a client's name and a token of at least 16"),
        (f"{TOKEN}\n", "line 1 is not"),
        ("\n\n", "no tokens"),
    ):
        path.write_text(text)
        with pytest.raises(FileError, match=message):
            read_tokens(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--host", "0.0.0.0"), "host: got 0.0.0.0"),  # noqa: S104
        (("--port", "70000"), "port: got 70000"),
        (("--tls-key", "key.pem"), "TLS: got one file"),
        (("--max-batch", "0"), "limit max_batch: got 0"),
        (("--timeout-s", "nan"), "limit timeout_s: got nan"),
        (("--token-file", "none"), "none: no such file"),
        (("--backend", "lav"), "unknown backend 'lav'"),
    ],
)
def test_serving_refuses_bad_options_before_it_listens(network_file, command, options, message):
    refused(command("serve", network_file, *options), message)


def test_an_attack_by_address_is_an_attack(network_file, tmp_path, command):
    with ServeCommand(network_file, "--steps", "60") as server:
        code, out, err = command(
            *("attack", server.url, "--dataset", "digits", "--index", "4"),
            *("--queries", "30", "--trials", "10", "--out", tmp_path / "a", "--json"),
        )
        assert code == 0, err
        figures = json.loads(out)
        (image,) = figures["images"]
        assert figures["deployment"] == server.url
        assert (image["search_queries"], image["verification_queries"]) == (30, 20)
        page = httpx.get(server.url.split("/v2")[0] + "/metrics").text
        counted = image["search_queries"] + 20
        assert f"neuroattack_queries_total {counted:.1f}" in page
        with np.load(tmp_path / "a" / "images.npz") as arrays:
            assert arrays["adversarial"].shape == (1, 28, 28)
        result = command("attack", server.url, "--dataset", "digits", "--steps", 99)
        refused(result, "steps of deployment")


@pytest.mark.slow
def test_a_campaign_on_a_served_network(network_file, tmp_path, command):
    with ServeCommand(network_file, "--steps", "60") as server:
        (tmp_path / "campaign.toml").write_text(
            f'deployments = ["{server.url}", "{server.url},response=labels"]\n'
            'trials = 5\nbudgets = [20]\nbounds = ["l2=2"]\nattacks = [{ name = "random-noise" }]\n'
            'images = { dataset = "digits", indices = [0, 1] }\n'
        )
        arguments = ("campaign", tmp_path / "campaign.toml", "--out", tmp_path / "out", "--json")
        code, out, err = command(*arguments)
        assert code == 0, err
        figures = json.loads(out)
        assert figures["progress"]["done"] == 4
        assert {row["deployment"] for row in figures["attacks"]} == {
            server.url,
            f"{server.url},response=labels",
        }
        page = httpx.get(server.url.split("/v2")[0] + "/metrics").text
        assert f"neuroattack_queries_total {4 * (20 + 2 * 5):.1f}" in page
