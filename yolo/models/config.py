"""Model YAML files: found, read and checked for form."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from yolo.errors import ModelError
from yolo.io.brief import brief
from yolo.io.yaml_text import read_yaml
from yolo.models.activation import Activation, parse_activation

PRESETS: Final = Path(__file__).resolve().parents[1] / "config" / "models"
MAX_CLASSES: Final = 10_000
_MAX_ROWS: Final = 1_000
_MAX_REPEATS: Final = 1_000
_MAX_BYTES: Final = 1 << 20
_REFERENCE: Final = "see yolov5s.yaml for the form"


@dataclass(frozen=True)
class Row:
    """One row `[from, number, module, args]` of the backbone or the head, args as written."""

    section: str
    number: int
    """Position within the section, from 1."""
    sources: tuple[int, ...]
    repeats: int
    module: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class ModelConfig:
    """A model YAML after reading: multiples, anchors and rows; nothing is built yet."""

    name: str
    """File or other origin, for messages."""
    nc: int
    channels: int
    """Of the input (`ch`, 3 where the file does not say)."""
    depth: float
    width: float
    anchors: int | tuple[tuple[float, ...], ...]
    """Anchors per level to be found later, or per level `w, h, w, h, …` in pixels."""
    layers: tuple[Row, ...]
    activation: Activation
    source: str
    """The text of the file ('' when read from a mapping)."""
    mapping: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def anchors_per_level(self) -> int:
        return self.anchors if isinstance(self.anchors, int) else len(self.anchors[0]) // 2

    def as_dict(self, **instead: Any) -> dict[str, Any]:
        """The YAML mapping as plain data, with ``instead`` (`nc`, `ch`, …) in place of its own."""
        return {**copy.deepcopy(dict(self.mapping)), **instead}


def load_model_config(name_or_path: str | Path) -> ModelConfig:
    """Read a YOLOv5 model YAML: a path, or a preset's name (`yolov5s`, `hub/yolov3-tiny.yaml`).

    Raises ModelError naming the file, the section and the row.
    """
    path = find_model_config(name_or_path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError("too large for a model YAML", where=path, hint=_REFERENCE)
        text = path.read_text(encoding="utf-8")
        mapping = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ModelError(f"not YAML: {error.problem}", where=f"{path}:{line}", hint=_REFERENCE) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"cannot be read: {str(error)[:200]}", where=path, hint=_REFERENCE) from None
    return parse_model_config(mapping, name=str(path), source=text)


def find_model_config(name_or_path: str | Path) -> Path:
    """The file that ``name_or_path`` means: itself, or a preset with or without `hub/` and `.yaml`."""
    path = Path(name_or_path)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):  # a name too long, or with a NUL
        raise ModelError(f"no model {str(name_or_path)[:80]!r}", hint=_REFERENCE) from None
    if path.parent.name in ("", "hub", "models", "segment"):
        stem = path.name.removesuffix(".yaml").removesuffix(".yml")
        preset = PRESETS / f"{stem}.yaml"
        if preset.is_file():
            return preset
    known = ", ".join(sorted(entry.stem for entry in PRESETS.glob("*.yaml")))
    raise ModelError(f"no model YAML {str(name_or_path)!r}", hint=f"give a file or one of: {known}")


def parse_model_config(mapping: object, *, name: str, source: str = "") -> ModelConfig:
    """Check the mapping of a model YAML for form and give it as a ModelConfig; raises ModelError."""
    if not isinstance(mapping, Mapping):
        raise ModelError("not a mapping with nc, anchors, backbone and head", where=name, hint=_REFERENCE)
    rows = (*_rows(mapping, "backbone", name), *_rows(mapping, "head", name))
    try:
        written = mapping.get("activation") or "nn.SiLU()"
        activation = parse_activation(written if isinstance(written, str) else show(written))
    except ValueError as error:
        raise ModelError(str(error), where=f"{name}: activation") from None
    return ModelConfig(
        name=name,
        nc=_integer(mapping.get("nc", 80), f"{name}: nc", 1, MAX_CLASSES),
        channels=_integer(mapping.get("ch", 3), f"{name}: ch", 1, 1024),
        depth=_multiple(mapping, "depth_multiple", name),
        width=_multiple(mapping, "width_multiple", name),
        anchors=parse_anchors(mapping.get("anchors"), f"{name}: anchors"),
        layers=rows,
        activation=activation,
        source=source,
        mapping={key: value for key, value in mapping.items() if isinstance(key, str)},
    )


def parse_anchors(value: object, where: str) -> int | tuple[tuple[float, ...], ...]:
    """Anchors as a number per level, or lists of `w, h` pairs in pixels, one list per level."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(value, where, 1, 100)
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 16:
        raise ModelError("neither a number nor a list of lists", where=where, hint=_REFERENCE)
    levels = []
    for number, level in enumerate(value, 1):
        if not isinstance(level, (list, tuple)) or not level or len(level) % 2 or len(level) > 200:
            raise ModelError(f"level {number} is not a list of w, h pairs", where=where, hint=_REFERENCE)
        if not all(_is_number(size) and 0 < size < 1e5 for size in level):
            raise ModelError(f"level {number} holds a size that is not in pixels", where=where)
        levels.append(tuple(float(size) for size in level))
    if len({len(level) for level in levels}) > 1:
        raise ModelError("levels differ in their number of anchors", where=where)
    return tuple(levels)


def _rows(mapping: Mapping[Any, Any], section: str, name: str) -> tuple[Row, ...]:
    rows = mapping.get(section)
    if not isinstance(rows, list) or not rows or len(rows) > _MAX_ROWS:
        what = f"{section} is not a list of 1 to {_MAX_ROWS} rows [from, number, module, args]"
        raise ModelError(what, where=name, hint=_REFERENCE)
    return tuple(_row(row, section, number, name) for number, row in enumerate(rows, 1))


def _row(row: object, section: str, number: int, name: str) -> Row:
    where = f"{name}: {section} row {number}"
    if not isinstance(row, (list, tuple)) or len(row) != 4:
        raise ModelError("not [from, number, module, args]", where=where, hint=_REFERENCE)
    sources, repeats, module, args = row
    sources = sources if isinstance(sources, (list, tuple)) else [sources]
    if not 1 <= len(sources) <= 64:
        raise ModelError("from is not a layer index or a list of them", where=where)
    if not isinstance(module, str):
        raise ModelError(f"module {show(module)} is not a name", where=where)
    if not isinstance(args, (list, tuple)):
        raise ModelError("args is not a list", where=where)
    return Row(
        section,
        number,
        tuple(_integer(source, f"{where}: from", -_MAX_ROWS, 2 * _MAX_ROWS) for source in sources),
        _integer(repeats, f"{where}: number", 1, _MAX_REPEATS),
        module,
        tuple(args),
    )


def _multiple(mapping: Mapping[Any, Any], key: str, name: str) -> float:
    value = mapping.get(key, 1.0)
    if not _is_number(value) or not 0 < value <= 16:
        raise ModelError(f"{show(value)} is not a number in (0, 16]", where=f"{name}: {key}")
    return float(value)


def _integer(value: object, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelError(f"{show(value)} is not a whole number in {low}..{high}", where=where)
    return value


def show(value: object) -> str:
    """A value from a file in at most 40 characters, for a message."""
    return repr(value[:40] if isinstance(value, str) else brief(value, 40))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
