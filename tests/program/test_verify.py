"""What a compiled file and an executor refuse before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.program.mutants.bases import IMGSZ, bases
from tests.program.mutants.edits import Header
from yolo import detect, native
from yolo.errors import WeightsError
from yolo.inference.models import CompiledModel, program_model
from yolo.program import compiled
from yolo.program.backends import cpu
from yolo.program.builder import GraphBuilder
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.file import load_program, save_program
from yolo.program.ir import INPUT, Concat, Conv, Graph, Split, Upsample
from yolo.program.verify import MOST_NODES, MOST_VALUES

Edit = Callable[[Header], Any]
SETTINGS = NmsSettings(max_det=10)


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("verify") / "a.program"
    return {name: save_program(path, program).read_bytes() for name, program in bases().items()}


def changed(whole: bytes, edit: Edit) -> bytes:
    header = Header(whole)
    edit(header)
    return header.sealed(np.random.default_rng(0), spoil_tensors=False)


def nodes(header: Header, kind: str) -> list[dict[str, Any]]:
    return [row for row in header.content["graph"]["nodes"] if row["kind"] == kind]


def put(kind: str, number: int = 0, **fields: Any) -> Edit:
    return lambda header: nodes(header, kind)[number].update(fields)


def meta(**fields: Any) -> Edit:
    return lambda header: header.content.update(fields)


def graph(**fields: Any) -> Edit:
    return lambda header: header.content["graph"].update(fields)


def read_images(kind: str, number: int = 0) -> Edit:
    def edit(header: Header) -> None:
        row = nodes(header, kind)[number]
        row["inputs"] = [INPUT] * len(row["inputs"])

    return edit


def weight(value: float) -> Edit:
    def edit(header: Header) -> None:
        next(iter(header.tensors.values())).reshape(-1)[0] = value

    return edit


def share_weights(header: Header) -> None:
    for row in nodes(header, "conv")[2:4]:
        row["weights"] = "shared"
    header.tensors |= {"shared.weight": np.zeros((4, 8, 1, 1), np.float32), "shared.bias": np.zeros(4, np.float32)}


def two_scales(header: Header) -> None:
    rows = header.content["graph"]["scales"]
    rows.append(rows[0])


def scale(position: int, value: object) -> Edit:
    return lambda header: header.content["graph"]["scales"][2].__setitem__(position, value)


REFUSED: dict[str, tuple[str, Edit, str]] = {
    "no heads": ("attention", put("attention", heads=0), r"\(attention\): heads 0 is out of range"),
    "heads": ("attention", put("attention", heads=3), "16 channels do not divide into 3 heads"),
    "two of q, k, v": ("attention", put("attention", inputs=[10, 10]), "has 2 inputs"),
    "q, k, v": ("attention", put("attention", inputs=[58, 10, 10]), "different channels"),
    "gain": ("moves", put("depth_to_space", gain=3), r"\(depth_to_space\): 64 channels do not divide into 9 cells"),
    "no gain": ("moves", put("space_to_depth", gain=0), "gain 0 is out of range"),
    "split behind": ("attention", put("split", start=16, count=32), r"takes channels 16 to 48 of 32"),
    "split before": ("attention", put("split", start=-16), "start -16 is out of range"),
    "split of images": ("attention", read_images("split"), r"takes channels 0 to 16 of 3"),
    "sides": ("moves", put("pad", sides=[0, 1, 0]), "is no tuple"),
    "wide pad": ("moves", put("pad", sides=[0, 2**30, 0, 1]), "sides 1073741824 is out of range"),
    "up by nothing": ("levels", put("upsample", scale=0), "scale 0 is out of range"),
    "pool padding": ("levels", put("pool", padding=4), "padding 4 is more than half of its kernel 5"),
    "negative padding": ("levels", put("pool", padding=-1), "padding -1 is out of range"),
    "stride": ("levels", put("conv", stride=[0, 2]), "stride 0 is out of range"),
    "groups": ("levels", put("conv", groups=2), "channels 3 and 8 do not divide into 2 groups"),
    "output_padding": ("moves", put("conv", 0, output_padding=1), "output_padding 1 is out of range"),
    "channels": ("levels", put("conv", out_channels=9), "is not there or has another shape"),
    "a billion channels": ("levels", put("conv", out_channels=10**9), "out_channels 1000000000 is out of range"),
    "residual": ("levels", lambda h: nodes(h, "conv")[0].update(inputs=[0, 0]), "adds what it cannot add"),
    "sum": ("moves", put("add", inputs=[1, INPUT]), "different channels"),
    "three inputs": ("levels", lambda h: nodes(h, "conv")[3].update(inputs=[3, 3, 3]), "has 3 inputs"),
    "no inputs": ("levels", put("concat", inputs=[]), "has 0 inputs"),
    "later": ("levels", lambda h: nodes(h, "conv")[0].update(inputs=[9]), "reads values that are not there"),
    "twice": ("levels", lambda h: h.content["graph"]["nodes"].insert(1, nodes(h, "conv")[0]), "makes no new value"),
    "a far value": ("levels", put("conv", output=MOST_VALUES), "makes no new value"),
    "activation": ("levels", put("conv", activation="nn.ELU(1e50)"), "number of its activation"),
    "no activation": ("moves", put("activate", activation="nn.Identity()"), "has no activation"),
    "output": ("levels", graph(outputs=[INPUT, 1]), "output 0 is not made by a convolution for itself"),
    "one output twice": ("levels", graph(outputs=[25, 25]), "one of them twice"),
    "where": ("levels", put("conv", where="a\x1b[2J"), "is no name of a place"),
    "shared tensors": ("levels", share_weights, "another node's"),
    "NaN": ("levels", weight(np.nan), "numbers that are not finite"),
    "inf": ("levels", weight(-np.inf), "numbers that are not finite"),
    "too many nodes": ("levels", lambda h: graph(nodes=nodes(h, "conv")[:1] * (MOST_NODES + 1))(h), "at most 4096"),
    "int8 without scales": ("levels-int8", graph(scales=[]), "its scales do not fit its precision"),
    "fp32 with scales": ("levels-int8", meta(precision="fp32"), "its scales do not fit its precision"),
    "whole pixels": ("levels-int8", graph(whole_pixels=True), "int8 takes no whole pixels"),
    "one scale less": ("levels-int8", lambda h: h.content["graph"]["scales"].pop(3), "scales of its values do not fit"),
    "two scales": ("levels-int8", two_scales, "a value has two scales"),
    "scale": ("levels-int8", scale(1, 0.0), "no scale that bytes can have"),
    "zero": ("levels-int8", scale(2, 256), "no scale that bytes can have"),
    "names": ("levels", meta(names="ab"), "its class names are not valid"),
    "more names": ("levels", meta(names=["a", "b", "c"]), "its outputs do not fit its names"),
    "NaN anchor": ("levels", meta(anchors=[[[5, 6], [8, float("nan")]], [[15, 11], [30, 40]]]), "an anchor has a w"),
    "negative anchor": ("levels", meta(anchors=[[[5, 6], [8, -14]], [[15, 11], [30, 40]]]), "an anchor has a w"),
    "huge anchor": ("levels", meta(anchors=[[[5, 6], [8, 10**400]], [[15, 11], [30, 40]]]), "an anchor has a w"),
    "text anchor": ("levels", meta(anchors=[[[5, 6], [8, "1"]], [[15, 11], [30, 40]]]), "an anchor has a w"),
    "ragged anchors": ("levels", meta(anchors=[[[5, 6]], [[15, 11], [30, 40]]]), "its anchors are not a list"),
    "fewer anchors": ("levels", meta(anchors=[[[5, 6]], [[15, 11]]]), "do not fit its names and anchors"),
    "strides": ("levels", meta(strides=[4, 16]), "its image size 32 .*|not a stride of 16"),
    "swapped strides": ("levels", meta(strides=[8, 4]), "cells of images of 32, not a stride of 8"),
    "size": ("levels", meta(imgsz=33), "its image size 33 is not a multiple of its stride 8"),
    "negative size": ("levels", meta(imgsz=-32), "its image size are not valid"),
    "huge size": ("levels", meta(imgsz=2**40), "its image size are not valid"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_in_one_line_that_names_it(tmp_path: Path, wholes: dict[str, bytes], name: str) -> None:
    base, edit, message = REFUSED[name]
    path = tmp_path / "b.program"
    path.write_bytes(changed(wholes[base], edit))
    with pytest.raises(WeightsError, match=message) as caught:
        load_program(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: is not a compiled detector: ") and line.isprintable()


def test_the_files_before_their_change_are_taken_and_have_every_kind_of_node(wholes, tmp_path: Path) -> None:
    from yolo.program.graph_json import KINDS

    kinds = set()
    for name, whole in wholes.items():
        path = tmp_path / f"{name}.program"
        path.write_bytes(changed(whole, lambda header: None))
        kinds |= {node.kind for node in load_program(path).graph.nodes}
    assert kinds == set(KINDS)


def test_large_weights_are_finite(tmp_path: Path, wholes) -> None:
    path = tmp_path / "b.program"
    path.write_bytes(changed(wholes["levels"], lambda h: next(iter(h.tensors.values())).fill(np.float32(3e38))))
    load_program(path)


def test_the_command_says_it_in_one_line(tmp_path: Path, wholes, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "b.program"
    path.write_bytes(changed(wholes["attention"], put("attention", heads=0)))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    code = detect.main(["--weights", str(path), "--source", str(tmp_path / "a.png"), "--project", str(tmp_path)])
    line = capsys.readouterr().err.strip()
    assert code == 2 and "(attention): heads 0 is out of range" in line and "\n" not in line and str(path) in line


def test_a_long_description_is_not_read(tmp_path: Path, wholes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.program.file.MOST_DESCRIPTION", 1000)
    path = tmp_path / "b.program"
    path.write_bytes(wholes["levels"])
    with pytest.raises(WeightsError, match="is longer than any network's"):
        load_program(path)


def model_of(path: Path, whole: bytes) -> CompiledModel:
    path.write_bytes(whole)
    return program_model(path, load_program(path))


@pytest.mark.parametrize("shape", [(1, 3, 36, 32), (1, 3, 2, 2), (1, 4, 32, 32)])
def test_images_that_do_not_fit_are_refused_as_the_file_s_fault(tmp_path: Path, wholes, shape) -> None:
    """Of no multiple of the stride, of nearly nothing, of other channels; as one model and as one of several."""
    path, images = tmp_path / "b.program", np.zeros(shape, np.uint8)
    model = model_of(path, wholes["levels"])
    for call in (model.runner(SETTINGS).detect, model.heads()):
        with pytest.raises(WeightsError, match=r"b\.program: does not run here: .*(joins|nothing is left|channels)"):
            call(images)


def test_memory_is_counted_before_it_is_taken(tmp_path: Path, wholes, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = model_of(tmp_path / "b.program", wholes["levels"]).runner(SETTINGS)
    monkeypatch.setattr(cpu, "free_memory", lambda: 10**9)
    with pytest.raises(WeightsError, match=r"images of 16384x16384 need \d+\.\d GB of memory, 1\.0 GB are free"):
        runner.detect(np.broadcast_to(np.uint8(0), (1, 3, 1 << 14, 1 << 14)))


def test_work_is_counted_before_it_is_done(tmp_path: Path, wholes, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = model_of(tmp_path / "b.program", wholes["levels"]).runner(SETTINGS)
    monkeypatch.setattr(compiled, "MOST_WORK", 3e4)
    with pytest.raises(WeightsError, match=r"model\.0\.conv: with the steps before it has more work than any detector"):
        runner.detect(np.zeros((1, 3, IMGSZ, IMGSZ), np.uint8))


def conv_graph(*tails: Callable[[GraphBuilder, list[int]], int]) -> Graph:
    """Convolutions of images, then what ``tails`` make of them, with a convolution of each as an output."""
    builder, rng, tensors = GraphBuilder(3), np.random.default_rng(0), {}

    def conv(value: int, name: str) -> int:
        tensors[f"{name}.weight"] = rng.normal(size=(16, builder.channels(value), 1, 1)).astype(np.float32)
        return builder.add(Conv, value, where=name, weights=name, out_channels=16, kernel=(1, 1))

    made = [conv(INPUT, f"first{number}") for number in range(4)]
    joined = [tail(builder, made) for tail in tails]
    return builder.build(tuple(conv(value, f"last{number}") for number, value in enumerate(joined)), tensors)


def run(graph: Graph) -> list[np.ndarray]:
    images = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 8), np.uint8)
    return CompiledNetwork(graph).program(images.shape)(images)


def test_what_is_copied_into_one_concatenation_leaves_another_as_it_is() -> None:
    """Of [a, b, c] and [b, d], b lies in the first; d would be copied to behind b, which is where c lies."""
    first = lambda builder, made: builder.add(Concat, *made[:3], where="first")  # noqa: E731
    second = lambda builder, made: builder.add(Concat, made[1], made[3], where="second")  # noqa: E731
    np.testing.assert_array_equal(run(conv_graph(first, second))[0], run(conv_graph(first))[0])


def test_no_map_is_larger_than_kernels_can_count() -> None:
    builder = GraphBuilder(3)
    value = INPUT
    for number in range(1000):
        value = builder.add(Upsample, value, where=f"up{number}", scale=1 << 10)
    with pytest.raises(ValueError, match=r"up2: a map of .* is larger than any"):
        builder.build((value,), {}).sizes(1, 1)


def test_channels_of_the_images_are_split_off_them() -> None:
    block = native.channel_block()
    builder = GraphBuilder(2 * block)
    value = builder.add(Split, INPUT, where="split", start=block, count=block)
    weights = {"w.weight": np.eye(block, dtype=np.float32)[:, :, None, None]}
    out = builder.add(Conv, value, where="w", weights="w", out_channels=block, kernel=(1, 1))
    graph = builder.build((out,), weights)
    images = np.random.default_rng(0).integers(0, 256, (1, 2 * block, 4, 4), np.uint8)
    (found,) = CompiledNetwork(graph).program(images.shape)(images)
    np.testing.assert_allclose(found, images[:, block:] / np.float32(255), rtol=1e-6)
