"""``python -m yolo.train``: train a detector on a data set."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.train", ranks=True)

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yolo import runtime
from yolo.command import new_run_folder, remove_if_empty, run_command, speed_line
from yolo.config.commands import TrainConfig
from yolo.config.hyp import save_hyperparameters
from yolo.config.options import to_yaml
from yolo.data.renderers.choice import renderers
from yolo.distributed.process_group import ProcessGroup, join_group, starting_oneflow
from yolo.distributed.ranks import Ranks
from yolo.distributed.run_fingerprint import run_fingerprint
from yolo.engine.autobatch import with_batch_size
from yolo.engine.interrupt import StopRequest
from yolo.engine.resume import Resumed, find_run_together
from yolo.engine.time_limit import TimeLimit
from yolo.io.bucket import Bucket, BucketError
from yolo.io.files import held, remove_leftovers, write_text_atomic

if TYPE_CHECKING:
    from yolo.engine.build import TrainParts
    from yolo.engine.schedule import Schedule
    from yolo.engine.trainer import Trainer
    from yolo.engine.validator import Validation

logger = logging.getLogger("yolo")


def train(config: TrainConfig) -> dict[str, Any]:
    """Train as ``config`` says; give the command's JSON object without its head.

    As one of several ranks it trains together with the others, and what it gives is the same on all of them.
    """
    with join_group(Ranks.of()) as group:
        return _train_with(config, group)


def _train_with(config: TrainConfig, group: ProcessGroup) -> dict[str, Any]:
    from yolo.engine.ranks import refuse_ranks

    ranks = group.ranks
    with group.consistent() as facts:
        facts |= {} if ranks.alone else run_fingerprint(config)
    resumed = find_run_together(config, group) if config.resume and not config.evolve else None
    with group.consistent() as facts:
        config = config if resumed is None else resumed.config
        renderers(config.loader)  # before anything starts that would want them
        config = with_batch_size(config)
        refuse_ranks(config, ranks)
        facts["batch size"] = str(config.batch_size)  # that memory has room for
    if config.evolve:
        return _search(config if resumed is None else dataclasses.replace(config, resume=str(resumed.folder)))
    with group.consistent(), starting_oneflow(group):
        device = runtime.select_device(config.device, ranks, compile=config.compile)
    from yolo.engine.build import build_parts
    from yolo.engine.hooks.profile import Profile
    from yolo.loggers.choice import chosen_services, with_dataset_of_wandb
    from yolo.models.summary import describe

    # All that can be refused is refused before a folder is made.
    with group.consistent():
        services = chosen_services(config) if ranks.first else []
        bucket = _bucket(config) if ranks.first else None
    config = with_dataset_of_wandb(config)
    parts, schedule = build_parts(config, device, resumed, group)
    run = _run_folder(config, resumed, group)
    with _alone_in(run, group):
        try:
            if ranks.first:
                _begin_records(config, parts, run, resumed)
            logger.info("%s", describe(parts.network, parts.imgsz))
            logger.info("%d training images, %d validation images; results in %s", *_counts(parts), run)
            hooks = _hooks(config, run, device, group)
            if ranks.first:
                hooks += _connections(config, parts, run, services, bucket)
            if config.profile:
                hooks.append(Profile(run, config.profile, ranks))
            trainer = _train(config, parts, schedule, run, hooks, resumed, group)
        except BaseException:
            remove_if_empty(run)
            raise
        return _finish(config, trainer, run, group)


@contextlib.contextmanager
def _alone_in(run: Path, group: ProcessGroup) -> Iterator[None]:
    """Keep other trainings out of the run's folder."""
    with contextlib.ExitStack() as stack:
        with group.consistent():
            if group.ranks.first:
                hint = "wait for it, or give this one another --name"
                stack.enter_context(held(run, "another training is at work here", hint))
        yield


def _run_folder(config: TrainConfig, resumed: Resumed | None, group: ProcessGroup) -> Path:
    """The run's folder, made by the first rank where it is new."""
    if resumed is not None:
        return resumed.folder
    run = Path()
    with group.consistent():
        run = new_run_folder(config.project, config.name, config.exist_ok) if group.ranks.first else run
    return Path(str(group.all_gather({"run": np.array(str(run))})[0]["run"]))


def _begin_records(config: TrainConfig, parts: TrainParts, run: Path, resumed: Resumed | None) -> None:
    """Write down what is trained and how."""
    if resumed is not None:
        for folder in (run, run / "weights"):
            remove_leftovers(folder)  # half a checkpoint, when it was killed while it saved one
    else:
        # An earlier run's in the same folder, which nobody may take for this one's.
        for earlier in ("weights/last.safetensors", "report.html", "results.png", "events.out.tfevents.*"):
            for file in run.glob(earlier):
                file.unlink()
        write_text_atomic(run / "opt.yaml", to_yaml(config))
    save_hyperparameters(parts.hyp, run / "hyp.yaml")


