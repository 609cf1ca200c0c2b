"""From options to trackers: which libraries were asked for, and whether they are there."""

from __future__ import annotations

import dataclasses
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from yolo.config.commands import TrainConfig
from yolo.errors import ConfigError
from yolo.loggers.clearml import ClearMl
from yolo.loggers.comet import Comet
from yolo.loggers.mlflow import Mlflow
from yolo.loggers.service import RunInfo, Service
from yolo.loggers.wandb import ARTIFACT, Wandb, download_dataset

if TYPE_CHECKING:
    from yolo.engine.build import TrainParts

logger = logging.getLogger("yolo")

LIBRARIES = {"wandb": "wandb", "mlflow": "mlflow", "clearml": "clearml", "comet": "comet_ml"}
"""Modules, and the packages to install, by the names that --loggers takes."""
WANDB_ONLY = ("entity", "upload_dataset", "bbox_interval", "artifact_alias")
DOWNLOADS = Path("datasets")


def chosen_services(config: TrainConfig) -> list[Service]:
    """The trackers that ``config`` asks for, not yet started.

    Raises ConfigError for one whose library is absent. Says so when an option of W&B's is given without it.
    """
    makers: dict[str, Callable[[ModuleType], Service]] = {
        "wandb": lambda library: Wandb(
            library, entity=config.entity, upload_dataset=config.upload_dataset, alias=config.artifact_alias
        ),
        "mlflow": Mlflow,
        "clearml": ClearMl,
        "comet": Comet,
    }
    asked = list(dict.fromkeys(config.loggers))
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    idle = [f"--{name}" for name in WANDB_ONLY if getattr(config, name) != usual[name] and "wandb" not in asked]
    if idle:
        logger.warning("%s: does nothing without --loggers wandb", " ".join(idle))
    if config.online and not asked:
        logger.warning("--online: does nothing without --loggers")
    return [makers[name](_library(name)) for name in asked]


def with_dataset_of_wandb(config: TrainConfig) -> TrainConfig:
    """The same, with ``--data wandb-artifact://…`` fetched and replaced by its file. Raises YoloError subclasses."""
    if not config.data.startswith(ARTIFACT):
        return config
    if "wandb" not in config.loggers or not config.online:
        raise ConfigError("is on W&B's server", where=f"--data {config.data}", hint="add --loggers wandb --online")
    found = download_dataset(_library("wandb"), config.data, config.artifact_alias, DOWNLOADS)
    return dataclasses.replace(config, data=str(found))


def run_info(config: TrainConfig, parts: TrainParts, run: Path) -> RunInfo:
    """What the trackers are told at the start. A run under runs/train belongs to the project "YOLOv5"."""
    project = Path(config.project)
    return RunInfo(
        folder=run,
        project="YOLOv5" if project == Path("runs/train") else project.name,
        options=dataclasses.asdict(config),
        hyp=dataclasses.asdict(parts.hyp),
        names=parts.names,
        splits={"train": parts.loader.index, "val": parts.validator.loader.index},
        dataset=parts.dataset.source.stem,
        online=config.online,
    )


def _library(name: str) -> ModuleType:
    package = LIBRARIES[name]
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise _unusable(name, error) from error
        raise ConfigError("is not installed", where=f"--loggers {name}", hint=f"pip install {package}") from error
    except Exception as error:  # an installed library that does not fit this Python or another library
        raise _unusable(name, error) from error


def _unusable(name: str, error: Exception) -> ConfigError:
    hint = f"pip install --upgrade {LIBRARIES[name]}"
    return ConfigError(f"cannot be imported ({error})", where=f"--loggers {name}", hint=hint)
