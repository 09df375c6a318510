"""Folders of event data sets in the layout of their distribution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuroattack.datasets.events.formats.aedat3 import read_gestures
from neuroattack.datasets.events.formats.headers import aedat_version
from neuroattack.datasets.events.formats.shd import read_shd_labels
from neuroattack.errors import FileError, UnknownNameError

__all__ = ["FORMATS", "Item", "Listing", "list_recordings"]

_SUFFIXES = {
    "nmnist": (".bin",),
    "aedat2": (".aedat", ".aedat2"),
    "aedat3": (".aedat", ".aedat3"),
    "aedat4": (".aedat4", ".aedat"),
    "shd": (".h5", ".hdf5"),
    "structured": (".npy", ".npz"),
}

FORMATS = tuple(_SUFFIXES)
"""Names of the formats of recordings."""

_PARTS = ("train", "test")
_MOST_RECORDINGS = 1_000_000
_MOST_CLASSES = 65_536

# As in the built-in digits, every fifth recording of each class is a test recording.
_TEST_EVERY = 5


@dataclass(frozen=True)
class Item:
    """One recording: a file, or a part of a file.

    Parameters
    ----------
    path : Path
        File.
    label : int
        Class.
    interval_s : tuple of float or None
        Start and end in seconds; None for the complete file.
    index : int or None
        Number of the recording in a file with several; None if there is one only.
    """

    path: Path
    label: int
    interval_s: tuple[float, float] | None = None
    index: int | None = None


@dataclass(frozen=True)
class Listing:
    """Recordings of a data set.

    Parameters
    ----------
    file_format : str
        One of :data:`FORMATS`.
    splits : mapping of str to list of Item
        Recordings of "train" and "test".
    classes : tuple of str
        Names of the classes.
    """

    file_format: str
    splits: Mapping[str, list[Item]]
    classes: tuple[str, ...]


def list_recordings(source: Path, file_format: str = "auto") -> Listing:
    """List the recordings of a data set.

    The source is one of:

    - a folder with the folders ``Train`` and ``Test``, each with one folder per class (N-MNIST);
    - a folder with one folder per class (N-Caltech101, CIFAR10-DVS). In the order of their names,
      every fifth recording of each class is a test recording;
    - a folder with ``trials_to_train.txt`` and ``trials_to_test.txt``, the names of recordings of
      several gestures, with labels in ``NAME_labels.csv`` (DVS128 Gesture);
    - a folder with an HDF5 file whose name ends in ``_train.h5``, and one that ends in
      ``_test.h5`` (SHD, SSC);
    - a file, which contains test recordings. Without labels, their class is 0.

    Recordings in folders of classes are listed in turns: one of each class, then the next of each.
    Classes whose names are integers have these as labels, others are in the order of their names.

    Parameters
    ----------
    source : Path
        Folder or file.
    file_format : str
        One of :data:`FORMATS`, or "auto".

    Raises
    ------
    FileError
        If there are no recordings, or files of several formats.
    UnknownNameError
        If there is no such format.
    """
    if file_format != "auto" and file_format not in FORMATS:
        raise UnknownNameError("format of recordings", file_format, ("auto", *FORMATS))
    if not source.exists():
        raise FileError(source, "no such file or folder, expected recordings of events")
    try:
        if source.is_dir():
            return _of_folder(source, file_format)
        return _of_file(source, file_format)
    except OSError as error:
        raise FileError(source, f"cannot be read: {error.strerror or error}") from error


def _of_file(path: Path, file_format: str) -> Listing:
    chosen = _format_of([path], file_format, path)
    if chosen == "shd":
        return _numbered(chosen, {"test": _of_spike_file(path)})
    gestures = _labels_of(path)
    if chosen == "aedat3" and gestures.exists():
        return _numbered(chosen, {"test": _of_gesture_file(path)})
    return Listing(chosen, {"test": [Item(path, 0)]}, ("0",))


def _of_folder(folder: Path, file_format: str) -> Listing:
    trials = {part: folder / f"trials_to_{part}.txt" for part in _PARTS}
    if any(path.exists() for path in trials.values()):
        return _numbered(
            _one_of(file_format, "aedat3"),
            {part: _of_trials(path) for part, path in trials.items() if path.exists()},
        )
    spikes = {part: _files(folder, (f"_{part}.h5", f"_{part}.hdf5")) for part in _PARTS}
    if any(spikes.values()):
        for part, paths in spikes.items():
            if len(paths) > 1:
                raise FileError(folder, f"has {len(paths)} HDF5 files of {part}, expected one")
        return _numbered(
            _one_of(file_format, "shd"),
            {part: _of_spike_file(paths[0]) for part, paths in spikes.items() if paths},
        )
    inside = {path.name.lower(): path for path in _folders(folder)}
    parts = {part: inside[part] for part in _PARTS if part in inside}
    if parts:
        return _of_classes(folder, {k: _classes(v) for k, v in parts.items()}, file_format)
    return _of_classes(folder, {"all": _classes(folder)}, file_format)


def _of_classes(
    source: Path, parts: Mapping[str, dict[str, list[Path]]], file_format: str
) -> Listing:
    files = [path for part in parts.values() for paths in part.values() for path in paths]
    chosen = _format_of(files, file_format, source)
    names = {name for part in parts.values() for name in part}
    labels = _label_classes(source, names)
    splits: dict[str, list[Item]] = {}
    for part, classes in parts.items():
        for name, paths in sorted(classes.items(), key=lambda pair: labels[pair[0]]):
            kept = [path for path in paths if path.name.lower().endswith(_SUFFIXES[chosen])]
            for index, path in enumerate(kept):
                last = index % _TEST_EVERY == _TEST_EVERY - 1
                into = part if part in _PARTS else ("test" if last else "train")
                splits.setdefault(into, []).append(Item(path, labels[name]))
    most = max(labels.values()) + 1
    known = {label: name for name, label in labels.items()}
    return Listing(
        chosen,
        {part: _in_turns(splits[part]) for part in _PARTS if part in splits},
        tuple(known.get(label, str(label)) for label in range(most)),
    )


def _in_turns(items: list[Item]) -> list[Item]:
    """Order items that are sorted by class: the first of each class, the second, and so on."""
    seen: dict[int, int] = {}
    turns = []
    for item in items:
        turns.append(seen.get(item.label, 0))
        seen[item.label] = turns[-1] + 1
    order = sorted(range(len(items)), key=lambda at: (turns[at], items[at].label))
    return [items[at] for at in order]


def _label_classes(source: Path, names: set[str]) -> dict[str, int]:
    if names and all(re.fullmatch(r"[0-9]{1,9}", name) for name in names):
        labels = {name: int(name) for name in names}
    else:
        labels = {name: label for label, name in enumerate(sorted(names))}
    if len(set(labels.values())) < len(names) or max(labels.values(), default=0) >= _MOST_CLASSES:
        raise FileError(
            source, f"has classes up to {max(names)}, expected different ones below {_MOST_CLASSES}"
        )
    return labels


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the recordings in each folder of a class, by the name of the class."""
    suffixes = tuple({suffix for each in _SUFFIXES.values() for suffix in each})
    found = {each.name: _files(each, suffixes) for each in _folders(folder)}
    return {name: paths for name, paths in found.items() if paths}


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(suffixes) and not path.name.startswith(".")
    )


