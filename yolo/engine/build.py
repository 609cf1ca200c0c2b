"""From options to the parts of a training run."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Sequence

from yolo.config.commands import TrainConfig, ValConfig
from yolo.config.hyp import Hyperparameters
from yolo.data.dataset import Dataset
from yolo.data.image_cache import open_caches
from yolo.data.layout import QUAD
from yolo.data.loader import TrainLoader, ValLoader, train_loader, val_loader
from yolo.data.planner import label_bound
from yolo.data.renderers.choice import renderers
from yolo.distributed.process_group import LONE, ProcessGroup
from yolo.distributed.ranks import Ranks
from yolo.engine.autobatch import free_on
from yolo.engine.inputs import TrainInputs, prepare
from yolo.engine.resume import Resumed
from yolo.engine.schedule import Schedule
from yolo.engine.train_step import MAX_LABELS, TrainStep
from yolo.engine.validator import BatchListener, Validation, Validator, validation_settings
from yolo.inference.compile import compile_network, is_compiled, modules_on, refuse_exact
from yolo.inference.graph_runner import ValRunner
from yolo.inference.precision import short_precision
from yolo.loss.settings import LossSettings
from yolo.models.network import Network, build_network
from yolo.models.weights.transfer import load_state, state_to_numpy
from yolo.program.footprint import image_bytes, require_memory, training_bytes
from yolo.program.lower import lower

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
        """Put weights (as ``TrainState.averaged`` gives them) into the network that validates."""
        load_state(self.averaged, state)
        self.validator.runner.load(state)

    def validate_ema(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Measure the moving average of the weights; ``listeners`` see each batch with its detections."""
        self.load_ema(self.step.state.averaged())
        return self.validator.run(listeners)


def build_parts(
    config: TrainConfig, device: str = "cpu", resumed: Resumed | None = None, group: ProcessGroup = LONE
) -> tuple[TrainParts, Schedule]:
    """Build everything that trains; raises YoloError subclasses for whatever the options name wrongly.

    A resumed run's network, recipe and state come from its checkpoint. All ranks of ``group`` call it together, and get
    the parts that train their share.
    """
    refuse_exact(config.exact, device)
    say_workers(config, group)
    with group.consistent() as facts:
        inputs = prepare(config, modules_on(device, config.compile), resumed)
        facts |= {} if group.ranks.alone else inputs.facts()
        loader = _train_loader(config, inputs, group)
        _require_memory(config, inputs, loader, device)
    schedule = Schedule(
        inputs.hyp,
        config.epochs,
        len(loader),
        config.batch_size,
        nominal_batch=config.nbs,
        cosine=config.cos_lr,
        warms_momentum=config.optimizer == "SGD",
    )
    network, classes = inputs.network, len(inputs.names)
    scaled = inputs.hyp.scaled(levels=len(network.strides), classes=classes, imgsz=inputs.imgsz)
    settings = LossSettings.of(scaled, len(network.strides), config.label_smoothing)
    step = _train_step(config, inputs, settings, schedule, loader, device, group)
    loader.upload = step.upload
    averaged = build_network(network.config, nc=classes, init=False).to(modules_on(device, config.compile))
    validator = _validator(averaged, settings, inputs, config, device, group)
    _open_caches(config, loader, validator)
    parts = (inputs.dataset, network, averaged, step, loader, validator)
    return TrainParts(inputs.hyp, inputs.imgsz, inputs.names, *parts), schedule


def _train_loader(config: TrainConfig, inputs: TrainInputs, group: ProcessGroup) -> TrainLoader:
    loader = train_loader(
        inputs.train,
        inputs.hyp,
        imgsz=inputs.imgsz,
        batch_size=config.batch_size,
        workers=worker_count(config.workers, group),
        seed=config.seed,
        rect=config.rect,
        stride=max(inputs.network.strides),
        quad=config.quad,
        multi_scale=config.multi_scale,
        extras=config.albumentations,
        renderers=renderers(config.loader),
        ranks=group.ranks,
    )
    if loader.repeated:
        logger.info("%s", _says_repeated(loader, config.quad, group.ranks))
    return loader


