"""The training graph's losses and gradients are those of the same network run eagerly, and add up over calls."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise, to_unit_range
from graphs.parameters import ParameterVector
from graphs.train import TrainGraph
from graphs.train_state import TrainState
from tests.graphs.tiny import TinyNetwork, label_rows, random_images
from tests.ops.loss_cases import PLAIN as SETTINGS
from yolo.data.batch import pad_labels
from yolo.loss.reference import combine_terms, loss_terms

PLACES = 8
WIDE, TALL = (2, 3, 32, 40), (1, 3, 40, 32)


def batch_of(seed, shape, counts):
    labels, numbers = pad_labels(label_rows(seed, counts), PLACES)
    return [flow.tensor(array) for array in (random_images(seed, shape), labels, numbers)]


BATCHES = {
    "first": (1, WIDE, (5, 2)),
    "second": (2, WIDE, (0, 8)),
    "no labels": (3, WIDE, (0, 0)),
    "another shape": (4, TALL, (4,)),
}


class Trained:
    """One network, its vector and gradient, and a training graph for each of two shapes."""

    def __init__(self):
        self.network = TinyNetwork().train()
        state = TrainState(self.network, "SGD", in_vector=False)
        self.vector, self.gradient = state.vector, state.gradient
        self.graphs = {shape: TrainGraph(state, SETTINGS) for shape in (WIDE, TALL)}

    def run(self, *names):
        """The losses of each batch and the gradient that all of them leave."""
        self.gradient.copy_(flow.zeros(self.vector.parameter_size))
        synchronise()  # a graph does not wait for what is written into the tensors it has captured
        losses = [self.graphs[BATCHES[name][1]](*batch_of(*BATCHES[name])).numpy() for name in names]
        synchronise()
        return np.stack(losses), self.gradient.numpy().copy()


@pytest.fixture(scope="module")
def trained():
    return Trained()


@pytest.fixture(scope="module")
def eager():
    """(loss, box, obj, cls) and the gradient of each batch by eager autograd."""
    network = TinyNetwork().train()
    vector = ParameterVector(network)
    results = {}
    for name, batch in BATCHES.items():
        images, labels, counts = batch_of(*batch)
        heads = network(to_unit_range(images))
        terms = loss_terms(heads, labels, counts, network.anchors, network.strides, SETTINGS)
        parts = combine_terms(terms, SETTINGS)
        loss = sum(parts) * len(images)
        loss.backward()
        gradient = np.concatenate([slot.tensor.grad.numpy().reshape(-1) for slot in vector.parameters])
        results[name] = np.array([float(number.numpy()) for number in (loss, *parts)]), gradient
        network.zero_grad()
    return results


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("name", BATCHES)
def test_losses_and_gradient(trained, eager, name):
    losses, gradient = trained.run(name)
    np.testing.assert_allclose(losses[0], eager[name][0], rtol=1e-5)
    close(gradient, eager[name][1])
    assert np.abs(gradient).max() > 0.1


def test_the_loss_is_the_parts_times_the_images(trained):
    losses, _ = trained.run("first", "another shape")
    np.testing.assert_allclose(losses[:, 0], losses[:, 1:].sum(1) * [2, 1], rtol=1e-6)


def test_no_labels_give_no_box_and_class_loss(trained):
    losses, _ = trained.run("no labels")
    assert losses[0, 1] == losses[0, 3] == 0 < losses[0, 2]


def test_gradients_add_up_over_calls_and_shapes(trained, eager):
    names = ["first", "second", "another shape", "first"]
    losses, gradient = trained.run(*names)
    close(gradient, sum(eager[name][1] for name in names))
    np.testing.assert_array_equal(losses[0], losses[3])


def test_a_graph_compiles_once(trained):
    trained.run("first", "another shape")
    seconds = [graph.compile_seconds for graph in trained.graphs.values()]
    assert min(seconds) > 0
    trained.run("first", "another shape")
    assert [graph.compile_seconds for graph in trained.graphs.values()] == seconds


def test_both_shapes_see_weights_changed_in_place(trained, eager):
    before = {slot.name: slot.tensor.numpy().copy() for slot in trained.vector.parameters}
    try:
        with flow.no_grad():
            for slot in trained.vector.parameters:
                slot.tensor.copy_(flow.zeros(*slot.tensor.shape))
        losses, gradient = trained.run("no labels", "another shape")
        # All logits are 0 then: ln 2 in every cell, and the balance of two levels is 5.
        assert losses[0, 2] == pytest.approx(5 * np.log(2), rel=1e-5)
        assert losses[1, 2] == pytest.approx(5 * np.log(2), rel=1e-5)
        shapes = {slot.name: gradient[slot.start : slot.stop] for slot in trained.vector.parameters}
        assert not shapes["first.weight"].any()
        assert shapes["heads.0.bias"].any()
    finally:
        for slot in trained.vector.parameters:
            slot.tensor.copy_(flow.tensor(before[slot.name]))
    close(trained.run("first")[1], eager["first"][1])


def test_statistics_move_as_they_do_eagerly(trained):
    networks = [trained.network, TinyNetwork().train()]
    for network in networks:
        network.norm.running_mean.copy_(flow.zeros(4))
        network.norm.running_var.copy_(flow.ones(4))
    trained.run("first", "another shape")
    for name in ("first", "another shape"):
        networks[1](to_unit_range(batch_of(*BATCHES[name])[0]))
    for statistic in ("running_mean", "running_var"):
        ours, theirs = (getattr(network.norm, statistic).numpy() for network in networks)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert np.abs(theirs - (statistic == "running_var")).min() > 1e-4


def test_gradients_of_the_parameters_are_not_left_behind(trained):
    trained.run("first")
    assert all(slot.tensor.grad is None for slot in trained.vector.parameters)
