"""Hyperparameters: YOLOv5's names and values, typed, read from and written to YAML."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import os
from pathlib import Path

import yaml

from yolo.errors import ConfigError
from yolo.io.brief import brief
from yolo.io.files import write_text_atomic
from yolo.io.yaml_text import read_yaml

PRESETS = Path(__file__).parent / "hyps"
logger = logging.getLogger("yolo")

POSITIVE = ("lr0", "anchor_t")
MOST_ANCHORS = 100
FORMER_NAMES = {"giou": "box"}
"""Names that YOLOv5 gave up, and those that took their place."""
NEAR, NEARER = 0.8, 0.82
"""From this likeness on an unknown name is a typing error; more is needed where the file has the known name too."""
MOST_NAMED = 20


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """One training recipe; the defaults are YOLOv5's ``hyp.scratch-low``."""

    lr0: float = 0.01
    lrf: float = 0.01
    momentum: float = 0.937
    weight_decay: float = 0.0005
    warmup_epochs: float = 3.0
    warmup_momentum: float = 0.8
    warmup_bias_lr: float = 0.1
    box: float = 0.05
    cls: float = 0.5
    cls_pw: float = 1.0
    obj: float = 1.0
    obj_pw: float = 1.0
    iou_t: float = 0.20
    anchor_t: float = 4.0
    anchors: float = 0.0
    """Anchors a level, rounded, to be fitted to the data instead of the model's own; 0: the model's own."""
    fl_gamma: float = 0.0
    hsv_h: float = 0.015
    hsv_s: float = 0.7
    hsv_v: float = 0.4
    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.5
    shear: float = 0.0
    perspective: float = 0.0
    flipud: float = 0.0
    fliplr: float = 0.5
    mosaic: float = 1.0
    mixup: float = 0.0
    copy_paste: float = 0.0

    def scaled(self, *, levels: int, classes: int, imgsz: int) -> Hyperparameters:
        """Give the loss gains for a network: box by levels, cls by classes, obj by image area (YOLOv5)."""
        return dataclasses.replace(
            self,
            box=self.box * 3 / levels,
            cls=self.cls * classes / 80 * 3 / levels,
            obj=self.obj * (imgsz / 640) ** 2 * 3 / levels,
        )


def load_hyperparameters(name_or_path: str | Path) -> Hyperparameters:
    """Read a hyperparameter YAML: a file, or a preset's name such as ``hyp.scratch-low.yaml``.

    Missing keys keep their defaults. Keys of other versions are named in a warning and left out, former names are
    read as today's. Raises ConfigError for an absent file, a key that differs from a known one by a typing error, a
    file without any known key, or a value that is not a finite number.
    """
    path = Path(name_or_path)
    if not os.path.isfile(path):
        path = PRESETS / (path.name if path.suffix in (".yaml", ".yml") else f"{path.name}.yaml")
    if not os.path.isfile(path):
        known = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise ConfigError("no such hyperparameter file", where=name_or_path, hint=f"presets are {known}")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ConfigError(f"is not readable YAML ({error})", where=path) from error
    if not isinstance(values, dict):
        raise ConfigError("holds no `name: value` lines", where=path)
    return _checked(values, path)


def save_hyperparameters(hyp: Hyperparameters, path: str | Path) -> None:
    """Write ``hyp.yaml``."""
    write_text_atomic(path, yaml.safe_dump(recipe(hyp), sort_keys=False))


def recipe(hyp: Hyperparameters) -> dict[str, float]:
    """The values by name as a file holds them: ``anchors`` only where it says something."""
    return {name: value for name, value in dataclasses.asdict(hyp).items() if name != "anchors" or value}


def _checked(values: dict, path: Path) -> Hyperparameters:
    checked = {}
    for key, value in _known(values, path).items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ConfigError(f"{key} is {brief(value)}, not a number", where=path)
        try:
            number = float(value)  # YAML reads 1e-3 (no dot) as text
        except (ValueError, OverflowError):
            raise ConfigError(f"{key} is {brief(value)}, not a number", where=path) from None
        if not _in_range(key, number):
            raise ConfigError(f"{key} is {number}, out of range", where=path)
        checked[key] = number
    return Hyperparameters(**checked)


def _known(values: dict, path: Path) -> dict:
    """The entries whose keys are hyperparameters, under today's names; says which others there are."""
    names = [field.name for field in dataclasses.fields(Hyperparameters)]
    found = {key: value for key, value in values.items() if key in names}
    unknown = []
    for key, value in values.items():
        new = FORMER_NAMES.get(key) if isinstance(key, str) else None
        if new is not None and new not in values:
            found[new] = value
            logger.warning("%s: %s is read as %s, its name today", path, key, new)
        elif key not in names:
            _refuse_typing_error(key, names, values, path)
            unknown.append(brief(key).strip("'"))
    if unknown and not found:
        raise ConfigError(f"no hyperparameter is called {_listed(unknown)}", where=path, hint="is it another file?")
    if unknown:
        logger.warning("%s: unknown hyperparameters are left out: %s", path, _listed(unknown))
    return found


def _refuse_typing_error(key: object, names: list[str], values: dict, path: Path) -> None:
    """Raise ConfigError where an unknown key is all but one of ``names``."""
    near = difflib.get_close_matches(brief(key).strip("'").lower(), names, n=1, cutoff=NEAR)
    if near and not (near[0] in values and difflib.SequenceMatcher(None, str(key), near[0]).ratio() <= NEARER):
        raise ConfigError(f"unknown hyperparameter {brief(key)}", where=path, hint=f"did you mean {near[0]}?")


def _listed(keys: list[str]) -> str:
    more = len(keys) - MOST_NAMED
    return ", ".join(keys[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _in_range(key: str, number: float) -> bool:
    if not math.isfinite(number) or (key == "anchors" and number > MOST_ANCHORS):
        return False
    return number > 0 if key in POSITIVE else number >= 0