def _of_trials(path: Path) -> list[Item]:
    names = [
        line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    items: list[Item] = []
    for name in filter(None, names):
        if Path(name).name != name:
            raise FileError(path, f"names the file {name!r}, expected one in the same folder")
        items += _of_gesture_file(path.parent / name)
    return items


def _of_gesture_file(path: Path) -> list[Item]:
    return [
        Item(path, label, (start, end)) for label, start, end in read_gestures(_labels_of(path))
    ]


def _labels_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_labels.csv")


def _of_spike_file(path: Path) -> list[Item]:
    return [
        Item(path, label, index=index) for index, label in enumerate(read_shd_labels(path).tolist())
    ]


def _numbered(chosen: str, splits: Mapping[str, list[Item]]) -> Listing:
    most = max((item.label for items in splits.values() for item in items), default=0) + 1
    return Listing(chosen, splits, tuple(map(str, range(most))))


def _one_of(file_format: str, found: str) -> str:
    if file_format not in ("auto", found):
        raise UnknownNameError("format of this data set", file_format, ("auto", found))
    return found


def _format_of(files: Iterable[Path], file_format: str, source: Path) -> str:
    """Return the format of files from their suffixes and first bytes; all must have the same."""
    listed = list(files)
    if len(listed) > _MOST_RECORDINGS:
        raise FileError(source, f"has {len(listed):,} files, expected at most {_MOST_RECORDINGS:,}")
    if file_format != "auto":
        listed = [p for p in listed if p.name.lower().endswith(_SUFFIXES[file_format])]
    if not listed:
        raise FileError(source, "has no recordings, expected folders of classes with files")
    if file_format != "auto":
        return file_format
    # One file for each suffix is enough: the reader of the format checks every file.
    by_suffix = {path.suffix.lower(): path for path in reversed(listed)}
    found = {_format_of_file(path) for path in by_suffix.values()}
    if len(found) > 1:
        raise FileError(
            source, f"has files in the formats {', '.join(sorted(found))}; use --format to choose"
        )
    return found.pop()


def _format_of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix.startswith(".aedat"):
        with path.open("rb") as file:
            version = aedat_version(file.read(20))
        for known in ("2.0", "3.1", "4.0"):
            if version == known:
                return f"aedat{known[0]}"
        raise FileError(
            path,
            f"is {'not an AEDAT file' if version is None else f'an AEDAT {version} file'}, "
            "expected version 2.0, 3.1 or 4.0",
        )
    for name, suffixes in _SUFFIXES.items():
        if suffix in suffixes:
            return name
    raise FileError(path, f"has the suffix {suffix or 'none'}, expected a recording of events")
