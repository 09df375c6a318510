"""What a worker does: one attack on one image, judged on fresh draws."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.limits import Limit
from neuroattack.attacks.perception import Window
from neuroattack.attacks.protocol import Finding, Found
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import Goal, Verification, verify
from neuroattack.datasets import Dataset, load_dataset
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.errors import FileError
from neuroattack.experiments.campaign.plan import Item
from neuroattack.targets.black_box import Target
from neuroattack.deployment.spec import OpenTarget, DeploymentSpec, open_target, profile_checksum

__all__ = ["Done", "Failed", "Task", "attempt", "end_with_parent"]

# Algorithm 1 as the paper runs it (N = 7, M = 10, delta = 0.1, D_max = 22).
_REFERENCE_SIDE = 7
_LOOK_AGAIN_S = 0.5

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Task:
    """An item with all that a process elsewhere has to know.

    Parameters
    ----------
    item : Item
        What to do.
    bound : float or None
        Of a limit that waited for a reference.
    network, dnn : str
        Files; ``""`` for no conventional model.
    contents : dict
        Digests of these and of the places' hardware profiles, by path or name.
    dataset, checksum : str
        Whose test images they are.
    draws : int
        Fresh draws by which images are judged.
    """

    item: Item
    bound: float | None
    network: str
    dnn: str
    contents: dict[str, str]
    dataset: str
    checksum: str
    draws: int


@dataclass(frozen=True, eq=False)
class Done:
    """What became of an item.

    Parameters
    ----------
    key : str
        The item's.
    record : dict
        JSON values.
    adversarial : float64 array, shape (height, width)
        The image found.
    """

    key: str
    record: dict[str, Any]
    adversarial: NDArray[np.float64]


@dataclass(frozen=True)
class Failed:
    """An item that raised an error, and the error in one line."""

    key: str
    error: str


def end_with_parent(parent: int) -> None:
    """Leave Ctrl-C to the parent process, and end soon after it has, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_AGAIN_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def attempt(task: Task) -> Done | Failed:
    """Do an item; an error of whatever kind is its result.

    With one thread of BLAS, whose sums depend on how many there are: the same item gives the same
    result on any machine's number of cores. One item at a time in a process, for that number is the
    process's, and so is the chance that ART's tools draw from.
    """
    try:
        with _one_at_a_time, threadpool_limits(1, user_api="blas"):
            return _done(task)
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        return Failed(task.item.key, f"{type(error).__name__}: {text}")


@functools.lru_cache(maxsize=1)
def _places() -> tuple[contextlib.ExitStack, dict[tuple[str, tuple[Any, ...]], OpenTarget]]:
    """Return the places this process has open: they stay so until it ends."""
    return contextlib.ExitStack(), {}


def _opened(task: Task) -> OpenTarget:
    stack, opened = _places()
    campaign = (task.network, task.dnn, *sorted(task.contents.items()))
    which = (task.item.place, campaign)
    if which not in opened:
        if any(other != campaign for _, other in opened):
            # Another campaign's: a worker of a cluster outlives them.
            stack.close()
            opened.clear()
        place = DeploymentSpec.from_text(task.item.place)
        here = {
            path: hashlib.sha256(Path(path).read_bytes()).hexdigest()
            for path in (task.network, task.dnn)
            if path
        }
        if place.profile:
            here[place.profile] = profile_checksum(place)
        for file, digest in here.items():
            if task.contents[file] != digest:
                raise FileError(file, "is another one here than where the campaign began")
        dnn = Path(task.dnn) if task.dnn else None
        opened[which] = stack.enter_context(open_target(place, Path(task.network), dnn))
    return opened[which]


@functools.lru_cache(maxsize=2)
def _dataset(name: str, checksum: str) -> Dataset:
    dataset = load_dataset(name)
    if dataset.checksum != checksum:
        raise FileError(name, "is another data set here than where the campaign began")
    return dataset


def _done(task: Task) -> Done:
    item = task.item
    image, label = _dataset(task.dataset, task.checksum).test.pick(item.index)
    goal = Goal(label, item.target_class)
    place = _opened(task)
    began = time.perf_counter()
    draws = DeploymentSpec.from_text(item.place).search_draws
    target = place(search_stream(item.index, item.target_class), item.budget, draws)
    found = _found(task, target, image, goal)
    judge = place(verification_stream(item.index, item.target_class))
    verdict = verify(judge, found.adversarial, goal, task.draws)
    clean = verify(judge, found.original, goal, task.draws)
    record = {
        "queries": found.queries,
        "stopped_by": found.stopped_by,
        "success": _shown(verdict),
        "clean_success": _shown(clean),
        "verification_queries": verdict.draws + clean.draws,
        "distance": {
            name: measure.distance(found.original, found.adversarial)
            for name, measure in _MEASURES.items()
        },
        "bound": task.bound,
        "seconds": time.perf_counter() - began,
    }
    return Done(item.key, record, found.adversarial)


_MEASURES = {"l0": Limit("l0", 1), "l2": Limit("l2", 1), "local_sd": Limit("local_sd", 1)}


def _shown(found: Verification) -> Mapping[str, Any]:
    return {"successes": found.successes, "draws": found.draws}


def _found(task: Task, target: Target, image: NDArray[np.float64], goal: Goal) -> Found:
    item = task.item
    if not item.limit:
        shape = target.image_shape
        window = Window.centred(shape, min(_REFERENCE_SIDE, *shape))
        return GreedyWindow(window).run(target, image, goal)
    if task.bound == 0:
        return Finding(image, image, goal, 0, "no distance allowed")
    limit = (
        Limit.from_text(item.limit)
        if task.bound is None
        else Limit.from_text(f"{item.limit.partition('@')[0]}={task.bound!r}")
    )
    if item.budget is None:
        raise ValueError(item)
    attack = make_attack(item.attack, limit, item.budget, item.seed, item.settings)
    return attack.run(target, image, goal)
