"""``python -m yolo.val``: measure a detector on a data set."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo import runtime
from yolo.command import new_run_folder, remove_if_empty, run_command, stride_multiple
from yolo.config.commands import ValConfig
from yolo.errors import ConfigError

if TYPE_CHECKING:
    from yolo.data.dataset import Dataset
    from yolo.data.records import Index
    from yolo.engine.validator import Validation, Validator
    from yolo.models.network import Network

logger = logging.getLogger("yolo")


def validate(config: ValConfig) -> dict[str, Any]:
    """Measure as ``config`` says; give the command's JSON object without its head."""
    device = runtime.select_device(config.device)
    from yolo.data.dataset import load_dataset
    from yolo.data.index import index_split
    from yolo.engine.report import metrics_table, speed_line, validation_json

    dataset = load_dataset(config.data)
    network = _network(config, dataset)
    index = index_split(dataset, config.task, single_cls=config.single_cls)
    validator = _validator(config, network, index, device)
    run = new_run_folder(config.project, config.name, config.exist_ok)
    try:
        validation, extra = _run(config, validator, dataset, run)
    except BaseException:
        remove_if_empty(run)
        raise
    if not config.json:
        print(metrics_table(validation, index.names, every_class=config.verbose or len(index.names) <= 20))
    logger.info("%s; results are in %s", speed_line(validation), run)
    return {"save_dir": str(run), **validation_json(validation, index.names), **extra}


def _network(config: ValConfig, dataset: Dataset) -> Network:
    """The network of the weights, which must know as many classes as the data set."""
    from yolo.models.weights.load import load_weights
    from yolo.models.weights.transfer import network_from_checkpoint

    network = network_from_checkpoint(load_weights(config.weights))
    if network.nc != dataset.nc and not config.single_cls:
        raise ConfigError(
            f"the weights know {network.nc} classes, {dataset.source} has {dataset.nc}",
            where=config.weights,
            mend="name the data set that these weights were trained on",
        )
    return network


def _validator(config: ValConfig, network: Network, index: Index, device: str) -> Validator:
    from yolo.data.loader import val_loader
    from yolo.engine.setup import worker_count
    from yolo.engine.validator import Validator, validation_settings
    from yolo.inference.forward import Forward, compile_network

    stride = max(network.strides)
    loader = val_loader(
        index,
        imgsz=stride_multiple(config.imgsz, stride),
        batch_size=config.batch_size,
        workers=worker_count(config.workers),
        stride=stride,
    )
    nms = validation_settings(config.conf_thres, config.iou_thres, config.max_det, single_cls=config.single_cls)
    compiled = compile_network(network, device, mode=config.compile, precision="bf16" if config.half else "fp32")
    return Validator(Forward(network, nms, device, compiled), loader, len(index.names), single_cls=config.single_cls)


def _run(config: ValConfig, validator: Validator, dataset: Dataset, run: Path) -> tuple[Validation, dict[str, Any]]:
    """Validate, and write what was asked for into ``run``."""
    from yolo.engine.val_outputs import CocoJson, LabelFiles
    from yolo.plots.validation import BatchPictures, draw_validation

    index = validator.loader.index
    listeners = []
    if not config.noplots:
        listeners.append(BatchPictures(run, index.names))
    if config.save_txt:
        listeners.append(LabelFiles(run, confidence=config.save_conf))
    coco = CocoJson(dataset, index) if config.save_json else None
    if coco is not None:
        listeners.append(coco)
    validation = validator.run(listeners)
    if not config.noplots:
        draw_validation(validation, index.names, run)
    if coco is None:
        return validation, {}
    return validation, {"coco": coco.finish(run / f"{Path(config.weights).stem}_predictions.json")}


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.val", ValConfig, validate, argv)


if __name__ == "__main__":
    sys.exit(main())
