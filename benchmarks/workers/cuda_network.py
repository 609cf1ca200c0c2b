"""Worker: this project's detector on a CUDA device, from letterboxed images to boxes, and the network alone."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from benchmarks.cuda_module import open_module
from benchmarks.workers.serve import serve
from yolo.models.weights.load import load_weights
from yolo.program.detection import NmsSettings, levels_of
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.target import CUDA_PACK, Target

RUNS = 10
"""Of the network alone, timed together."""


def cuda_target(precision: str) -> Target:
    """What any CUDA device's plans are made for."""
    return Target("cuda", "CUDA", CUDA_PACK, precision, threads=1, weight_limit=0)


class CudaNetwork:
    """images uint8 of the host's -> detections of the host's; what lies between stays on the device."""

    def load(
        self,
        weights: str,
        images: str,
        device: str,
        precision: str,
        tf32: bool,
        conf: float,
        timed: int = 0,
    ) -> None:
        """precision: fp32, fp16 or bf16; tf32, timed: see ``open_module``."""
        self._module = module = open_module(device, tf32=tf32, timed=timed)
        self._images = np.load(images)["images"]
        checkpoint = load_weights(weights)
        graph = optimise(lower(checkpoint.spec, checkpoint.model), precision)
        plan = plan_inference(graph, self._images.shape, cuda_target(precision))
        constants = pack_weights(graph, plan.target, module.Constants())
        self._network = module.Executor(plan, constants=constants)
        self._alone = module.HostExecutor(plan, constants=constants)
        levels = levels_of(plan.heads, checkpoint.anchors, checkpoint.strides)
        classes = len(checkpoint.names)
        settings = NmsSettings(conf=conf, max_det=300).native(classes)
        self._detector = module.DetectorProgram(self._network, levels, classes, settings)

    def run(self) -> Mapping[str, float]:
        """ms: images to boxes; network_ms: the network alone, on images that lie on the device."""
        begin = time.perf_counter()
        self._detector(self._images)
        ms = 1000 * (time.perf_counter() - begin)
        timer = self._module.Timer(RUNS)
        self._alone(self._images, timer=timer)
        return {"ms": ms, "network_ms": timer.ms["run"]}

    def outputs(self) -> Mapping[str, np.ndarray]:
        rows, counts = self._detector(self._images)
        heads = {f"head{level}": head for level, head in enumerate(self._alone(self._images))}
        return {"rows": rows, "counts": counts, **heads}


if __name__ == "__main__":
    serve(CudaNetwork())
