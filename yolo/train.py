"""``python -m yolo.train``: train a detector on a data set."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo import runtime
from yolo.bucket import Bucket, BucketError
from yolo.command import new_run_folder, remove_if_empty, run_command
from yolo.config.commands import TrainConfig
from yolo.config.hyp import save_hyperparameters
from yolo.config.options import to_yaml
from yolo.engine.autobatch import with_batch_size
from yolo.engine.interrupt import StopRequest
from yolo.engine.resume import Resumed, find_run
from yolo.engine.time_limit import TimeLimit
from yolo.files import write_text_atomic

if TYPE_CHECKING:
    from yolo.engine.schedule import Schedule
    from yolo.engine.setup import TrainParts
    from yolo.engine.trainer import Trainer
    from yolo.engine.validator import Validation

logger = logging.getLogger("yolo")


def train(config: TrainConfig) -> dict[str, Any]:
    """Train as ``config`` says; give the command's JSON object without its head."""
    resumed = find_run(config) if config.resume and not config.evolve else None
    config = with_batch_size(config if resumed is None else resumed.config)
    if config.evolve:
        return _search(config if resumed is None else dataclasses.replace(config, resume=str(resumed.folder)))
    device = runtime.select_device(config.device)
    from yolo.engine.setup import build_parts
    from yolo.loggers.choice import chosen_services, with_dataset_of_wandb
    from yolo.models.summary import describe

    # All that can be refused is refused before a folder is made.
    services, bucket = chosen_services(config), Bucket(config.bucket) if config.bucket else None
    config = with_dataset_of_wandb(config)
    parts, schedule = build_parts(config, device, resumed)
    run = resumed.folder if resumed else new_run_folder(config.project, config.name, config.exist_ok)
    try:
        if resumed is None:
            # An earlier run's in the same folder, which nobody may take for this one's.
            (run / "weights/last.safetensors").unlink(missing_ok=True)
            write_text_atomic(run / "opt.yaml", to_yaml(config))
        save_hyperparameters(parts.hyp, run / "hyp.yaml")
        logger.info("%s", describe(parts.network, parts.imgsz))
        logger.info("%d pictures to train on, %d to validate; results go to %s", *_counts(parts), run)
        hooks = [*_hooks(config, run, device), *_connections(config, parts, run, services, bucket)]
        trainer = _train(config, parts, schedule, run, hooks, resumed)
    except BaseException:
        remove_if_empty(run)
        raise
    return _finish(config, trainer, run)


def _search(config: TrainConfig) -> dict[str, Any]:
    """Search hyperparameters; a bucket gets the record after each generation."""
    from yolo.engine.evolve import evolve

    bucket = Bucket(config.bucket) if config.bucket else None

    def upload(folder: Path) -> None:
        try:
            for name in ("evolve.csv", "hyp_evolve.yaml"):
                bucket.upload(folder / name, f"{folder.name}/{name}")
        except BucketError as error:  # the search goes on, and so does its record here
            logger.warning("%s", error)

    return evolve(config, listeners=[upload] if bucket else [])


def _train(
    config: TrainConfig, parts: TrainParts, schedule: Schedule, run: Path, hooks: list, resumed: Resumed | None
) -> Trainer:
    """Train to the end, from where a resumed run stands."""
    from yolo.engine.hooks import load_states
    from yolo.engine.trainer import Trainer

    if resumed is not None:
        load_states(hooks, resumed.hooks)
    with StopRequest() as stop:
        trainer = Trainer(
            parts,
            schedule,
            run,
            hooks,
            validate=not config.noval,
            patience=config.patience,
            progress=resumed and resumed.progress,
            limit=TimeLimit(config.time or None),
            stop=stop,
        )
        if resumed is not None:
            logger.info("%s", resumed.says(finished=trainer.finished))
        trainer.train()
    return trainer


def _hooks(config: TrainConfig, run: Path, device: str) -> list:
    from yolo.engine.checkpoints import Checkpoints
    from yolo.engine.close_mosaic import CloseMosaic
    from yolo.engine.image_weights import ImageWeights
    from yolo.engine.same_data import SameData
    from yolo.loggers.console import Console
    from yolo.loggers.pictures import Pictures
    from yolo.loggers.report import Report
    from yolo.loggers.results_csv import ResultsCsv
    from yolo.loggers.tensorboard import TensorBoard

    weights = [ImageWeights()] if config.image_weights else []
    hooks = [SameData(), CloseMosaic(config.close_mosaic), *weights, Console(), ResultsCsv(run), TensorBoard(run)]
    if not config.noplots:
        hooks += [Pictures(run), Report(run, config, device)]
    return [*hooks, Checkpoints(run, config)]  # last: results are on disk before it says that the epoch is done


def _connections(config: TrainConfig, parts: TrainParts, run: Path, services: list, bucket: Bucket | None) -> list:
    """Hooks that tell others of the run; last, so that they find what the rest has written."""
    from yolo.loggers.choice import run_info
    from yolo.loggers.tracking import Tracking
    from yolo.loggers.upload import Upload

    hooks: list = [] if bucket is None else [Upload(run, bucket)]
    if not services:
        return hooks
    info, period = run_info(config, parts, run), config.save_period
    return [Tracking(services, info, bbox_interval=config.bbox_interval, save_period=period), *hooks]


def _finish(config: TrainConfig, trainer, run: Path) -> dict[str, Any]:
    """Measure the best checkpoint, draw what it sees, and say where everything is."""
    from yolo.engine.report import metrics_table, speed_line, validation_json

    parts = trainer.parts
    validation = _validate_best(config, parts, run)
    if not config.json:
        print(metrics_table(validation, parts.names, every_class=True))
    logger.info("%s", speed_line(validation))
    logger.info("weights: %s", run / "weights" / "best.safetensors")
    if not config.noplots:
        logger.info("pictures and curves: %s", run)
    for hook in trainer.hooks:
        hook.after_run(trainer, validation)
    return {
        "save_dir": str(run),
        "epochs": trainer.progress.epoch,
        "best_epoch": trainer.progress.best_epoch,
        **validation_json(validation, parts.names),
    }


def _validate_best(config: TrainConfig, parts: TrainParts, run: Path) -> Validation:
    from yolo.models.weights.load import load_weights
    from yolo.plots.validation import BatchPictures, draw_validation

    parts.load_ema(load_weights(run / "weights/best.safetensors").model)
    validation = parts.validator.run([] if config.noplots else [BatchPictures(run, parts.names)])
    if not config.noplots:
        draw_validation(validation, parts.names, run)
    return validation


def _counts(parts: TrainParts) -> tuple[int, int]:
    return len(parts.loader.index), len(parts.validator.loader.index)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.train", TrainConfig, train, argv)


if __name__ == "__main__":
    sys.exit(main())
