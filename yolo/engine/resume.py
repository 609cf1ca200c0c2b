"""``--resume``: which run goes on, and from what."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters
from yolo.config.saved import saved_options
from yolo.distributed.process_group import ProcessGroup
from yolo.engine.progress import Progress
from yolo.engine.run_files import GENERATIONS
from yolo.errors import ConfigError, WeightsError
from yolo.io.yaml_text import read_yaml
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.finite import check_finite
from yolo.models.weights.load import load_weights

logger = logging.getLogger("yolo")

NEWEST = "newest"
OF_THE_MACHINE = ("device", "workers")
"""Options that change no result: what the command line says about them holds."""
OF_THE_COMMAND = ("resume", "json", "project")
FILES = ("opt.yaml", "weights/last.safetensors")
"""Of a run's folder, what the other ranks need."""


@dataclasses.dataclass(frozen=True)
class Resumed:
    """A run that goes on. config: its own options; checkpoint: None when it was stopped before its first one."""

    folder: Path
    config: TrainConfig
    checkpoint: Checkpoint | None
    progress: Progress
    hooks: Mapping[str, Any]
    """The hooks' states by class name."""

    @property
    def hyp(self) -> Hyperparameters | None:
        """The recipe as the run has it."""
        return None if self.checkpoint is None else Hyperparameters(**self.checkpoint.meta["hyp"])

    def says(self, *, finished: bool) -> str:
        """One human-readable line: where the run goes on."""
        at = self.progress
        if finished:
            best = self.folder / "weights/best.safetensors"
            return f"{self.folder} has trained its {at.epoch} epochs; to train further start from its weights: {best}"
        return f"resuming {self.folder} at epoch {at.epoch + 1}" + (f", batch {at.batch + 1}" if at.batch else "")


def find_run(asked: TrainConfig) -> Resumed:
    """The run that ``--resume`` means: the newest below ``runs`` and --project, or the one at a path.

    Its own options hold; those of ``asked`` that say something else are named in a warning and left alone. Raises
    ConfigError or WeightsError when there is no such run, or its files do not hold what going on needs.
    """
    folder = newest_run(asked) if asked.resume == NEWEST else _folder(Path(asked.resume))
    last, options = folder / "weights/last.safetensors", folder / "opt.yaml"
    if not last.is_file():
        if not options.is_file():
            hint = "name a run's folder or its weights/last.safetensors"
            raise ConfigError("cannot be resumed: there is no weights/last.safetensors", where=folder, hint=hint)
        return Resumed(folder, merged(own_options(folder), asked, folder), None, Progress(), {})
    return _from_checkpoint(folder, last, asked)


def find_run_together(asked: TrainConfig, group: ProcessGroup) -> Resumed:
    """What ``find_run`` finds on the first rank, on all ranks; raises as it does, on all of them."""
    if group.ranks.alone:
        return find_run(asked)
    found, first = None, group.ranks.first
    with group.consistent():
        found = find_run(asked) if first else None
    told = group.all_gather(_packed(found.folder) if found else {})[0]
    return found or _unpacked(told, asked)


def _packed(folder: Path) -> dict[str, np.ndarray]:
    present = [name for name in FILES if (folder / name).is_file()]
    files = {name: np.frombuffer((folder / name).read_bytes(), np.uint8) for name in present}
    return {"folder": np.array(str(folder)), **files}


def _unpacked(told: dict[str, np.ndarray], asked: TrainConfig) -> Resumed:
    with tempfile.TemporaryDirectory() as place:
        for name in FILES:
            if name in told:
                (Path(place) / name).parent.mkdir(exist_ok=True)
                (Path(place) / name).write_bytes(told[name].tobytes())
        resumed = find_run(dataclasses.replace(asked, resume=place))
    return dataclasses.replace(resumed, folder=Path(str(told["folder"])))


def _from_checkpoint(folder: Path, last: Path, asked: TrainConfig) -> Resumed:
    checkpoint = load_weights(last)
    if checkpoint.training is None:
        raise WeightsError("has no training state", where=last, hint="start a new run from it with --weights")
    check_finite(checkpoint.training, last)
    meta = checkpoint.meta
    try:
        progress, hooks = Progress.from_json(meta["progress"]), dict(meta.get("hooks", {}))
        Hyperparameters(**meta["hyp"])
        config = saved_options(TrainConfig, meta["options"], last)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"its metadata is not that of a run ({error})", where=last) from None
    default = TrainConfig.epochs
    if progress.epoch >= (progress.epochs or config.epochs) and asked.epochs not in (default, config.epochs):
        raise ConfigError(
            f"{folder} has trained its {progress.epoch} epochs, and its learning rates went down with them",
            where=f"--epochs {asked.epochs}",
            hint=f"start a new run: --weights {folder / 'weights/last.safetensors'} --epochs N",
        )
    return Resumed(folder, merged(config, asked, folder), checkpoint, progress, hooks)


def newest_run(asked: TrainConfig) -> Path:
    """The folder of the run that wrote its options or a checkpoint last; raises ConfigError where there is none."""
    places = dict.fromkeys((Path("runs"), Path(asked.project)))
    found = {options.parent for place in places for options in place.glob("**/opt.yaml")}
    found = {
        folder for folder in found if GENERATIONS not in folder.parts
    }  # a search goes on, not one of its trainings
    if not found:
        where = " and ".join(str(place) for place in places)
        raise ConfigError(f"no run in {where}", where="--resume", hint="name a run's folder: --resume FOLDER")
    return max(sorted(found), key=_age)


def _age(folder: Path) -> int:
    files = (folder / "opt.yaml", folder / "weights/last.safetensors")
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def _folder(path: Path) -> Path:
    """The run's folder that a path means: itself, or a checkpoint in it."""
    if path.is_dir():
        return path.parent if path.name == "weights" and not (path / "weights").is_dir() else path
    if not path.exists():
        raise ConfigError("no such run", where=f"--resume {path}", hint="name a run's folder, or none for the newest")
    if path.name != "last.safetensors" or path.absolute().parent.name != "weights":
        hint = "give RUN or RUN/weights/last.safetensors; to start a new run from these weights use --weights"
        raise ConfigError("only a run's last.safetensors can be resumed", where=f"--resume {path}", hint=hint)
    return path.parent.parent


def _read_yaml(path: Path) -> object:
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ConfigError(f"is not readable YAML ({error})", where=path) from error


def own_options(folder: Path) -> TrainConfig:
    """What ``opt.yaml`` in ``folder`` says. Raises ConfigError."""
    options = folder / "opt.yaml"
    return saved_options(TrainConfig, _read_yaml(options), options)


def merged(
    config: TrainConfig, asked: TrainConfig, folder: Path, changeable: Sequence[str] = OF_THE_MACHINE
) -> TrainConfig:
    """The run's own options with what the command line may change; names the others that it tried to."""
    changes: dict[str, Any] = {"json": asked.json}
    ignored = []
    for field in dataclasses.fields(TrainConfig):
        given, own = getattr(asked, field.name), getattr(config, field.name)
        if field.name in OF_THE_COMMAND or given in (field.default, own):
            continue
        if field.name in changeable:
            changes[field.name] = given
        else:
            ignored.append(f"--{field.name.replace('_', '-')} {given} (it is {own})")
    if ignored:
        logger.warning("%s is resumed with its own options; ignored: %s", folder, ", ".join(ignored))
    return dataclasses.replace(config, **changes)
