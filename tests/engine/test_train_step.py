"""A training step: the room for labels grows, and what it hands out is what a checkpoint needs."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise
from graphs.update import Rates
from tests.bfloat16 import needs_bf16
from tests.graphs.tiny import label_rows, random_images
from tests.models.small import small_mapping
from tests.ops.loss_cases import PLAIN as SETTINGS
from yolo.data.batch import Batch
from yolo.engine.train_step import TrainStep
from yolo.errors import ConfigError
from yolo.loss.settings import LossSettings
from yolo.models.config import parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights.transfer import load_state, state_to_numpy

SHAPE = (2, 3, 32, 40)
COUNTS = [(3, 1), (11, 2), (0, 0), (8, 9)]
RATES = [Rates(0.02, 0.01, 0.015, 0.8, 0.5, 1), Rates(0.01, 0.02, 0.01, 0.9, 0.75, 2)]


SHORT = {
    "anchors": [[5, 6, 8, 14]],
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[1], 1, "Detect", ["nc", "anchors"]]],
}
"""Of plain modules: OneFlow compiles a layer for seconds, and a level of the loss. tests/program has what they give."""


def network(compile: str = "program") -> Network:
    rows = SHORT if compile == "off" else {}
    found = build_network(parse_model_config(small_mapping(nc=3, **rows), name="small"))
    if rows:  # objectness begins at a half: near 0, as it begins else, the plain loss is good to 2e-5 only in float32
        biases = {name: array * 0 for name, array in state_to_numpy(found).items() if name.endswith(".m.0.bias")}
        load_state(found, state_to_numpy(found) | biases)
    return found


def settings(compile: str) -> LossSettings:
    return dataclasses.replace(SETTINGS, balance=(4.0,)) if compile == "off" else SETTINGS


def batch(number):
    labels = label_rows(number, COUNTS[number])
    return Batch(random_images(number, SHAPE), labels, np.arange(2), ("",) * 2)


def state_of(step):
    return vars(step.state.snapshot())


def gradient_of(step):
    return step.state.snapshot().training["gradient"]


def run(max_labels, compile, layers=None):
    """Losses, norms and states of: first batch, update, the other three, update; and then half of a step."""
    options = {"optimizer": "SGD", "weight_decay": 5e-4, "max_labels": max_labels, "compile": compile}
    step = TrainStep(network(layers or compile), settings(layers or compile), **options)
    losses, norms, states = [], [], [state_of(step)]
    for numbers, rates in zip([(0,), (1, 2, 3)], RATES):
        losses += [step.backward(batch(number)) for number in numbers]
        norms.append(step.update(rates))
        states.append(state_of(step))
    losses.append(step.backward(batch(0)))
    states.append(state_of(step))
    return {"step": step, "losses": np.stack(losses), "norms": norms, "states": states}


@pytest.fixture(scope="module", params=["program", "off"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def growing(mode):
    """Begins with room for 8; the second batch has 11 labels."""
    logger, messages = logging.getLogger("yolo"), []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        return {**run(8, mode), "messages": messages}
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture(scope="module")
def roomy(mode):
    return run(16, mode)


def test_the_room_for_labels_grows_and_stays_grown(growing, roomy):
    assert sorted(growing["step"]._graphs) == [(*SHAPE, 8), (*SHAPE, 16)]
    assert list(roomy["step"]._graphs) == [(*SHAPE, 16)]
    assert growing["step"].state.max_labels == 16


def test_growing_changes_no_number(growing, roomy):
    np.testing.assert_allclose(growing["losses"], roomy["losses"], rtol=1e-5)
    np.testing.assert_allclose(growing["norms"], roomy["norms"], rtol=1e-5)
    for ours, theirs in zip(growing["states"], roomy["states"]):
        for kind in ours:
            assert ours[kind].keys() == theirs[kind].keys()
            for name, array in ours[kind].items():
                if name != "places":
                    np.testing.assert_allclose(array, theirs[kind][name], rtol=1e-4, atol=1e-5, err_msg=name)


def single():
    """A last batch: one image where the others have two."""
    return Batch(random_images(7, (1, *SHAPE[1:])), label_rows(7, (5,)), np.arange(1), ("",))


def test_a_smaller_last_batch_counts_as_its_own_images_do(roomy, mode):
    """Behind batches of two the loss and gradient are those of a step that sees it alone, on the same weights."""
    step = roomy["step"]
    options = {"optimizer": "SGD", "weight_decay": 5e-4, "max_labels": 16, "compile": mode}
    alone = TrainStep(network(mode), settings(mode), **options)
    load_state(alone.state.network, step.state.snapshot().weights)
    if mode == "program":
        alone.state.values.copy_(flow.tensor(alone.state.vector.gather()))
    step.backward(batch(1))
    step.state.drop_gradient()
    loss, wanted = step.backward(single()), alone.backward(single())
    np.testing.assert_array_equal(loss, wanted)
    assert loss[0] == pytest.approx(loss[1:].sum(), rel=1e-6)
    gradient = gradient_of(step)
    np.testing.assert_array_equal(gradient, gradient_of(alone))
    assert np.abs(gradient).max() > 0.01


def test_a_gradient_that_is_dropped_is_gone(roomy):
    step = roomy["step"]
    step.state.drop_gradient()
    assert not gradient_of(step).any()
    gradients = []
    for _ in range(2):
        step.backward(batch(3))
        gradients.append(gradient_of(step))
        step.state.drop_gradient()
    assert gradients[0].any()
    np.testing.assert_array_equal(gradients[0], gradients[1])


def test_losses_are_sane(growing):
    losses = growing["losses"]
    assert losses.shape == (5, 4) and losses.dtype == np.float32
    np.testing.assert_allclose(losses[:, 0], 2 * losses[:, 1:].sum(1), rtol=1e-5)
    assert losses[2, 1] == losses[2, 3] == 0 < losses[2, 2]
    assert losses[4, 0] != losses[0, 0]


def test_compiling_is_told_and_timed(growing):
    said = [message.split(" in ")[0] for message in growing["messages"]]
    graph = "compiled the training graph for 2x3x32x40, up to {} labels"
    assert said == [graph.format(8), "compiled the update graph", graph.format(16)]
    told = sum(float(message.split(" in ")[1].removesuffix(" s")) for message in growing["messages"])
    assert growing["step"].compile_seconds == pytest.approx(told, abs=0.2)


def test_states_have_the_networks_names_and_shapes(growing, mode):
    expected = {name: tuple(tensor.shape) for name, tensor in network(mode).state_dict().items()}
    for state in growing["states"]:
        for kind in ("weights", "ema"):
            assert {name: array.shape for name, array in state[kind].items()} == expected
        weights = {f"weights/{name}": shape for name, shape in expected.items()}
        size = growing["step"].state.vector.parameter_size
        others = {"gradient": (size,), "first": (size,), "second": (1,), "places": (1,)}
        assert {name: array.shape for name, array in state["training"].items()} == weights | others


def test_the_state_before_training(growing, mode):
    state = growing["states"][0]
    for name, tensor in network(mode).state_dict().items():
        for array in (state["weights"][name], state["ema"][name], state["training"][f"weights/{name}"]):
            np.testing.assert_array_equal(array, tensor.numpy())
    for name in ("gradient", "first", "second"):
        assert not state["training"][name].any()


def test_weights_move_by_the_momentum_that_is_kept(growing):
    """The first step of SGD with Nesterov momentum m: w - rate · (1 + m) · first."""
    before, after = growing["states"][:2]
    vector = growing["step"].state.vector
    first = after["training"]["first"]
    for slot, rate in zip(vector.parameters, _rates(vector, RATES[0])):
        moved = rate * (1 + RATES[0].momentum) * first[slot.start : slot.stop].reshape(tuple(slot.tensor.shape))
        expected = before["weights"][slot.name] - moved
        np.testing.assert_allclose(after["weights"][slot.name], expected, rtol=1e-5, atol=1e-6)
    assert np.abs(first).max() > 0.01


def _rates(vector, rates):
    kinds = {"bias": rates.bias, "bn.weight": rates.norm}
    for slot in vector.parameters:
        yield next((rate for ending, rate in kinds.items() if slot.name.endswith(ending)), rates.weight)


def test_the_moving_average_follows(growing):
    averages = {name: array for name, array in growing["states"][0]["weights"].items()}
    for state, rates in zip(growing["states"][1:], RATES):
        for name in [slot.name for slot in growing["step"].state.vector.parameters] + ["model.0.bn.running_mean"]:
            averages[name] = averages[name] * rates.ema_decay + state["weights"][name] * (1 - rates.ema_decay)
            np.testing.assert_allclose(state["ema"][name], averages[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_gradient_is_emptied_by_an_update_and_kept_between_two(growing):
    gradients = [state["training"]["gradient"] for state in growing["states"]]
    assert not gradients[1].any() and not gradients[2].any()
    assert gradients[3].any()
    two, three = (state["weights"] for state in growing["states"][2:])
    for slot in growing["step"].state.vector.parameters:
        np.testing.assert_array_equal(two[slot.name], three[slot.name])


def test_states_are_copies(growing):
    step = growing["step"]
    synchronise()
    expected = state_of(step)
    for arrays in state_of(step).values():
        for array in arrays.values():
            array[...] = 7
    for kind, arrays in state_of(step).items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, expected[kind][name], err_msg=name)


@pytest.mark.parametrize("mode", ["off"], indirect=True)
def test_compiled_steps_equal_plain_ones(roomy, mode):
    compiled, plain = run(16, "program", layers=mode), roomy
    assert compiled["step"]._compiled is not None and plain["step"]._compiled is None
    np.testing.assert_allclose(compiled["losses"], plain["losses"], rtol=2e-5)
    np.testing.assert_allclose(compiled["norms"], plain["norms"], rtol=1e-4)
    for ours, theirs in zip(compiled["states"], plain["states"]):
        for kind in ours:
            for name, array in ours[kind].items():
                if not name.endswith("num_batches_tracked"):
                    scale = max(float(np.abs(theirs[kind][name]).max()), 1e-3)
                    np.testing.assert_allclose(array, theirs[kind][name], atol=1e-4 * scale, err_msg=f"{kind} {name}")


@needs_bf16
def test_bfloat16_steps_are_near():
    options = {"optimizer": "SGD", "weight_decay": 5e-4}
    half, whole = (TrainStep(network(), SETTINGS, **options, amp=amp) for amp in (True, False))
    losses = np.array([[step.backward(batch(number)) for number in range(4)] for step in (half, whole)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02, atol=1e-3)
    gradients = [gradient_of(step) for step in (half, whole)]
    cosine = gradients[0] @ gradients[1] / np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[1])
    assert 0.97 < cosine < 1 - 1e-9


def test_bfloat16_needs_a_compiled_step():
    with pytest.raises(ConfigError, match="mixed precision needs a compiled training step"):
        TrainStep(network(), SETTINGS, optimizer="SGD", weight_decay=0.0, compile="off", amp=True)


SIDES = ((2, 64), (2, 32), (2, 96), (1, 96), (2, 64), (2, 32), (2, 96), (2, 40))
"""Images of a batch, and their size; as a last batch comes between larger ones."""


def square(number, count, side):
    labels = label_rows(number, (3, 1)[:count])
    return Batch(random_images(number, (count, 3, side, side)), labels, np.arange(count), ("",) * count)


def test_steps_of_many_shapes_share_one_memory_and_equal_steps_alone(caplog):
    options = {"optimizer": "SGD", "weight_decay": 5e-4}
    shapes = [(count, 3, side, side) for count, side in sorted(set(SIDES), reverse=True)]
    with caplog.at_level(logging.INFO, "yolo"):
        step = TrainStep(network(), SETTINGS, **options, shapes=shapes)
    assert "5 shapes of batches, each compiled once, share the " in caplog.text and " GB of 2x3x96x96" in caplog.text
    taken = step._compiled._memory.bytes
    before = gradient_of(step)
    for number, (count, side) in enumerate(SIDES):
        batch = square(number, count, side)
        alone = TrainStep(network(), SETTINGS, **options)
        wanted = alone.backward(batch)
        step.state.values.copy_(flow.tensor(alone.state.vector.gather()))  # the statistics, which every step moves
        np.testing.assert_array_equal(step.backward(batch), wanted)
        gradient = gradient_of(step)
        np.testing.assert_allclose(gradient - before, gradient_of(alone), rtol=1e-3, atol=1e-4)
        before = gradient
    assert len(step._graphs) == 5 and step._compiled._memory.bytes == taken


def test_a_backward_pass_needs_the_forward_pass_of_its_own_shape():
    step = TrainStep(network(), SETTINGS, optimizer="SGD", weight_decay=0.0)
    one, two = (step._compiled._executor((1, 3, side, side)) for side in (64, 32))
    values = step.state.vector.gather()
    heads = one(random_images(0, (1, 3, 64, 64)), values)
    two(random_images(0, (1, 3, 32, 32)), values)
    with pytest.raises(RuntimeError, match="backward without a forward before it"):
        one.backward(heads, values, np.zeros(step.state.vector.parameter_size, np.float32))


def test_a_loss_that_counts_four_times():
    options = {"optimizer": "SGD", "weight_decay": 5e-4}
    once, four = (TrainStep(network(), SETTINGS, **options, loss_factor=factor) for factor in (1, 4))
    parts, larger = once.backward(batch(0)), four.backward(batch(0))
    np.testing.assert_allclose(larger, parts * [4, 1, 1, 1], rtol=1e-6)
    gradients = [gradient_of(step) for step in (once, four)]
    assert np.abs(gradients[0]).max() > 0
    np.testing.assert_allclose(gradients[1], 4 * gradients[0], rtol=1e-5, atol=1e-6)


def test_plain_steps_of_many_shapes_are_warned_of(caplog):
    shapes = [(2, 3, 96, 96), (2, 3, 64, 64)]
    with caplog.at_level(logging.WARNING, "yolo"):
        TrainStep(network(), SETTINGS, optimizer="SGD", weight_decay=0.0, compile="off", shapes=shapes)
    assert "2 shapes of batches up to 2x3x96x96: each keeps memory of its own" in caplog.text
