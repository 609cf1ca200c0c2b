"""``python -m yolo.val``: measure a detector on a data set."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.val", ranks=True)

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo import runtime
from yolo.command import new_run_folder, remove_if_empty, run_command, speed_line
from yolo.config.commands import ValConfig
from yolo.config.values import stride_multiple
from yolo.data.renderers.choice import renderers
from yolo.distributed.process_group import LONE, ProcessGroup, join_group, starting_oneflow
from yolo.distributed.ranks import Ranks
from yolo.distributed.run_fingerprint import files_digest, run_fingerprint
from yolo.errors import ConfigError

if TYPE_CHECKING:
    from yolo.data.dataset import Dataset
    from yolo.data.loader import ValLoader
    from yolo.data.records import Index
    from yolo.engine.validator import Validation, Validator
    from yolo.inference.models import Model
    from yolo.inference.runner import Runner
    from yolo.inference.slices.slicer import Slicer
    from yolo.program.detection import NmsSettings

logger = logging.getLogger("yolo")

# YOLOv5's thresholds for timing: few detections, as in use.
SPEED_CONF, SPEED_IOU = 0.25, 0.45


def validate(config: ValConfig) -> dict[str, Any]:
    """Measure as ``config`` says; give the command's JSON object without its head.

    As one of several ranks it measures a share of the images; what the first one gives is the whole's.
    """
    with join_group(Ranks.of()) as group:
        with group.consistent() as facts:
            facts |= {} if group.ranks.alone else run_fingerprint(config)
        with group.consistent():
            _refuse_ranks(config, group)
            renderers(config.loader)  # before anything starts that would want them
            with starting_oneflow(group):
                device = runtime.select_device(config.device, group.ranks, compile=config.compile)
            config = config if group.ranks.alone else dataclasses.replace(config, device=device)
        from yolo.data.load import load_dataset
        from yolo.engine.build import say_workers
        from yolo.program.detection import most_detections

        with group.consistent():
            dataset = load_dataset(config.data)
        _say_what_is_not_written(config)
        say_workers(config, group)
        config = dataclasses.replace(config, max_det=most_detections(config.max_det))
        if config.task == "speed":
            return _speed(config, dataset)
        if config.task == "study":
            return _study(config, dataset)
        return _measure(config, dataset, group)


def _refuse_ranks(config: ValConfig, group: ProcessGroup) -> None:
    if not group.ranks.alone and config.task in ("speed", "study"):
        raise ConfigError("times one process", where=f"--task {config.task}", hint="start it without the launcher")


def _say_what_is_not_written(config: ValConfig) -> None:
    """Of the tasks that measure again and again, and write no files for each image."""
    wanted = [name for name in ("save_txt", "save_conf", "save_json") if getattr(config, name)]
    if wanted and config.task in ("speed", "study"):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in wanted)
        logger.warning("--task %s writes no files per image: without %s", config.task, flags)


def _measure(config: ValConfig, dataset: Dataset, group: ProcessGroup) -> dict[str, Any]:
    """One validation of all weights together, on all ranks; the first writes and tells all about it."""
    with group.consistent() as facts:
        models, index = _models(config, config.weights, dataset, group), _index(config, dataset)
        validator = _validator(config, models, index, config.imgsz, group=group)
        facts |= {} if group.ranks.alone else _facts(config, index)
    float32 = _in_float32(config, dataset, index, group) if config.int8 else None
    if group.ranks.first:
        return _measured(config, dataset, validator, float32)
    wanted = not config.noplots or config.save_txt or config.save_hybrid or config.save_json
    validator.run([lambda batch, detections: None] if wanted else [])
    return {}


def _facts(config: ValConfig, index: Index) -> dict[str, str]:
    """What all ranks must have in common, by human-readable names."""
    from yolo.data.digest import index_digest, names_digest
    from yolo.models.weights.load import resolve_weights

    weights = files_digest(map(resolve_weights, config.weights))
    return {"data": index_digest(index)[:16], "class names": names_digest(index.names)[:16], "weights": weights[:16]}


def _measured(
    config: ValConfig, dataset: Dataset, validator: Validator, float32: Validation | None = None
) -> dict[str, Any]:
    """Validate and tell; ``float32``: the same in fp32, to say what int8 costs."""
    from yolo.engine.int8_cost import Int8Cost
    from yolo.engine.loading import loading_json
    from yolo.engine.report import validation_json

    run = new_run_folder(config.project, config.name, config.exist_ok)
    try:
        validation, extra = _run(config, validator, dataset, run)
    except BaseException:
        remove_if_empty(run)
        raise
    _tell(config, validation, validator.loader, f"results are in {run}")
    if float32 is not None:
        cost = Int8Cost.of(float32, validation)
        extra["int8"] = cost.to_json()
        logger.info("%s", cost)
    found = {**validation_json(validation, validator.loader.index.names), "loader": loading_json(validator.loader)}
    return {"save_dir": str(run), **found, **extra}


def _in_float32(config: ValConfig, dataset: Dataset, index: Index, group: ProcessGroup) -> Validation:
    """The same validation in fp32, for what int8 costs."""
    config = dataclasses.replace(config, int8=False)
    models = _models(config, config.weights, dataset, group)
    return _validator(config, models, index, config.imgsz, group=group).run()


def _speed(config: ValConfig, dataset: Dataset) -> dict[str, Any]:
    """The time of each weights file on square images; nothing is written."""
    from yolo.engine.report import validation_json

    config = dataclasses.replace(config, conf_thres=SPEED_CONF, iou_thres=SPEED_IOU)
    index, found = _index(config, dataset), []
    for weights in config.weights:
        models = _models(config, (weights,), dataset)
        validator = _validator(config, models, index, config.imgsz, rect=False)
        validation = validator.run()
        _tell(config, validation, validator.loader, weights)
        found.append({"weights": weights, **validation_json(validation, index.names)})
    return {"save_dir": None, "speed": found}


def _study(config: ValConfig, dataset: Dataset) -> dict[str, Any]:
    """Speed and accuracy of each weights file over the sizes: a text file each, and a plot of all."""
    from yolo.engine.study import Study

    index = _index(config, dataset)
    run = new_run_folder(config.project, config.name, config.exist_ok)
    try:
        study = Study(run, dataset.source.stem, index.names, plots=not config.noplots)
        for weights in dict.fromkeys(config.weights):  # each has a file of its own
            models = _models(config, (weights,), dataset)
            runner = _runner(config, models)
            for imgsz in config.study_sizes:
                validator = _validator(config, models, index, imgsz, runner=runner)
                validation = validator.run()
                _tell(config, validation, validator.loader, f"{weights} at {imgsz}")
                study.add(weights, imgsz, validation)
        return study.finish()
    except BaseException:
        remove_if_empty(run)
        raise


def _index(config: ValConfig, dataset: Dataset) -> Index:
    from yolo.data.index import index_split

    return index_split(dataset, _split(config), single_cls=config.single_cls)


def _split(config: ValConfig) -> str:
    return config.task if config.task in ("train", "val", "test") else "val"


def _models(config: ValConfig, weights: Sequence[str], dataset: Dataset, group: ProcessGroup = LONE) -> list[Model]:
    """What the weights hold, their classes numbered as the data set's; they must know as many of them."""
    from yolo.class_names import ClassNames
    from yolo.inference.calibration import Calibration
    from yolo.inference.models import ModelOptions, load_models

    int8 = Calibration(dataset, (config.imgsz, config.imgsz)) if config.int8 else None
    options = ModelOptions(config.device, config.half, config.compile, int8, group.ranks.alone, config.exact)
    classes = None if config.single_cls else ClassNames(dataset.names, dataset.source)
    models = load_models(weights, options, classes=classes)
    for model in models:
        if len(model.names) != dataset.nc and not config.single_cls:
            raise ConfigError(
                f"the weights have {len(model.names)} classes, {dataset.source} has {dataset.nc}",
                where=model.where,
                hint="name the data set that these weights were trained on",
            )
    return models


