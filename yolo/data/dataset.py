"""A data set's YAML file: where the images are and what their classes are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yolo.data.patterns import is_pattern, is_there
from yolo.errors import DataError
from yolo.io.yaml_text import brief, read_yaml

PRESETS = Path(__file__).resolve().parent.parent / "config" / "datasets"
"""Folder of the data set files that come with the package."""

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Dataset:
    """What a data set's YAML file says, its paths resolved."""

    source: Path
    """The YAML file."""
    root: Path
    names: tuple[str, ...]
    """Class names; the position is the class."""
    splits: Mapping[str, tuple[Path, ...]]
    """Per split ("train", "val", "test") its folders, image files, ``.txt`` lists and glob patterns."""
    download: Any = None
    """What ``yolo.data.archives.parse_archives`` reads: looked at only when the data is not there."""
    convert: str | None = None
    """The format of ``yolo.data.convert`` that the download is in; None: YOLO's own."""
    generator: Mapping[str, Any] | None = None

    @property
    def nc(self) -> int:
        """The number of classes."""
        return len(self.names)

    def entries(self, split: str) -> tuple[Path, ...]:
        """The paths of ``split``. Raises DataError when the file has no such split."""
        if split not in self.splits:
            raise DataError(
                f"no split '{split}' (there is {', '.join(self.splits)})",
                where=self.source,
                hint=f"add a line '{split}: <folder of images>'",
            )
        return self.splits[split]


def read_dataset(path: str | Path) -> Dataset:
    """What a data set YAML says, without a look at whether its data is there.

    ``path`` is a file, or the bare name of one that comes with the package ("shapes", "coco128.yaml"). Raises
    DataError for whatever is wrong with the file.
    """
    source = _find(path)
    content = _read(source)
    names = _names(content, source)
    entries = {split: _entries(content[split], split, source) for split in _SPLITS if content.get(split)}
    if not entries:
        raise DataError("no split in the file", where=source, hint="add 'train:' and 'val:'")
    base = _optional_text(content, "path", source) or ""
    root, splits = _places(base, entries, source)
    return Dataset(
        source=source,
        root=root,
        names=names,
        splits=splits,
        download=content.get("download"),
        convert=_optional_text(content, "convert", source),
        generator=_generator(content, source),
    )


def _places(base: str, entries: dict[str, tuple[str, ...]], source: Path) -> tuple[Path, dict[str, tuple[Path, ...]]]:
    """The root, and per split its paths."""
    try:
        root = _root(base, entries, source)
        splits = {split: tuple(_resolve(root, entry) for entry in some) for split, some in entries.items()}
        return root, splits
    except OSError as error:  # a name too long, a folder that may not be entered
        raise DataError(f"a path in it cannot be looked at ({error.strerror})", where=source) from error


def preset_names(name: str) -> tuple[str, ...]:
    """The class names of a data set file that comes with the package."""
    source = PRESETS / f"{name}.yaml"
    return _names(_read(source), source)


def is_present(dataset: Dataset) -> bool:
    """Whether every train and val path exists (patterns and ``test`` are not looked at)."""
    needed = [entry for split in ("train", "val") for entry in dataset.splits.get(split, ())]
    return all(entry.exists() or is_pattern(entry) for entry in needed)


def _find(path: str | Path) -> Path:
    given = Path(path)
    if given.is_file():
        return given.absolute()
    if given.name == str(path):
        for name in (given.name, f"{given.name}.yaml"):
            if (PRESETS / name).is_file():
                return PRESETS / name
    known = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
    raise DataError("no such data set file", where=path, hint=f"give a YAML file or one of: {known}")


def _read(source: Path) -> dict[str, Any]:
    try:
        content = read_yaml(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=source) from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"not valid YAML ({error.problem})", where=f"{source}{line}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"not valid YAML ({type(error).__name__}: {error})", where=source) from error
    if not isinstance(content, dict):
        raise DataError(
            "a data set file is a mapping with 'path', 'train', 'val' and 'names'",
            where=source,
            hint=f"this one holds {type(content).__name__}",
        )
    return content


def _names(content: dict[str, Any], source: Path) -> tuple[str, ...]:
    given = content.get("names")
    if isinstance(given, dict):
        numbered = {str(number): number for number in range(len(given))}
        keys = [numbered.get(key, key) for key in given]
        given = dict(zip(keys, given.values())) if len(set(keys)) == len(keys) else given
        gap = next((number for number in range(len(given)) if number not in given), None)
        if gap is not None:
            raise DataError(
                f"'names' has {len(given)} entries but none is numbered {gap}",
                where=source,
                hint="number the classes 0, 1, 2 and so on without a gap",
            )
        given = [given[number] for number in range(len(given))]
    if isinstance(given, str):
        raise DataError(
            "'names' is a single string", where=source, hint=f"a list of class names is meant: [{brief(given)}]"
        )
    if not isinstance(given, list) or not given:
        raise DataError("'names' is missing or empty", where=source, hint="list the class names there")
    for name in given:
        huge = isinstance(name, int) and abs(name) > 10**18
        if isinstance(name, bool) or not isinstance(name, (str, int, float)) or huge:
            raise DataError(f"class name {brief(name)} is not text", where=source, hint="put it in quotes")
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        times = Counter(names)
        twice = next(name for name in names if times[name] > 1)
        raise DataError(f"class name {brief(twice)} occurs twice in 'names'", where=source)
    nc = content.get("nc", len(names))
    if not isinstance(nc, int) or isinstance(nc, bool) or nc != len(names):
        raise DataError(
            f"'nc' is {brief(nc)} but there are {len(names)} names", where=source, hint="remove 'nc' or make them agree"
        )
    return names


def _entries(given: object, split: str, source: Path) -> tuple[str, ...]:
    entries = given if isinstance(given, list) else [given]
    if not all(isinstance(entry, str) and entry and "\0" not in entry for entry in entries):
        raise DataError(f"'{split}' must be a path or a list of paths", where=source)
    return tuple(entries)


def _optional_text(content: dict[str, Any], key: str, source: Path) -> str | None:
    value = content.get(key)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        raise DataError(f"'{key}' must be text", where=source)
    return value or None


def _generator(content: dict[str, Any], source: Path) -> dict[str, Any] | None:
    value = content.get("generator")
    if value is not None and not isinstance(value, dict):
        raise DataError("'generator' must be a mapping with 'name'", where=source)
    return value


def _root(base: str, entries: dict[str, tuple[str, ...]], source: Path) -> Path:
    """The folder that holds the data, or where the data would be put."""
    candidates = [source.parent / base, Path.cwd() / base, Path.cwd() / "datasets" / base]
    wanted = next(iter(entries.values()))[0]
    # A folder may have the right name by chance; the one that holds the data is meant.
    for holds in (lambda folder: is_there(_resolve(folder, wanted)), Path.is_dir):
        for folder in candidates:
            if folder.is_dir() and holds(folder):
                return _without_dots(folder)
    return candidates[0] if Path(base).is_absolute() else candidates[-1].resolve()


def _resolve(root: Path, entry: str) -> Path:
    path = root / entry
    # Exports by annotation services say ../train/images for a folder that lies beside the YAML file.
    there = path.exists() or is_there(path)  # the first raises OSError for what could never be there
    if entry.startswith("../") and not there and is_there(root / entry[3:]):
        return root / entry[3:]
    return path


def _without_dots(folder: Path) -> Path:
    """The same folder, absolute. Its links stay where they can: their names say where the labels are."""
    plain = Path(os.path.abspath(folder))
    return plain if plain.exists() and plain.samefile(folder) else folder.resolve()
