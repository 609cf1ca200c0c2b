"""Before training: do the network's anchors fit the data set's boxes, and are there better ones?"""

from __future__ import annotations

import logging

import numpy as np

from yolo.anchors import Recall, box_sizes, by_level, fit_anchors, recall
from yolo.data.records import Index
from yolo.errors import ConfigError
from yolo.models.network import Network

logger = logging.getLogger("yolo")

ENOUGH = 0.98
"""Best possible recall above which the anchors stay (YOLOv5)."""
PRETRAINED = (
    "the pretrained weights were trained with other anchors: expect a lower mAP at first, and after a short training; "
    "--noautoanchor keeps their anchors"
)
_STREAM = 2**32 - 2  # no image has this number, so anchors share no stream with a sample


def check_anchors(
    network: Network, index: Index, imgsz: int, anchor_t: float, seed: int, *, pretrained: bool = False
) -> None:
    """Put fitted anchors into ``network`` where its own reach too few boxes and the fitted ones reach more.

    ``pretrained``: its weights were trained with other anchors; what replacing these costs is said. The same seed gives
    the same anchors. Whatever takes the network's anchors must be built afterwards. Raises ConfigError where the
    network has no anchors of its own and none can be fitted.
    """
    sizes = box_sizes(index, imgsz, np.random.default_rng([seed, 0, _STREAM]))
    own = recall(sizes, network.anchors, anchor_t) if has_anchors(network) else Recall(0.0, 0.0)
    fits = f"anchors: {_shown(own)}"
    if own.best > ENOUGH:
        logger.info("%s: they fit the data", fits)
        return
    lacking = fits if has_anchors(network) else "anchors: the model has none of its own"
    logger.info("%s; fitting new ones to %d boxes (recall should be above %g)", lacking, len(sizes), ENOUGH)
    rng = np.random.default_rng([seed, 1, _STREAM])
    try:
        fitted = fit_anchors(box_sizes(index, imgsz), network.anchors.size // 2, anchor_t, rng)
    except ValueError as error:
        if not has_anchors(network):
            raise ConfigError(f"no anchors: {error}", where=f"--imgsz {imgsz}", hint="train larger images") from None
        logger.warning("anchors: no new ones (%s); the model's own are kept", error)
        return
    better = recall(sizes, fitted, anchor_t)
    if better.best <= own.best:
        logger.info("anchors: new ones are no better (%s); the model's own are kept", _shown(better))
        return
    network.set_anchors(by_level(fitted, network.strides))
    logger.info("anchors: %s with new ones, width x height in pixels: %s", _shown(better), _sizes(fitted))
    if pretrained:
        logger.warning("%s", PRETRAINED)


def has_anchors(network: Network) -> bool:
    """Whether the anchors are sizes, and not the numbers that hold their places in a model without any."""
    return bool((network.anchors > 0).all())


def require_anchors(network: Network) -> None:
    """Raise ConfigError for a network whose anchors were to be fitted, where that is switched off."""
    if not has_anchors(network):
        raise ConfigError(
            "the model gives the number of anchors, but not the anchors",
            where="--noautoanchor",
            hint="leave it out, so that they are fitted to the data",
        )


def _shown(found: Recall) -> str:
    return f"{found.fits:.2f} anchors/target, {found.best:.4f} best possible recall (BPR)"


def _sizes(anchors: np.ndarray) -> str:
    return ", ".join(f"{width:.0f}x{height:.0f}" for width, height in anchors)
