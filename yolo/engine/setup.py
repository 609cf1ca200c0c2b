"""From options to the parts of a training run."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence

from yolo.command import stride_multiple
from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters, load_hyperparameters
from yolo.data.dataset import Dataset, load_dataset
from yolo.data.extras import library
from yolo.data.index import Index, index_split
from yolo.data.layout import QUAD
from yolo.data.loader import TrainLoader, ValLoader, train_loader, val_loader
from yolo.data.picture_cache import open_caches
from yolo.data.planner import label_bound
from yolo.data.subset import take_fraction
from yolo.engine.autoanchor import check_anchors, require_anchors
from yolo.engine.freeze import frozen_layers
from yolo.engine.ranks import refuse_ranks
from yolo.engine.resume import Resumed
from yolo.engine.schedule import Schedule
from yolo.engine.step import LABEL_PLACES, TrainStep
from yolo.engine.validator import BatchListener, Validation, Validator, validation_settings
from yolo.errors import ConfigError
from yolo.inference.forward import Forward, compile_network
from yolo.loss import LossSettings
from yolo.models.config import ModelConfig, load_model_config, parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import load_state, transfer

logger = logging.getLogger("yolo")


@dataclasses.dataclass
class TrainParts:
    """What a training run is made of.

    hyp holds the recipe as given, before its gains are scaled; averaged is the network that is validated.
    """

    hyp: Hyperparameters
    imgsz: int
    names: tuple[str, ...]
    dataset: Dataset
    network: Network
    averaged: Network
    step: TrainStep
    loader: TrainLoader
    validator: Validator

    def load_ema(self, state: dict) -> None:
        """Put weights (as ``TrainStep.ema`` gives them) into the network that validates."""
        load_state(self.averaged, state)
        self.validator.forward.load(state)

    def validate_ema(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Measure the moving average of the weights; ``listeners`` see each batch with its detections."""
        self.load_ema(self.step.ema())
        return self.validator.run(listeners)


def build_parts(
    config: TrainConfig, device: str = "cpu", resumed: Resumed | None = None
) -> tuple[TrainParts, Schedule]:
    """Build everything that trains; raises YoloError subclasses for whatever the options name wrongly.

    A resumed run's network, recipe and state come from its checkpoint.
    """
    refuse_ranks(config)
    _refuse_impossible(config)
    checkpoint = None if resumed is None else resumed.checkpoint
    hyp = (resumed and resumed.hyp) or load_hyperparameters(config.hyp)
    dataset = load_dataset(config.data)
    names = ("item",) if config.single_cls else dataset.names
    anchors = 0 if config.noautoanchor else round(hyp.anchors)
    network = (resumed_network(checkpoint, names) if checkpoint else make_network(config, len(names), anchors)).to(
        device
    )
    frozen = frozen_layers(config.freeze, len(network.spec.layers))
    imgsz = stride_multiple(config.imgsz, max(network.strides))
    train = take_fraction(index_split(dataset, "train", single_cls=config.single_cls), config.fraction)
    held_out = index_split(dataset, "val", single_cls=config.single_cls)
    _refuse_unlabelled(train, dataset)
    if config.noautoanchor:
        require_anchors(network)
    elif checkpoint is None:
        check_anchors(network, train, imgsz, hyp.anchor_t, config.seed)
    workers, stride = worker_count(config.workers), max(network.strides)
    loader = train_loader(
        train,
        hyp,
        imgsz=imgsz,
        batch_size=config.batch_size,
        workers=workers,
        seed=config.seed,
        rect=config.rect,
        stride=stride,
        quad=config.quad,
        multi_scale=config.multi_scale,
        extras=config.albumentations,
    )
    schedule = Schedule(
        hyp,
        config.epochs,
        len(loader),
        config.batch_size,
        nominal_batch=config.nbs,
        cosine=config.cos_lr,
        warms_momentum=config.optimizer == "SGD",
    )
    scaled = hyp.scaled(levels=len(network.strides), classes=len(names), imgsz=imgsz)
    settings = LossSettings.of(scaled, len(network.strides), config.label_smoothing)
    step = TrainStep(
        network,
        settings,
        optimizer=config.optimizer,
        weight_decay=schedule.weight_decay,
        label_places=min(label_bound(train, hyp) * (QUAD if config.quad else 1), 4 * LABEL_PLACES),
        compile=config.compile,
        amp=config.amp,
        frozen=frozen,
        loss_factor=QUAD if config.quad else 1,
        shapes=loader.shapes(),
        recompute=config.recompute,
    )
    if checkpoint is not None:
        step.load(checkpoint)
    averaged = build_network(network.config, nc=len(names), init=False).to(device)
    validator = _validator(averaged, settings, held_out, config, imgsz, workers, device)
    _open_caches(config, loader, validator)
    return TrainParts(hyp, imgsz, names, dataset, network, averaged, step, loader, validator), schedule