def _bucket(config: TrainConfig) -> Bucket | None:
    """Where results are to be copied; raises ConfigError where nothing can be written now."""
    if not config.bucket:
        return None
    bucket = Bucket(config.bucket)
    bucket.check()
    return bucket


def _search(config: TrainConfig) -> dict[str, Any]:
    """Search hyperparameters; a bucket gets the record after each generation."""
    from yolo.engine.evolution.search import evolve, resumed_search

    if config.resume:
        config = resumed_search(config)
    bucket = _bucket(config)

    def upload(folder: Path) -> None:
        try:
            bucket.upload_all({f"{folder.name}/{name}": folder / name for name in ("evolve.csv", "hyp_evolve.yaml")})
        except BucketError as error:  # the search goes on, and so does its record here
            logger.warning("%s", error)

    return evolve(config, listeners=[upload] if bucket else [])


def _train(
    config: TrainConfig,
    parts: TrainParts,
    schedule: Schedule,
    run: Path,
    hooks: list,
    resumed: Resumed | None,
    group: ProcessGroup,
) -> Trainer:
    """Train to the end, from where a resumed run stands."""
    from yolo.distributed.agreement import Agreement
    from yolo.engine.hooks.base import load_states
    from yolo.engine.trainer import Trainer

    if resumed is not None:
        load_states(hooks, resumed.hooks)
    with StopRequest(launched=not group.ranks.alone) as stop:
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
            agreement=Agreement(group),
        )
        if resumed is not None:
            logger.info("%s", resumed.says(finished=trainer.finished))
        trainer.train()
    return trainer


def _hooks(config: TrainConfig, run: Path, device: str, group: ProcessGroup) -> list:
    """What surrounds training; on a rank that is not the first only what changes what is trained."""
    from yolo.engine.hooks.checkpoints import Checkpoints
    from yolo.engine.hooks.close_mosaic import CloseMosaic
    from yolo.engine.hooks.data_check import SameData
    from yolo.engine.hooks.image_weights import ImageWeights
    from yolo.loggers.console import Console
    from yolo.loggers.plots import Plots
    from yolo.loggers.report import Report
    from yolo.loggers.results_csv import ResultsCsv
    from yolo.loggers.tensorboard import TensorBoard

    hooks: list = [SameData(), CloseMosaic(config.close_mosaic), *([ImageWeights()] if config.image_weights else [])]
    if group.ranks.first:
        hooks += [Console(), ResultsCsv(run), TensorBoard(run)]
        if not config.noplots:
            hooks += [Plots(run), Report(run, config, device)]
    return [*hooks, Checkpoints(run, config, group)]  # last: results are on disk before it says that the epoch is done


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


def _finish(config: TrainConfig, trainer, run: Path, group: ProcessGroup) -> dict[str, Any]:
    """Measure the best checkpoint, draw what it sees, and say where everything is."""
    from yolo.engine.loading import loading_json
    from yolo.engine.report import metrics_table, validation_json

    parts, first, best = trainer.parts, group.ranks.first, run / "weights/best.safetensors"
    logger.info("validating %s", best)
    validation = _validate_best(config, parts, run, group)
    if not config.json and first:
        print(metrics_table(validation, parts.names, every_class=True))
    logger.info("%s", speed_line(validation.speed_ms))
    logger.info("weights: %s", best)
    if not config.noplots:
        logger.info("plots: %s", run)
    for hook in trainer.hooks:
        hook.after_run(trainer, validation)
    return {
        "save_dir": str(run),
        "epochs": trainer.progress.epoch,
        "best_epoch": trainer.progress.best_epoch,
        **validation_json(validation, parts.names),
        "loader": loading_json(parts.loader),
    }


def _validate_best(config: TrainConfig, parts: TrainParts, run: Path, group: ProcessGroup) -> Validation:
    from yolo.models.weights.load import load_weights
    from yolo.plots.validation import BatchImages, draw_validation

    first = group.ranks.first
    best = load_weights(run / "weights/best.safetensors").model if first else {}
    parts.load_ema(group.all_gather(best)[0])
    validation = parts.validator.run([] if config.noplots else [BatchImages(run, parts.names)])
    if not config.noplots and first:
        draw_validation(validation.metrics, validation.confusion, parts.names, run)
    return validation


def _counts(parts: TrainParts) -> tuple[int, int]:
    return len(parts.loader.index), len(parts.validator.loader.index)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.train", TrainConfig, train, argv)
