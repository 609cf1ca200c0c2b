"""Plans for a CUDA device that the host's processor runs, beside those of the CPU."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tests.device import cuda_host
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.ir import Shape
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.plan import Plan
from yolo.program.target import Target
from yolo.program.training.program import plan_training

if TYPE_CHECKING:  # both need OneFlow, single steps do not
    from tests.program.training_reference import Subject
    from yolo.models.network import Network


def target(precision: str = "fp32") -> Target:
    """Of any CUDA device."""
    return Target("cuda", "sm_90", 8, precision, 1, 127)


def heads(network: Network, images: np.ndarray, precision: str = "fp32") -> list[np.ndarray]:
    """What a network's program for inference gives."""
    from yolo.models.weights.transfer import state_to_numpy

    graph = optimise(lower(network.spec, state_to_numpy(network)), precision)
    plan = plan_inference(graph, images.shape, target(precision))
    module = cuda_host()
    return module.HostExecutor(plan, constants=pack_weights(graph, 127, module.Constants()))(images)


def staged(images: np.ndarray) -> object:
    """Images as a training step takes them."""
    found = cuda_host().StagedImages(images.nbytes)
    found.fill(images)
    return found


@dataclasses.dataclass
class DevicePasses:
    """``tests.program.training_reference.Passes`` on the device."""

    plan: Plan

    def __post_init__(self) -> None:
        self.head_shapes, self.executor = self.plan.heads, cuda_host().HostExecutor(self.plan)
        self.forward, self.backward = self.executor, self.executor.backward


def passes(subject: Subject, shape: Shape, precision: str = "fp32", **options: object) -> DevicePasses:
    """A subject's program for images of this shape."""
    return DevicePasses(plan_training(subject.graph, shape, subject.offsets, target(precision), **options))
