"""A training run's state: what it is at the start, how it is read, and that it comes back as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise
from graphs.train_state import TrainState
from graphs.update import OPTIMIZERS
from tests.models.small import small_mapping
from yolo.errors import WeightsError
from yolo.models.config import parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights.transfer import checkpoint_of

FROZEN = (0,)


def network() -> Network:
    return build_network(parse_model_config(small_mapping(nc=3), name="small"))


@pytest.fixture(params=[True, False], ids=["in a vector", "in the network"])
def state(request: pytest.FixtureRequest) -> TrainState:
    """Moved everywhere, but for the frozen layer's parameters."""
    state = TrainState(network(), "Adam", in_vector=request.param, frozen=FROZEN, max_labels=16)
    rng = np.random.default_rng(0)
    moved = [state.gradient, state.first, state.second, state.ema]
    moved += [slot.tensor for slot in state.vector.parameters + state.vector.statistics]
    for tensor in moved:
        tensor.data.copy_(flow.tensor(rng.normal(0, 1, tuple(tensor.shape)).astype(np.float32)))
    if state.values is not None:
        state.values.copy_(flow.tensor(state.vector.gather()))
    synchronise()
    return state


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("in_vector", [True, False])
def test_at_the_start(optimizer: str, in_vector: bool) -> None:
    state = TrainState(network(), optimizer, in_vector=in_vector, frozen=FROZEN)
    count, start = state.vector.parameter_size, state.vector.gather()
    np.testing.assert_array_equal(state.ema.numpy(), start)
    assert state.second.shape == ((1,) if optimizer == "SGD" else (count,))
    room = state.gradient.shape[0] - count
    assert room == (sum(slot.size for slot in state.vector.frozen) if in_vector else 0)
    for name in ("gradient", "first", "second"):
        assert not getattr(state, name).numpy().any()
    if in_vector:
        np.testing.assert_array_equal(state.values.numpy(), start)
    assert (state.values is not None) is in_vector


def test_a_snapshot_is_of_what_the_tensors_hold(state: TrainState) -> None:
    found, vector = state.snapshot(), state.vector
    held = {name: tensor.numpy() for name, tensor in state.network.state_dict().items()}
    frozen = {slot.name for slot in vector.frozen}
    averages = vector.split(state.ema.numpy())
    assert list(found.weights) == list(found.ema) == list(held) and frozen
    for name, array in held.items():
        np.testing.assert_array_equal(found.weights[name], array, err_msg=name)
        np.testing.assert_array_equal(found.training[f"weights/{name}"], array, err_msg=name)
        moves = name in averages and name not in frozen
        np.testing.assert_array_equal(found.ema[name], averages[name] if moves else array, err_msg=name)
    for name in ("gradient", "first", "second"):
        np.testing.assert_array_equal(found.training[name], getattr(state, name).numpy()[: vector.parameter_size])
    assert found.training["places"].tolist() == [16]
    averaged = state.averaged()
    assert list(averaged) == list(found.ema)
    assert all(averaged[name].tobytes() == array.tobytes() for name, array in found.ema.items())


def test_a_snapshot_reads_each_tensor_once(state: TrainState, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = [state.gradient, state.first, state.second, state.ema]
    expected = sum(tensor.numel() for tensor in vectors)
    expected += sum(tensor.numel() for tensor in state.network.state_dict().values())
    usual, read = flow.Tensor.numpy, []
    monkeypatch.setattr(flow.Tensor, "numpy", lambda tensor: read.append(tensor.numel()) or usual(tensor))
    state.snapshot()
    assert sum(read) == expected


def test_it_comes_back_to_the_bit(state: TrainState) -> None:
    saved = state.snapshot()
    checkpoint = checkpoint_of(state.network, ("a", "b", "c"), saved.ema, training=saved.training)
    other = TrainState(network(), "Adam", in_vector=state.values is not None, frozen=FROZEN, max_labels=8)
    other.load(checkpoint)
    again = other.snapshot()
    for field in dataclasses.fields(saved):
        ours, theirs = getattr(again, field.name), getattr(saved, field.name)
        assert list(ours) == list(theirs)
        for name, array in theirs.items():
            assert ours[name].tobytes() == array.tobytes(), name
    assert other.max_labels == 16


def test_the_state_of_another_optimizer_is_refused(state: TrainState) -> None:
    saved, count = state.snapshot(), state.vector.parameter_size
    checkpoint = checkpoint_of(state.network, ("a", "b", "c"), saved.ema, training=saved.training)
    with pytest.raises(WeightsError, match=f"^second of {count} numbers, where training needs 1"):
        TrainState(network(), "SGD", in_vector=True, frozen=FROZEN).load(checkpoint)


def test_only_the_gradient_is_dropped(state: TrainState) -> None:
    before = state.snapshot()
    state.drop_gradient()
    after = state.snapshot()
    assert before.training["gradient"].any() and not after.training["gradient"].any()
    for name, array in before.training.items():
        if name != "gradient":
            np.testing.assert_array_equal(after.training[name], array, err_msg=name)
