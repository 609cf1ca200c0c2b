"""What a state must hold to be compiled, known without a plain network: the same as that one says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.networks import ROWS, network_of, state_of, two_levels, zoo_network
from yolo.errors import WeightsError
from yolo.models.fuse import fold_batchnorm
from yolo.program.lower import lower
from yolo.program.state import checked_state, state_shapes


@pytest.mark.parametrize("name", [*ROWS, "yolov5n", "hub/yolov5-p6", "hub/yolov3-tiny"])
def test_names_and_shapes_are_those_of_the_plain_network(name: str) -> None:
    network = network_of(name) if name in ROWS else zoo_network(name)
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert state_shapes(network.spec, lower(network.spec, {})) == own


@pytest.mark.parametrize("name", ["csp", "ghost", "transformer", "transposed"])
def test_fused_weights(name: str) -> None:
    network = network_of(name)
    state = fold_batchnorm(state_of(network))
    found = checked_state(network.spec, state)
    assert found.keys() == state.keys()
    name = next(name for name in state if name.endswith(".conv.bias"))
    with pytest.raises(WeightsError, match=r"tensors unknown \(model.*\.bn\."):  # a bias and a batch norm as well
        checked_state(network.spec, {**state_of(network), name: state[name]})


def test_the_counters_of_batch_norms_may_be_absent() -> None:
    network = two_levels()
    state = {name: values for name, values in state_of(network).items() if not name.endswith("num_batches_tracked")}
    assert all(values.dtype == np.float32 for values in checked_state(network.spec, state).values())


@pytest.mark.parametrize("change", ["missing", "unknown", "of another shape"])
def test_another_networks_state_is_refused(change: str) -> None:
    network = two_levels()
    state, name = state_of(network), "model.0.conv.weight"
    if change == "missing":
        del state[name]
    elif change == "unknown":
        name = "model.99.weight"
        state[name] = np.zeros(1, np.float32)
    else:
        state[name] = np.zeros((1, 2, 3, 3), np.float32)
    with pytest.raises(WeightsError, match=rf"1 tensors {change} \({name}\): the weights are another network's"):
        checked_state(network.spec, state)