def _says_repeated(loader: TrainLoader, quad: bool, ranks: Ranks) -> str:
    """One human-readable line: how many images an epoch shows again, and why."""
    again = "1 image comes" if loader.repeated == 1 else f"{loader.repeated} images come"
    why = ["by four (--quad)"] * quad + [f"among {ranks.count} ranks"] * (not ranks.alone)
    return f"{again} once more in each epoch: {len(loader.index)} do not divide {' and '.join(why)}"


def _require_memory(config: TrainConfig, inputs: TrainInputs, loader: TrainLoader, device: str) -> None:
    """Raise ConfigError where a step of the largest shape could not be held."""
    shape = loader.shapes()[0]
    require_memory(image_bytes(shape), shape, f"--imgsz {config.imgsz}")
    graph, precision = lower(inputs.network.spec, {}), short_precision(device) if config.amp else "fp32"
    needed = training_bytes(graph, shape, precision, inputs.frozen)
    with contextlib.suppress(OSError):  # a GPU whose driver does not say what is free
        require_memory(needed, shape, f"--imgsz {config.imgsz}", None if device == "cpu" else free_on(device))


def _train_step(
    config: TrainConfig,
    inputs: TrainInputs,
    settings: LossSettings,
    schedule: Schedule,
    loader: TrainLoader,
    device: str,
    group: ProcessGroup,
) -> TrainStep:
    factor = QUAD if config.quad else 1
    max_labels = label_bound(inputs.train, inputs.hyp) * factor  # ranks cannot grow each for itself
    step = TrainStep(
        inputs.network,
        settings,
        optimizer=config.optimizer,
        weight_decay=schedule.weight_decay,
        max_labels=min(max_labels, 4 * MAX_LABELS) if group.ranks.alone else max_labels,
        compile=config.compile,
        amp=config.amp,
        frozen=inputs.frozen,
        group=group,
        sync_bn=config.sync_bn,
        loss_factor=factor,
        shapes=loader.shapes(),
        recompute={"on": True, "off": False}.get(config.recompute),
        exact=config.exact,
        device=device,
    )
    if inputs.checkpoint is not None:
        step.state.load(inputs.checkpoint)
    return step


def worker_count(asked: int, group: ProcessGroup = LONE) -> int:
    """Threads that prepare images: as many as asked, at most one for each core that a rank of this machine has."""
    return min(asked, cores_of_a_rank(group))


def say_workers(config: TrainConfig | ValConfig, group: ProcessGroup) -> None:
    """Say where fewer threads are used than the user asked for, other than by default."""
    used = worker_count(config.workers, group)
    if used < config.workers != type(config).workers:
        logger.warning("--workers %d: using %d, one for each core", config.workers, used)


def cores_of_a_rank(group: ProcessGroup) -> int:
    """This process's cores; where the ranks of a machine have the same ones, its share of them."""
    return group.share_of_cores(len(os.sched_getaffinity(0)))


def _validator(
    network: Network,
    settings: LossSettings,
    inputs: TrainInputs,
    config: TrainConfig,
    device: str,
    group: ProcessGroup,
) -> Validator:
    loader: ValLoader = val_loader(
        inputs.held_out,
        imgsz=inputs.imgsz,
        batch_size=2 * config.batch_size,
        workers=worker_count(config.workers, group),
        stride=max(network.strides),
        renderers=renderers(config.loader),
        ranks=group.ranks,
    )
    compiled = None
    if is_compiled(device, config.compile):
        compiled = compile_network(network.spec, state_to_numpy(network), device=device, exact=config.exact)
    nms = validation_settings(single_cls=config.single_cls)
    runner = ValRunner(network, nms, settings, modules_on(device, config.compile), compiled, alone=group.ranks.alone)
    return Validator(runner, loader, network.nc, single_cls=config.single_cls, group=group)


def _open_caches(config: TrainConfig, loader: TrainLoader, validator: Validator) -> None:
    """Give the loaders the caches of images that were asked for, filled."""
    parts = {"train": (loader.index, True)}
    if not config.noval:  # one validation at the end is not worth it
        parts["val"] = (validator.loader.index, False)
    caches = open_caches(config.cache, parts, loader.planner.imgsz, loader.workers)
    loader.cache, validator.loader.cache = caches.get("train"), caches.get("val")
