"""Layers whose arithmetic is not covered by the published outputs, against plain NumPy."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from yolo.models.activation import Activation
from yolo.models.fuse import fold_batchnorm
from yolo.models.init import assign, initialise
from yolo.models.layers.basic import Style, same_padding
from yolo.models.layers.conv import Conv, Focus
from yolo.models.layers.csp import C3, BottleneckCSP, C3Ghost, C3x
from yolo.models.layers.shape import Contract, Expand
from yolo.models.layers.transformer import MultiheadAttention, TransformerLayer
from yolo.models.weights.transfer import state_to_numpy

STYLE = Style(Activation())


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def filled(module: flow.nn.Module, seed: int = 0) -> flow.nn.Module:
    """Random weights, batch-norm statistics included."""
    rng = np.random.default_rng(seed)
    initialise(module, (), 1, rng)
    for name, tensor in module.state_dict().items():
        if ".bn." in f".{name}" and "num_batches" not in name:
            assign(tensor, rng.uniform(0.5, 1.5, tuple(tensor.shape)).astype(np.float32))
    return module.eval()


def test_attention_equals_its_formula() -> None:
    length, batch, channels, heads = 5, 2, 8, 4
    module = filled(MultiheadAttention(channels, heads))
    assert set(module.state_dict()) == {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
    assign(module.in_proj_bias, np.linspace(-1, 1, 3 * channels).astype(np.float32))
    q, k, v = np.random.default_rng(1).normal(size=(3, length, batch, channels)).astype(np.float32)
    got = module(*(flow.tensor(x) for x in (q, k, v))).numpy()
    weight, bias = module.in_proj_weight.numpy(), module.in_proj_bias.numpy()
    q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), np.split(weight, 3), np.split(bias, 3)))
    mixed = np.zeros_like(q)
    for image in range(batch):
        for head in range(heads):
            part = slice(head * channels // heads, (head + 1) * channels // heads)
            scores = q[:, image, part] @ k[:, image, part].T / np.sqrt(channels // heads)
            mixed[:, image, part] = softmax(scores) @ v[:, image, part]
    expected = mixed @ module.out_proj.weight.numpy().T + module.out_proj.bias.numpy()
    assert np.allclose(got, expected, atol=1e-5)


def test_transformer_layer_has_the_published_names() -> None:
    names = {"q.weight", "k.weight", "v.weight", "fc1.weight", "fc2.weight"}
    attention = {"ma.in_proj_weight", "ma.in_proj_bias", "ma.out_proj.weight", "ma.out_proj.bias"}
    assert set(TransformerLayer(8, 4).state_dict()) == names | attention


def test_contract_and_expand_move_cells() -> None:
    x = np.arange(2 * 4 * 4 * 6, dtype=np.float32).reshape(2, 4, 4, 6)
    contracted = Contract(2)(flow.tensor(x)).numpy()
    assert contracted.shape == (2, 16, 2, 3)
    assert np.array_equal(contracted[:, 4:8], x[:, :, ::2, 1::2])  # second block: odd columns of even rows
    assert np.array_equal(Expand(2)(flow.tensor(contracted)).numpy(), x)


def test_focus_order_of_the_quarters() -> None:
    focus = filled(Focus(1, 4, style=Style(Activation("Identity"), fused=True)))
    assign(focus.conv.conv.weight, np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1))
    assign(focus.conv.conv.bias, np.zeros(4, np.float32))
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert focus(flow.tensor(x)).numpy()[0, :, 0, 0].tolist() == [0, 4, 1, 5]


def test_padding_keeps_the_size() -> None:
    assert same_padding(3) == (1, 1) and same_padding((1, 5)) == (0, 2)
    assert same_padding(3, None, 2) == (2, 2) and same_padding(3, 0) == (0, 0)


def test_folding_changes_no_output() -> None:
    x = flow.tensor(np.random.default_rng(2).normal(size=(1, 8, 6, 6)).astype(np.float32))
    for kind in (
        lambda style: Conv(8, 8, 3, g=2, style=style),
        *(lambda style, block=block: block(8, 8, 2, style=style) for block in (C3, BottleneckCSP, C3x, C3Ghost)),
    ):
        module, fused = filled(kind(STYLE)), kind(Style(Activation(), fused=True)).eval()
        # a bare Conv has no block name before `conv.`, so both states go in under one
        state = {f"block.{name}": values for name, values in state_to_numpy(module).items()}
        folded = {name[len("block.") :]: values for name, values in fold_batchnorm(state).items()}
        assert set(folded) == set(fused.state_dict())
        for name, tensor in fused.state_dict().items():
            assign(tensor, folded[name])
        assert np.allclose(module(x).numpy(), fused(x).numpy(), atol=2e-5)
