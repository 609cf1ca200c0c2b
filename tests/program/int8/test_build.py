"""Whole networks in int8: what is quantised, what it costs, and that nothing is left to chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.int8.networks import Maker
from tests.program.networks import (
    ROWS,
    narrow_zoo_network,
    network_of,
    random_images,
    state_of,
    stirred,
    two_levels,
    zoo_network,
)
from tests.program.test_inference import BIG, ZOO
from yolo.program.compiled import CompiledNetwork
from yolo.program.graph_json import graph_from_json, graph_to_json
from yolo.program.int8.build import Cost, quantise
from yolo.program.int8.observe import observe
from yolo.program.int8.place import candidates, with_int8
from yolo.program.int8.rules import MOVEMENTS, check_scales
from yolo.program.int8.search import choose, heads_of, movement
from yolo.program.ir import INPUT, Graph
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.scales import Scale


def graph_of(network) -> Graph:
    return optimise(lower(network.spec, state_of(network)), "int8")


def soft_images(count: int, size: tuple[int, int] = (64, 64), seed: int = 0) -> list[np.ndarray]:
    """Images with areas, as photographs have: noise alone leaves a network's deep values nearly equal."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 3, size[0] // 8, size[1] // 8)).repeat(8, 2).repeat(8, 3)
    return list(np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8))


def everything(graph: Graph, images: list[np.ndarray]) -> Graph:
    """All convolutions that can be, in int8."""
    return with_int8(graph, {node.output for node in candidates(graph)}, observe(graph, images).scale)


def runs_near(graph: Graph, images: list[np.ndarray], limit: float) -> Graph:
    """Quantise all, check the rules, run; the heads stay near fp32's."""
    found = everything(graph, images)
    check_scales(found)
    steps = CompiledNetwork(found, precision="int8").program((1, *images[0].shape)).steps
    assert not any("ref" in step.implementation for step in steps)
    moved = movement(heads_of(found, images), heads_of(graph, images))
    assert 0 < moved < limit
    again = graph_from_json(graph_to_json(found), found.tensors)
    assert (again.nodes, again.scales, again.outputs) == (found.nodes, found.scales, found.outputs)
    return found


@pytest.mark.parametrize("name", ROWS)
def test_every_layer(name: str) -> None:
    graph = runs_near(graph_of(network_of(name)), soft_images(3), 0.1)
    assert graph.scales


