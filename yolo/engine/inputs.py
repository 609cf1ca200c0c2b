"""What a training run starts from: data, recipe, network; read and checked, the same on all ranks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging

import numpy as np

from yolo.class_names import ClassNames
from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters, load_hyperparameters, recipe
from yolo.config.values import stride_multiple
from yolo.data.dataset import Dataset
from yolo.data.digest import index_digest, names_digest
from yolo.data.extras import library
from yolo.data.index import Index, index_split, single_class_names
from yolo.data.load import load_dataset
from yolo.data.subset import take_fraction
from yolo.engine.autoanchor import check_anchors, require_anchors
from yolo.engine.freeze import frozen_layers
from yolo.engine.resume import Resumed
from yolo.errors import ConfigError, ModelError
from yolo.models.config import ModelConfig, load_model_config, parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.classes import in_order_of
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import load_state, state_to_numpy, transfer

logger = logging.getLogger("yolo")

_CHANNELS = 3
"""Of every image that is read: colours."""


@dataclasses.dataclass(frozen=True)
class TrainInputs:
    """checkpoint: of a resumed run; frozen: numbers of layers; train, held_out: the two parts of the data."""

    hyp: Hyperparameters
    dataset: Dataset
    names: tuple[str, ...]
    imgsz: int
    network: Network
    checkpoint: Checkpoint | None
    frozen: tuple[int, ...]
    train: Index
    held_out: Index

    def facts(self) -> dict[str, str]:
        """What all ranks must have in common, by human-readable names."""
        model = json.dumps(self.network.config.as_dict(), sort_keys=True, default=str)
        weights = hashlib.sha256(model.encode() + self.network.anchors.tobytes())
        for name, array in sorted(state_to_numpy(self.network).items()):
            weights.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return {
            "training data": index_digest(self.train)[:16],
            "validation data": index_digest(self.held_out)[:16],
            "class names": names_digest(self.names)[:16],
            "hyperparameters": hashlib.sha256(json.dumps(recipe(self.hyp), sort_keys=True).encode()).hexdigest()[:16],
            "model or weights": weights.hexdigest()[:16],
        }


def prepare(config: TrainConfig, device: str = "cpu", resumed: Resumed | None = None) -> TrainInputs:
    """Read and check everything; raises YoloError subclasses for whatever the options name wrongly.

    A resumed run's network and recipe come from its checkpoint.
    """
    _refuse_impossible(config)
    checkpoint = None if resumed is None else resumed.checkpoint
    hyp = (resumed and resumed.hyp) or load_hyperparameters(config.hyp)
    dataset = load_dataset(config.data)
    names = single_class_names(dataset) if config.single_cls else dataset.names
    anchors = 0 if config.noautoanchor else round(hyp.anchors)
    network = resumed_network(checkpoint, names) if checkpoint else make_network(config, names, anchors)
    if network.spec.channels != _CHANNELS:
        what = f"the model takes images of {network.spec.channels} channels, not {_CHANNELS}"
        raise ModelError(what, where=config.cfg or config.weights, hint="set 'ch: 3' in it, or leave the line out")
    frozen = frozen_layers(config.freeze, len(network.spec.layers))
    imgsz = stride_multiple(config.imgsz, max(network.strides))
    train = take_fraction(index_split(dataset, "train", single_cls=config.single_cls), config.fraction)
    held_out = index_split(dataset, "val", single_cls=config.single_cls)
    _refuse_unlabelled(train, dataset)
    if config.noautoanchor:
        require_anchors(network)
    elif checkpoint is None:
        check_anchors(network, train, imgsz, hyp.anchor_t, config.seed, pretrained=bool(config.weights))
    return TrainInputs(hyp, dataset, names, imgsz, network.to(device), checkpoint, frozen, train, held_out)


def make_network(config: TrainConfig, names: tuple[str, ...], anchors: int = 0) -> Network:
    """The network to train: from --cfg, with matching weights from --weights, or as the weights describe it.

    Weights that know the classes ``names`` in another order give each its own outputs.

    ``anchors``: so many a level, still to be fitted, instead of those of the model and the weights; 0: theirs.
    """
    classes = len(names)
    if not config.weights:
        if not config.cfg:
            raise ConfigError("neither weights nor a model is given", where="--weights ''", hint="name one with --cfg")
        return build_network(_with_anchors(load_model_config(config.cfg), anchors), nc=classes, rng=config.seed)
    checkpoint = in_order_of(load_weights(config.weights), ClassNames(names, config.data, new=True), config.weights)
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
            hint="restore the data set, or start a new run",
        )
    network = build_network(parse_model_config(checkpoint.config, name="the checkpoint's configuration"), init=False)
    load_state(network, checkpoint.model)
    return network


def _refuse_impossible(config: TrainConfig) -> None:
    if config.albumentations:
        library()
    if config.image_weights and config.rect:
        raise ConfigError(
            "samples images at random, which --rect does not allow",
            where="--image-weights",
            hint="leave --rect out",
        )


def _refuse_unlabelled(index: Index, dataset: Dataset) -> None:
    if not index.labels.counts.any():
        raise ConfigError(
            "no image of the training split has a label",
            where=dataset.source,
            hint="label files lie beside images/ in labels/, one .txt an image: class x y width height",
        )