def make_network(config: TrainConfig, classes: int, anchors: int = 0) -> Network:
    """The network to train: from --cfg, with matching weights from --weights, or as the weights describe it.

    ``anchors``: so many a level, still to be fitted, instead of those of the model and the weights; 0: theirs.
    """
    if not config.weights:
        if not config.cfg:
            raise ConfigError("neither weights nor a model is given", where="--weights ''", mend="name one with --cfg")
        return build_network(_with_anchors(load_model_config(config.cfg), anchors), nc=classes, rng=config.seed)
    checkpoint = load_weights(config.weights)
    model = load_model_config(config.cfg) if config.cfg else parse_model_config(checkpoint.config, name=config.weights)
    network = build_network(_with_anchors(model, anchors), nc=classes, rng=config.seed)
    # A model file's anchors are its author's choice; those of the weights come along only when there is none.
    moved = transfer(network, checkpoint, exclude=("anchors",) if config.cfg or anchors else ())
    logger.info("%s from %s", moved, config.weights)
    return network


def _with_anchors(model: ModelConfig, count: int) -> ModelConfig:
    """The model with so many anchors a level to be found; its own where ``count`` is 0."""
    return parse_model_config(model.as_dict(anchors=count), name=model.name) if count else model


def resumed_network(checkpoint: Checkpoint, names: tuple[str, ...]) -> Network:
    """The network of a stopped run, anchors included; its weights are loaded with the step's state."""
    if checkpoint.names != names:
        raise ConfigError(
            f"the data set's classes are {', '.join(names)[:200]}; the run was trained on "
            f"{', '.join(checkpoint.names)[:200]}",
            where="--resume",
            mend="restore the data set, or start a new run",
        )
    network = build_network(parse_model_config(checkpoint.config, name="the checkpoint's configuration"), init=False)
    load_state(network, checkpoint.model)
    return network


def worker_count(asked: int) -> int:
    """Threads that prepare pictures: as many as asked, at most one for each core."""
    return min(asked, len(os.sched_getaffinity(0)))


def _validator(
    network: Network,
    settings: LossSettings,
    index: Index,
    config: TrainConfig,
    imgsz: int,
    workers: int,
    device: str,
) -> Validator:
    loader: ValLoader = val_loader(
        index, imgsz=imgsz, batch_size=2 * config.batch_size, workers=workers, stride=max(network.strides)
    )
    compiled = compile_network(network, device, mode=config.compile)
    forward = Forward(network, validation_settings(single_cls=config.single_cls), device, compiled, settings)
    return Validator(forward, loader, network.nc, single_cls=config.single_cls)


def _open_caches(config: TrainConfig, loader: TrainLoader, validator: Validator) -> None:
    """Give the loaders the caches of pictures that were asked for, filled."""
    parts = {"train": (loader.index, True)}
    if not config.noval:  # one validation at the end is not worth it
        parts["val"] = (validator.loader.index, False)
    caches = open_caches(config.cache, parts, loader.planner.imgsz, loader.workers)
    loader.cache, validator.loader.cache = caches.get("train"), caches.get("val")


def _refuse_impossible(config: TrainConfig) -> None:
    if config.albumentations:
        library()
    if config.image_weights and config.rect:
        raise ConfigError(
            "pictures that are drawn cannot stay in batches of like aspect",
            where="--image-weights",
            mend="leave --rect out",
        )


def _refuse_unlabelled(index: Index, dataset: Dataset) -> None:
    if not any(len(rows) for rows in index.labels):
        raise ConfigError(
            "no picture of the training split has a label",
            where=dataset.source,
            mend="label files lie beside images/ in labels/, one .txt a picture: class x y width height",
        )