@pytest.mark.parametrize("name", ZOO)
def test_small_models_of_the_zoo(name: str) -> None:
    runs_near(graph_of(zoo_network(name)), soft_images(2, (64, 64)), 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_big_models_of_the_zoo(name: str) -> None:
    runs_near(graph_of(stirred(narrow_zoo_network(name, 0.25), 0)), soft_images(1, (128, 128)), 0.3)


def test_yolov5_is_bytes_from_pixels_to_heads() -> None:
    graph = everything(graph_of(zoo_network("yolov5n")), soft_images(1))
    assert not [node for node in graph.nodes if node.kind in ("quantise", "dequantise")]
    made = {node.output for node in graph.nodes} | {INPUT}
    assert graph.scales.keys() == made - set(graph.outputs)


def test_conversions_stand_only_where_forms_meet() -> None:
    maker = Maker()
    a = maker.conv(INPUT, out=16)
    b = maker.conv(a, out=16)
    c = maker.conv(b, a, out=16)
    d = maker.conv(b, out=16)
    head = maker.conv(maker.conv(d, c, out=16), out=8, k=1)
    graph = maker.graph(head)
    found = with_int8(graph, {a, c, d}, lambda values: Scale(0.03, 10))
    kinds = [(node.kind, node.inputs[0]) for node in found.nodes if node.kind != "conv"]
    # b reads a; c and d read b, which gets bytes once; the last two read c and d.
    assert kinds == [("dequantise", a), ("quantise", b), ("dequantise", d), ("dequantise", c)]
    check_scales(found)


def test_the_search_keeps_what_moves_the_heads_most_within_its_share() -> None:
    graph, images = graph_of(two_levels()), soft_images(6)
    ranges = observe(graph, images).scale
    able = {node.output for node in candidates(graph)}
    (stem,) = (node for node in candidates(graph) if INPUT in node.inputs)  # its pixels are bytes as they are
    nothing, some = (choose(graph, ranges, images[:2], share=share) for share in (0.0, 0.3))
    assert nothing.chosen == able - {stem.output} and nothing.kept == (stem,)
    assert len(some.kept) > 1 and some.chosen == able - {node.output for node in some.kept}
    expected = heads_of(graph, images[2:])
    moved = [movement(heads_of(with_int8(graph, c.chosen, ranges), images[2:]), expected) for c in (nothing, some)]
    assert moved[1] < moved[0]


def test_the_same_images_give_the_same_graph_and_the_cost_is_said() -> None:
    graph, images = graph_of(two_levels()), soft_images(9)
    (first, cost), (second, _) = quantise(graph, images), quantise(graph, images)
    assert first.nodes == second.nodes and first.scales == second.scales
    assert 0 < cost.movement < 0.2 and cost.images == 9 and cost.int8 + len(cost.kept) == cost.convolutions
    assert "the outputs change by " in str(cost)
    assert str(Cost(0.012, ("model.0",), 3, 4, 8)).endswith(
        "3 of 4 convolutions; for accuracy these stay in float: model.0; the outputs change by 1.2 % of their norm"
    )


def test_what_cannot_be_quantised() -> None:
    graph, images = graph_of(two_levels()), soft_images(2)
    with pytest.raises(ValueError, match="needs calibration images"):
        quantise(graph, [])
    broken = {name: np.full_like(values, np.nan) for name, values in graph.tensors.items()}
    with pytest.raises(ValueError, match="not finite on these images"):
        quantise(dataclasses.replace(graph, tensors=broken), images)
    maker = Maker()
    transposed = maker.graph(maker.conv(INPUT, out=3, k=3))
    nodes = (dataclasses.replace(transposed.nodes[0], transposed=True),)
    with pytest.raises(ValueError, match="no convolution of this network"):
        quantise(dataclasses.replace(transposed, nodes=nodes), images)


def test_programs_run_in_the_precision_of_their_graph() -> None:
    network, images = two_levels(), soft_images(1)
    graph = graph_of(network)
    with pytest.raises(ValueError, match="without int8 values does not run in int8"):
        CompiledNetwork(graph, precision="int8")
    found = everything(graph, images)
    with pytest.raises(ValueError, match="with int8 values does not run in fp32"):
        CompiledNetwork(found)
    with pytest.raises(ValueError, match="are not replaced"):
        CompiledNetwork(found, precision="int8").update(network.spec, state_of(network))


def test_one_image_is_enough_to_run() -> None:
    graph, _ = quantise(graph_of(network_of("csp")), soft_images(1))
    assert graph.scales


def test_repeated_runs_are_bit_equal_and_threads_do_not_matter() -> None:
    graph, images = everything(graph_of(two_levels()), soft_images(2)), random_images((2, 3, 64, 64))
    first = CompiledNetwork(graph, precision="int8", threads=1).program(images.shape)(images)
    two = CompiledNetwork(graph, precision="int8", threads=2).program(images.shape)
    for _ in range(10):
        for ours, theirs in zip(two(images), first):
            np.testing.assert_array_equal(ours, theirs)


def test_scales_that_do_not_fit_are_refused() -> None:
    graph = everything(graph_of(network_of("sppf")), soft_images(1))
    moved = next(node for node in graph.nodes if node.kind in MOVEMENTS)
    head = graph.outputs[0]
    bad = [
        {**graph.scales, moved.output: Scale(0.5, 3)},
        {value: scale for value, scale in graph.scales.items() if value != moved.output},
        {**graph.scales, head: Scale(0.5, 3)},
        {**graph.scales, moved.output: Scale(float("nan"), 3)},
        {**graph.scales, moved.output: Scale(0.0, 3)},
        {**graph.scales, moved.output: Scale(0.5, 256)},
        {**graph.scales, moved.output: Scale(1, 3)},
        {INPUT: graph.scales[INPUT]},
    ]
    for scales in bad:
        with pytest.raises(ValueError):
            check_scales(dataclasses.replace(graph, scales=scales))
        with pytest.raises(ValueError):
            graph_from_json(graph_to_json(dataclasses.replace(graph, scales=scales)), graph.tensors)
    check_scales(graph)
