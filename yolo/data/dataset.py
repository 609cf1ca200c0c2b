"""A data set's YAML file: where the images are and what their classes are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yolo.data.patterns import is_pattern, is_there
from yolo.errors import DataError
from yolo.io.brief import brief
from yolo.io.yaml_text import read_yaml

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
    """Class names; the position is the class. ``read_dataset`` gives none where the annotations are to name them."""
    splits: Mapping[str, tuple[Path, ...]]
    """Per split ("train", "val", "test") its folders, image files, ``.txt`` lists, glob patterns, and annotations."""
    annotations: Mapping[Path, Path | None] = field(default_factory=dict)
    """Of these paths those that are annotations in another format (``yolo.data.annotated``): COCO's JSON files, lists
    of VOC's ``ImageSets``, folders of VOC's XML files; and the folder of their images where the file names it."""
    named: bool = True
    """Whether the file names the classes, and not its annotations."""
    segments: bool = False
    """Labels are the outlines in COCO's JSON, where it has them, and not its boxes."""
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
    entries = {split: _entries(content[split], split, source) for split in _SPLITS if content.get(split)}
    foreign = [entry.is_annotation for some in entries.values() for entry in some]
    names = () if foreign and all(foreign) and _is_nameless(content, source) else _names(content, source)
    if not entries:
        raise DataError("no split in the file", where=source, hint="add 'train:' and 'val:'")
    base = _optional_text(content, "path", source) or ""
    root, splits, annotations = _places(base, entries, source)
    return Dataset(
        source=source,
        root=root,
        names=names,
        splits=splits,
        annotations=annotations,
        named=bool(names),
        segments=_segments(content, source),
        download=content.get("download"),
        convert=_optional_text(content, "convert", source),
        generator=_generator(content, source),
    )


@dataclass(frozen=True)
class _Entry:
    """What a split names: a path, and the folder of the images where it is annotations of them."""

    path: str
    images: str | None = None
    """None: a path alone was given; '': annotations alone."""

    @property
    def is_annotation(self) -> bool:
        parts = Path(self.path).parts
        is_list = "ImageSets" in parts[:-1] and parts[-1].lower().endswith(".txt")
        is_json = parts[-1:] and parts[-1].lower().endswith(".json")
        return self.images is not None or bool(is_json) or is_list or parts[-1:] == ("Annotations",)


def _places(
    base: str, entries: dict[str, tuple[_Entry, ...]], source: Path
) -> tuple[Path, dict[str, tuple[Path, ...]], dict[Path, Path | None]]:
    """The root, per split its paths, and those of annotations with the folder of their images."""
    try:
        root = _root(base, next(iter(entries.values()))[0].path, source)
        splits = {split: tuple(_resolve(root, entry.path) for entry in some) for split, some in entries.items()}
        annotations: dict[Path, Path | None] = {}
        for split, some in entries.items():
            for path, entry in zip(splits[split], some):
                folder = _resolve(root, entry.images) if entry.images else None
                if entry.is_annotation and annotations.setdefault(path, folder) != folder:
                    hint = "name one that holds the images of all splits, or annotations for each"
                    raise DataError(f"'{entry.path}' is named with two folders of images", where=source, hint=hint)
        return root, splits, annotations
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


def _entries(given: object, split: str, source: Path) -> tuple[_Entry, ...]:
    return tuple(_entry(some, split, source) for some in (given if isinstance(given, list) else [given]))


def _entry(given: object, split: str, source: Path) -> _Entry:
    if isinstance(given, dict):
        path, images = given.get("annotations"), given.get("images", "")
        if given.keys() - {"annotations", "images"} or not _is_path(path) or not (images == "" or _is_path(images)):
            what = f"'{split}' takes a path, or a mapping of 'annotations' and 'images', each a path"
            raise DataError(what, where=source)
        return _Entry(path, images)
    if not _is_path(given):
        raise DataError(f"'{split}' must be a path or a list of paths", where=source)
    return _Entry(given)


def _is_path(given: object) -> bool:
    return isinstance(given, str) and bool(given) and "\0" not in given


def _is_nameless(content: dict[str, Any], source: Path) -> bool:
    """Whether there are no class names; then the annotations have them."""
    if content.get("names") is None and content.get("nc") is not None:
        hint = "list the class names, or leave 'nc' out too: then the annotations name the classes"
        raise DataError("'nc' without 'names'", where=source, hint=hint)
    return content.get("names") is None


def _segments(content: dict[str, Any], source: Path) -> bool:
    value = content.get("segments", False)
    if not isinstance(value, bool):
        raise DataError(f"'segments' must be true or false, not {brief(value)}", where=source)
    return value


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


def _root(base: str, wanted: str, source: Path) -> Path:
    """The folder that holds the data, or where the data would be put."""
    candidates = [source.parent / base, Path.cwd() / base, Path.cwd() / "datasets" / base]
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
