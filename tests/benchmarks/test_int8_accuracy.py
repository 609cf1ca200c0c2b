"""The accuracy of a contender's heads, on labels that are the network's own detections."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import oneflow as flow
import pytest

from benchmarks.driver import Contender
from benchmarks.inference import Inputs
from benchmarks.int8_accuracy import COLUMNS, Accuracy, Chunk, accuracy, as_rows
from benchmarks.peers.network import read_graph
from benchmarks.table import as_text
from tests.models.small import small_mapping
from yolo import ops
from yolo.data.letterbox import fit
from yolo.engine.validator import validation_settings
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import detection_head
from yolo.program.passes import optimise

SIDE = 64


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    network = build_network(parse_model_config(small_mapping(), name="small.yaml"))
    with flow.no_grad():
        for name, parameter in network.named_parameters():
            if ".m." in name and name.endswith("bias"):
                parameter += 3  # else it finds nothing
    names = tuple(f"class {number}" for number in range(network.spec.nc))
    return save_checkpoint(tmp_path / "x.safetensors", checkpoint_of(network, names))


@pytest.fixture
def chunk(weights: Path, tmp_path: Path) -> Chunk:
    """One image, and of each class that is found on it the best box."""
    images = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)
    np.savez(tmp_path / "chunk.npz", images=images)
    read = read_graph(weights)
    heads = CompiledNetwork(optimise(read.graph, "fp32"), precision="fp32", threads=1).program(images.shape)(images)
    anchors = read.anchors * np.asarray(read.spec.strides, np.float32).reshape(-1, 1, 1)
    head = detection_head([level.shape for level in heads], anchors, read.spec.strides, validation_settings())
    rows, counts = head(list(heads))
    found = rows[0][: counts[0]]
    assert len(found), "the network finds nothing: no test"
    first = [found[found[:, 5] == number][0] for number in np.unique(found[:, 5])]
    box = fit((SIDE, SIDE), SIDE)
    labels = np.array([[row[5], *ops.scale_boxes(row[:4], box)] for row in first], np.float32)
    return Chunk(tmp_path / "chunk.npz", [box], [labels])


def contender(weights: Path, chunk: Chunk, **changes) -> Contender:
    options = {"weights": str(weights), "images": str(chunk.path), "threads": 1}
    options |= {"precision": "fp32", "calibration": ""}
    made = Contender("a", "fp32", True, sys.executable, "benchmarks.workers.program_inference", options)
    return dataclasses.replace(made, **changes)


def test_own_detections_are_all_found(weights: Path, chunk: Chunk) -> None:
    given = Inputs(weights, weights, chunk.path, chunk.path)
    found = accuracy(contender(weights, chunk), given, [chunk])
    assert found.failure is None
    assert found.metrics.map50_95 == pytest.approx(0.995, abs=0.001)  # interpolated, as YOLOv5 has it
    shifted = dataclasses.replace(chunk, labels=[chunk.labels[0] + np.array([0, 1000, 1000, 1000, 1000], np.float32)])
    assert accuracy(contender(weights, chunk), given, [shifted]).metrics.map50_95 == 0


def test_who_fails_or_is_absent_is_named_and_loses_nothing(weights: Path, chunk: Chunk) -> None:
    given = Inputs(weights, weights, chunk.path, chunk.path)
    found = [
        accuracy(contender(weights, chunk), given, [chunk]),
        accuracy(contender(weights, chunk, options={}), given, [chunk]),
        accuracy(contender(weights, chunk, python="/no/python"), given, [chunk]),
    ]
    rows = as_rows("small", found)
    assert rows[0]["lost"] == 0 and [row["lost"] for row in rows[1:]] == [None, None]
    lines = as_text("Title", rows, COLUMNS).splitlines()
    assert "missing" in lines[3] and "make bench-peers" in lines[4]


def test_what_is_lost_is_the_first_ones_less_its_own(weights: Path, chunk: Chunk) -> None:
    given = Inputs(weights, weights, chunk.path, chunk.path)
    best = accuracy(contender(weights, chunk), given, [chunk])
    half = dataclasses.replace(best.metrics, map50_95=best.metrics.map50_95 / 2)
    rows = as_rows("small", [best, Accuracy(best.contender, half)])
    assert rows[1]["lost"] == pytest.approx(best.metrics.map50_95 / 2, abs=1e-4)
