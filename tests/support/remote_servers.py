"""Servers for tests: a web application in a thread, a command in a process, a faulty network."""

import contextlib
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import uvicorn

from neuroattack.remote.app import make_app
from neuroattack.remote.query_log import QueryLog
from neuroattack.remote.service import Limits, Service
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import TargetWrapper

SHAPE, CLASSES = (4, 3), 5


def toy_target(delay_s=0.0, fault=None, budget=None):
    """Answer with counts that tell the image and how many came before it."""
    shown = 0

    def answer(rows):
        nonlocal shown
        time.sleep(delay_s)
        if fault is not None:
            raise fault
        first = np.arange(shown, shown + len(rows))
        shown += len(rows)
        brightness = np.rint(rows.sum(axis=1) * 1000)
        zeros = np.zeros(len(rows))
        return np.stack([first, brightness, zeros, zeros, zeros], axis=1).astype(np.int32)

    return BlackBox(answer, SHAPE, CLASSES, budget)


class GatedTarget(TargetWrapper):
    """Record the size of each batch; every query waits until `gate` is set."""

    def __init__(self, target):
        super().__init__(target)
        self.gate, self.entered, self.sizes = threading.Event(), threading.Event(), []

    def query(self, images):
        self.sizes.append(len(images))
        self.entered.set()
        assert self.gate.wait(60)
        return super().query(images)


@contextlib.contextmanager
def served(target=None, limits=None, tokens=None, log=None, certificate=None):
    """Serve a target from a thread; yield the model's address, and the service."""
    limits, log = limits or Limits(), log or QueryLog()
    service = Service(target or toy_target(), log, limits)
    app = make_app("toy", service, limits=limits, tokens=tokens)
    tls = {} if certificate is None else {"ssl_certfile": certificate, "ssl_keyfile": certificate}
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", **tls))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        scheme = "http" if certificate is None else "https"
        try:
            yield f"{scheme}://localhost:{listener.getsockname()[1]}/v2/models/toy", service
        finally:
            server.should_exit = True
            thread.join()


class ServeCommand:
    """``neuroattack serve`` in a process of its own."""

    def __init__(self, network, *options, port=0):
        command = [sys.executable, "-m", "neuroattack", "serve", str(network), "--port", str(port)]
        self.process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert line.startswith("Serving "), line + self.process.stderr.read()
        self.url = line.split()[1]
        self.port = int(self.url.split(":")[2].split("/")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def faulty_network(port, seed, fraction=0.5):
    """Forward connections to a port; cut some off at a random byte, either way; yield a port."""
    rng, lock = np.random.default_rng(seed), threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))
    cut = []

    def pump(source, sink, allowed):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                if allowed is not None:
                    if len(chunk) >= allowed:
                        sink.sendall(chunk[:allowed])
                        cut.append(True)
                        break
                    allowed -= len(chunk)
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                with lock:
                    faulty = rng.random() < fraction
                    limits = [int(rng.integers(1, 1000)) if faulty else None, None]
                    limits = limits[:: rng.choice([-1, 1])]
                for source, sink, limit in ((near, far, limits[0]), (far, near, limits[1])):
                    threading.Thread(target=pump, args=(source, sink, limit), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], cut
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