def _nms(config: ValConfig) -> NmsSettings:
    """What an image keeps."""
    from yolo.engine.validator import validation_settings

    return validation_settings(config.conf_thres, config.iou_thres, config.max_det, single_cls=config.single_cls)


def _runner(config: ValConfig, models: Sequence[Model]) -> Runner:
    from yolo.inference.ensemble import EnsembleRunner
    from yolo.inference.models import join_models
    from yolo.inference.slices.slicer import each_window

    nms = each_window(_nms(config)) if config.slice else _nms(config)
    if config.save_hybrid:  # labels come in where the suppression is
        return EnsembleRunner([model.heads() for model in models], nms, augment=config.augment)
    return join_models(models, nms, augment=config.augment)


def _validator(
    config: ValConfig,
    models: Sequence[Model],
    index: Index,
    imgsz: int,
    *,
    rect: bool = True,
    runner: Runner | None = None,
    group: ProcessGroup = LONE,
) -> Validator:
    from yolo.data.loader import val_loader
    from yolo.engine.build import worker_count
    from yolo.engine.validator import Validator
    from yolo.program.footprint import require_memory

    stride = max(max(model.strides) for model in models)
    imgsz = stride_multiple(imgsz, stride)
    loader = val_loader(
        index,
        imgsz=imgsz,
        batch_size=config.batch_size,
        workers=worker_count(config.workers, group),
        rect=rect,
        stride=stride,
        renderers=renderers(config.loader),
        ranks=group.ranks,
    )
    runner = runner or _runner(config, models)
    slicer = _slicer(config, runner, imgsz, stride)
    for shape in (loader.largest_shape(), *([slicer.largest_input()] if slicer else ())):
        require_memory(max(model.least_bytes(shape) for model in models), shape, f"--imgsz {imgsz}")
    return Validator(
        runner,
        loader,
        len(index.names),
        single_cls=config.single_cls,
        hybrid=config.save_hybrid,
        slicer=slicer,
        group=group,
    )


