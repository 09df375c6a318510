"""Running a campaign: over the cores of this machine, or over others through Dask."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from neuroattack import __version__
from neuroattack.datasets import load_dataset_of
from neuroattack.errors import FileError, SimulationError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.campaign.config import CampaignConfig, config_of
from neuroattack.experiments.campaign.plan import plan_items
from neuroattack.experiments.campaign.store import Counts, Store
from neuroattack.experiments.campaign.work import Done, Failed, Task, attempt, end_with_parent
from neuroattack.experiments.common_images import choose_images
from neuroattack.experiments.engine.cells import usable_cores
from neuroattack.ir.storage import load_network
from neuroattack.deployment.spec import profile_checksum
from neuroattack.training.dnn.storage import load_mlp
from neuroattack.validation import check_whole

__all__ = ["Workers", "begin", "carry_on"]

_MOST_WORKERS = 1024
# Of a configuration, what decides results and is in no item's name.
_FOR_GOOD = ("network", "dnn", "seed", "draws")
_OTHERS_AT_WORK_S = 0.5
_REPORT_EVERY_S = 1.0


@dataclass(frozen=True)
class Workers:
    """Where a campaign's attacks run.

    Parameters
    ----------
    cores : int, optional
        Processes on this machine; by default one for each core this process may use.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do it instead.

    Raises
    ------
    ValidationError
        If the number is out of range, or both are given.
    """

    cores: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.cores is not None:
            check_whole("workers", self.cores, 1, _MOST_WORKERS)
            if self.scheduler is not None:
                raise ValidationError(
                    "workers", self.cores, "none beside a scheduler, which has its own"
                )

    @contextlib.contextmanager
    def ready(self) -> Iterator[int]:
        """Make joblib use them; yields how many there are.

        Raises
        ------
        SimulationError
            If there is no such scheduler, or it has no workers.
        UnsupportedFeatureError
            If Dask is not installed.
        """
        if self.scheduler is None:
            cores = usable_cores() if self.cores is None else self.cores
            # Threads of compiled loops in each worker: its share of the cores.
            with joblib.parallel_config(
                "loky",
                inner_max_num_threads=max(1, usable_cores() // cores),
                initializer=end_with_parent,
                initargs=(os.getpid(),),
            ):
                yield cores
            return
        try:
            from distributed import Client
        except ImportError:
            raise UnsupportedFeatureError(
                "a Dask scheduler needs the extra `campaigns`: pip install 'neuroattack[campaigns]'"
            ) from None
        try:
            client = Client(self.scheduler, timeout="10s", set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SimulationError(
                f"no Dask scheduler answers at {self.scheduler}: {error}"
            ) from None
        with client:
            cores = sum(client.nthreads().values())
            if not cores:
                raise SimulationError(f"the Dask scheduler at {self.scheduler} has no workers")
            with joblib.parallel_config("dask", scheduler_host=self.scheduler):
                yield cores


def begin(folder: Path, config: CampaignConfig) -> None:
    """Write down what a campaign has to do; add to it, where less of the same was planned before.

    Raises
    ------
    ValidationError
        If another campaign is in the folder, or there are too few images.
    NeuroattackError
        If a network, model or data set cannot be had.
    """
    network = load_network(config.network)
    if config.dnn is not None:
        load_mlp(config.dnn)
    dataset = load_dataset_of(config.images.dataset, network.origin)
    now = json.loads(json.dumps(config.as_json()))
    with Store(folder, create=True) as store:
        before = store.about("config")
        if before == now:
            return
        if before is not None:
            _check_same(store, config, folder)
            if any(before[key] != now[key] for key in _FOR_GOOD):
                raise _another_campaign(folder)
        images = list(config.images.indices or ()) or choose_images(
            dataset.test,
            config.places,
            config.network,
            config.dnn,
            count=config.images.count or 1,
            seed=config.seed,
        )
        labelled = [(index, dataset.test.pick(index)[1]) for index in images]
        items = plan_items(config, labelled, network.classes)
        about = {
            "config": now,
            "version": __version__,
            "contents": _contents(config),
            "dataset": {"name": dataset.name, "checksum": dataset.checksum},
        }
        if before is not None and (
            store.about("dataset") != about["dataset"]
            or not store.keys() <= {item.key for item in items}
        ):
            raise _another_campaign(folder)
        store.plan(items, about)


def _another_campaign(folder: Path) -> ValidationError:
    return ValidationError(
        f"folder {folder}",
        "that of another campaign",
        "an empty one, or a configuration that asks for all that is planned there",
    )


def _check_same(store: Store, config: CampaignConfig, folder: Path) -> None:
    """Raise an error if what decides results is another than when the campaign began."""
    version = store.about("version")
    if version != __version__:
        raise ValidationError(
            f"folder {folder}",
            f"a campaign that neuroattack {version} began",
            f"one of {__version__}, this version: begin it anew in another folder",
        )
    planned = store.about("contents")
    for file, digest in _contents(config).items():
        if planned.get(file, digest) != digest:
            raise FileError(file, f"is another one than when the campaign in {folder} began")


def _contents(config: CampaignConfig) -> dict[str, str]:
    """Return what is in each model and hardware profile, as a digest by its path or name."""
    found = {place.profile: profile_checksum(place) for place in config.places if place.profile}
    for path in (config.network, config.dnn):
        if path is not None:
            try:
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise FileError(path, f"cannot be read: {error.strerror}") from None
    return found


def carry_on(
    folder: Path,
    workers: Workers,
    on_progress: Callable[[Counts, float], None] | None = None,
) -> Counts:
    """Do what is left of a campaign, beside other processes that do the same if there are any.

    Parameters
    ----------
    folder : Path
        Of the campaign, begun.
    workers : Workers
        Where.
    on_progress : callable, optional
        Called now and then with the counts, and the attacks a second this process finishes.

    Returns
    -------
    Counts
        In the end: nothing waits.

    Raises
    ------
    FileError
        If there is no campaign in the folder.
    SimulationError
        If the scheduler cannot be reached.
    """
    with Store(folder) as store, workers.ready() as parallel:
        return _Round(store, folder, parallel, on_progress).until_done()


class _Round:
    def __init__(
        self,
        store: Store,
        folder: Path,
        parallel: int,
        on_progress: Callable[[Counts, float], None] | None,
    ) -> None:
        stored = store.about("config")
        if stored is None:
            raise FileError(folder, "holds a campaign that has not been planned; begin it again")
        config = config_of(stored, folder)
        _check_same(store, config, folder)
        dataset = store.about("dataset")
        self._store = store
        self._parallel = parallel
        self._on_progress = on_progress
        self._common = (
            str(config.network),
            "" if config.dnn is None else str(config.dnn),
            store.about("contents"),
            dataset["name"],
            dataset["checksum"],
            config.draws,
        )
        self._began = time.monotonic()
        self._reported = -_REPORT_EVERY_S
        self._finished = 0
        self._flying: set[str] = set()
        self._lock = threading.Lock()

    def until_done(self) -> Counts:
        while True:
            self._report(at_once=True)
            try:
                did = self._side_by_side()
            except _WORKER_DIED:
                self._one_by_one(sorted(self._flying))
                continue
            counts = self._store.counts()
            if not counts.waiting and not counts.running:
                self._report(at_once=True)
                return counts
            if not did:
                # Another process has what is left, or that which it waits for.
                time.sleep(_OTHERS_AT_WORK_S)

    def _side_by_side(self) -> int:
        """Do all that can be had now; return how many items that were."""
        did = 0
        with (
            warnings.catch_warnings(),
            joblib.Parallel(
                # Of one job joblib makes none of another process: what kills it would end us.
                max(2, self._parallel),
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch="2*n_jobs" if self._parallel > 1 else 1,
            ) as pool,
        ):
            # loky replaces a worker whose memory has grown, and says so: no matter to the user.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            results = pool(joblib.delayed(attempt)(task) for task in self._tasks())
            for result in results:
                self._keep(result)
                did += 1
        return did

    def _one_by_one(self, suspects: Sequence[str]) -> None:
        """Do each alone that was at work when a worker died: so it is seen which one kills."""
        self._flying.clear()
        self._store.release()
        for key in suspects:
            for item, record in self._store.claim(1, keys=[key]):
                try:
                    with joblib.Parallel(2, batch_size=1) as pool:
                        for result in pool([joblib.delayed(attempt)(self._task(item, record))]):
                            self._keep(result)
                except _WORKER_DIED as error:
                    text = " ".join(str(error).split())[:200]
                    self._store.fail(key, f"its worker process died: {text}")

    def _tasks(self) -> Iterator[Task]:
        while True:
            # joblib asks from threads of its own.
            with self._lock:
                claimed = self._store.claim(1)
                if not claimed:
                    return
                item, record = claimed[0]
                self._flying.add(item.key)
            yield self._task(item, record)

    def _task(self, item: Any, reference: dict[str, Any] | None) -> Task:
        bound = None
        if reference is not None:
            bound = float(reference["distance"][item.limit.partition("@")[0]])
        return Task(item, bound, *self._common)

    def _keep(self, result: Done | Failed) -> None:
        key = result.key
        if isinstance(result, Done):
            self._store.finish(key, result.record, adversarial=result.adversarial)
        else:
            self._store.fail(key, result.error)
        self._flying.discard(key)
        self._finished += 1
        self._report()

    def _report(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._on_progress and (at_once or now - self._reported >= _REPORT_EVERY_S):
            self._reported = now
            rate = self._finished / max(now - self._began, 1e-9)
            self._on_progress(self._store.counts(), rate)


def _worker_died() -> tuple[type[BaseException], ...]:
    kinds: list[type[BaseException]] = [TerminatedWorkerError]
    with contextlib.suppress(ImportError):
        from distributed.scheduler import KilledWorker

        kinds.append(KilledWorker)
    return tuple(kinds)


_WORKER_DIED = _worker_died()
