"""Run in the peers' environment: a network's heads by PyTorch and by onnxruntime, and the loss with its gradient.

python -m tests.benchmarks.peer_heads MODEL IN.npz OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import torch

from benchmarks.peers.onnx_network import onnx_model
from benchmarks.peers.torch_loss import TorchLoss
from benchmarks.peers.torch_network import TorchNetwork
from yolo.models.config import load_model_config
from yolo.models.parser import parse_network
from yolo.program.lower import lower
from yolo.program.passes.fold import fold_batch_norm


def main() -> None:
    """IN: the network's state, ``images`` uint8 [1, 3, H, W], ``labels`` [n, 6], ``anchors`` [levels, A, 2]."""
    model, given, path = sys.argv[1:]
    arrays = dict(np.load(given))
    images, labels, anchors = (arrays.pop(name) for name in ("images", "labels", "anchors"))
    graph = lower(parse_network(load_model_config(model), nc=3), arrays)
    found = {}
    scaled = torch.from_numpy(images).float() / 255
    for name, made in (("torch", graph), ("folded", fold_batch_norm(graph))):
        with torch.no_grad():
            heads = TorchNetwork(made).eval()(scaled)
        found |= {f"{name}{level}": head.numpy() for level, head in enumerate(heads)}
    session = onnxruntime.InferenceSession(onnx_model(fold_batch_norm(graph), *images.shape[2:]).SerializeToString())
    found |= {f"onnx{level}": head for level, head in enumerate(session.run(None, {"images": images}))}
    heads = [head.clone().requires_grad_() for head in heads]
    loss = TorchLoss(torch.from_numpy(anchors), 0.05, 1.0, 0.5, 4.0, (4.0, 1.0, 0.4)[: len(heads)])
    total, parts = loss(heads, torch.from_numpy(labels))
    total.backward()
    found |= {f"gradient{level}": head.grad.numpy() for level, head in enumerate(heads)}
    np.savez(path, parts=parts.numpy(), **found)


if __name__ == "__main__":
    main()