def _slicer(config: ValConfig, runner: Runner, imgsz: int, stride: int) -> Slicer | None:
    from yolo.inference.slices.slicer import Slicer
    from yolo.inference.slices.windows import given_slicing

    slicing, most = given_slicing(config.slice, config.overlap), runner.pixels_at_once
    if slicing is None:
        return None
    return Slicer(slicing, (imgsz, imgsz), stride, _nms(config), runner.detect, pixels_at_once=most)


def _run(config: ValConfig, validator: Validator, dataset: Dataset, run: Path) -> tuple[Validation, dict[str, Any]]:
    """Validate, and write what was asked for into ``run``."""
    from yolo.engine.val_outputs import CocoJson, LabelFiles
    from yolo.plots.validation import BatchImages, draw_validation

    index = validator.loader.index
    listeners = []
    if not config.noplots:
        listeners.append(BatchImages(run, index.names))
    if config.save_txt or config.save_hybrid:
        listeners.append(LabelFiles(run, confidence=config.save_conf))
    coco = CocoJson(dataset, index, _split(config)) if config.save_json else None
    if coco is not None:
        listeners.append(coco)
    validation = validator.run(listeners)
    if not config.noplots:
        draw_validation(validation.metrics, validation.confusion, index.names, run)
    if coco is None:
        return validation, {}
    return validation, {"coco": coco.finish(run / f"{Path(config.weights[0]).stem}_predictions.json")}


def _tell(config: ValConfig, validation: Validation, loader: ValLoader, what: str) -> None:
    """The table on stdout, without --json, and the speed on stderr."""
    from yolo.engine.loading import says_rendered
    from yolo.engine.report import metrics_table

    names = loader.index.names
    if not config.json:
        print(metrics_table(validation, names, every_class=config.verbose or len(names) <= 20))
    logger.info("%s; %s", speed_line(validation.speed_ms), what)
    if line := says_rendered(loader.rendered()):
        logger.info("%s", line)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.val", ValConfig, validate, argv)
