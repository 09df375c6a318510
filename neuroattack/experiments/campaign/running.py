"""Run a campaign on the cores of this machine, or on other machines through Dask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from neuroattack import __version__
from neuroattack.datasets import Dataset, load_dataset, load_dataset_of
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import profile_checksum
from neuroattack.errors import FileError, ValidationError
from neuroattack.experiments.attack_cells import Subject
from neuroattack.experiments.campaign.config import CampaignConfig, config_of
from neuroattack.experiments.campaign.plan import plan_cells
from neuroattack.experiments.common_images import choose_images
from neuroattack.experiments.engine.running import do_cells
from neuroattack.experiments.engine.store import Counts, Store
from neuroattack.experiments.engine.workers import Workers
from neuroattack.experiments.substitutes import keep_substitutes
from neuroattack.ir.storage import load_network

__all__ = ["begin", "resume"]

# Configuration entries that determine results and are not part of cell keys.
_FIXED_KEYS = ("network", "dnn", "seed", "trials")


def begin(folder: Path, config: CampaignConfig) -> None:
    """Plan a campaign in a folder, or extend the campaign in it.

    Raises
    ------
    ValidationError
        If the folder contains another campaign, or there are too few images.
    NeuroattackError
        If a network, model or data set cannot be loaded.
    """
    network = None if config.network is None else load_network(config.network)
    dataset = load_dataset_of(config.images.dataset, {} if network is None else network.origin)
    specs = tuple(spec.for_samples(network, dataset.test.images) for spec in config.deployments)
    config = config.model_copy(update={"deployments": specs})
    now = json.loads(json.dumps(config.as_json()))
    with Store(folder, create=True) as store:
        before = store.about("config")
        if before == now:
            return
        if before is not None:
            _check_same(store, config, folder)
            if any(before[key] != now[key] for key in _FIXED_KEYS):
                raise _another_campaign(folder)
        subject = Subject.kept(folder, dataset, config.deployments, config.network, config.dnn)
        images = list(config.images.indices or ()) or choose_images(
            dataset.test,
            config.deployments,
            config.network,
            config.dnn,
            count=config.images.count or 1,
            seed=config.seed,
        )
        substitutes = keep_substitutes((attack.settings for attack in config.attacks), folder)
        labeled = [(index, dataset.test.pick(index)[1]) for index in images]
        cells = plan_cells(config, labeled, _classes(config, dataset), substitutes)
        about = {
            "config": now,
            "version": __version__,
            "contents": _contents(config),
            "common": {**subject.as_json(), "trials": config.trials},
        }
        if before is not None and (
            store.about("common") != about["common"]
            or not store.keys() <= {cell.key for cell in cells}
        ):
            raise _another_campaign(folder)
        store.plan(cells, about)


def _classes(config: CampaignConfig, dataset: Dataset) -> int:
    if "random" not in config.goals:
        return dataset.classes
    with open_target(config.deployments[0], config.network, config.dnn) as opened:
        return opened.n_classes


def _another_campaign(folder: Path) -> ValidationError:
    return ValidationError(
        f"folder {folder}",
        "the folder of another campaign",
        "an empty folder, or a configuration that includes all planned attacks",
    )


def _check_same(store: Store, config: CampaignConfig, folder: Path) -> None:
    """Raise an error if the version or a file differs from those at the campaign's start."""
    version = store.about("version")
    if version != __version__ or store.about("common") is None:
        raise ValidationError(
            f"folder {folder}",
            f"a campaign of neuroattack {version}",
            f"one of this version, {__version__}; start the campaign again in another folder",
        )
    planned = store.about("contents")
    for file, digest in _contents(config).items():
        if planned.get(file, digest) != digest:
            raise FileError(
                file, f"differs from the file with which the campaign in {folder} was started"
            )


def _contents(config: CampaignConfig) -> dict[str, str]:
    """Return the checksum of each model and hardware profile, by path or name."""
    checksums = {
        spec.profile: profile_checksum(spec) for spec in config.deployments if spec.profile
    }
    for path in (config.network, config.dnn):
        if path is not None:
            try:
                checksums[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise FileError(path, f"cannot be read: {error.strerror}") from None
    return checksums


def resume(
    folder: Path,
    workers: Workers,
    on_progress: Callable[[Counts, float], None] | None = None,
) -> Counts:
    """Run the remaining cells of a campaign; several processes may do so at once.

    Returns
    -------
    Counts
        Final counts, without waiting cells.
    """
    with Store(folder) as store:
        stored = store.about("config")
        if stored is None:
            raise FileError(folder, "contains a campaign without a plan; start it again")
        _check_same(store, config_of(stored, folder), folder)
        common = store.about("common")
    if load_dataset(common["dataset"]).checksum != common["checksum"]:
        raise FileError(
            common["dataset"], "differs from the data set with which the campaign was started"
        )
    return do_cells(folder, workers, common, on_progress)
