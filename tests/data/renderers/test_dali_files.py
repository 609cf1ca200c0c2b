"""Which samples DALI is given, what happens with files that it cannot decode, and what it needs."""

import dataclasses
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from nvidia.dali import backend
from PIL import Image

from tests.data.renderers.photographs import drawn
from tests.data.samples import LOW, hyperparameters
from yolo.data.images import write_image
from yolo.data.loader import train_loader
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.renderers import dali, dali_pipeline
from yolo.data.renderers.base import RendererChain
from yolo.data.renderers.dali import DaliRenderer
from yolo.data.renderers.opencv import OpenCVRenderer
from yolo.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
NONE = np.zeros((0, 5), np.float32)
SIZE = (96, 128)
FRAME, HUFFMAN = 0xC0, 0xC4  # markers of a JPEG


def picture():
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def sample(index=0, resized=SIZE, augmented=True, **changes):
    view = View(resized, (Tile(index, resized, (0, 0)),), resized, **changes)
    return SamplePlan(index, resized, (view,), NONE, augmented=augmented)


@pytest.fixture
def opened():
    """Opens renderers, which are closed at the end."""
    renderers = []

    def open_one(*paths, of=DaliRenderer):
        renderers.append(of(paths, 2))
        return renderers[-1]

    yield open_one
    for renderer in renderers:
        renderer.close()


def with_chain(*paths):
    return RendererChain((DaliRenderer, OpenCVRenderer), paths, 2, None)


def test_what_dali_makes(tmp_path, opened):
    renderer = opened(write_image(tmp_path / "0.jpg", picture()))
    matrix = np.array([[0.8, 0.1, 3], [-0.1, 0.9, 4], [0, 0, 1]])
    tilted, flat = matrix + [[0] * 3, [0] * 3, [1e-4, 0, 0]], matrix * [[0], [1], [1]]
    polygon = np.array([[2, 3], [8, 3], [8, 9]], np.int32)
    assert renderer.supports(sample()) and renderer.supports(sample(matrix=matrix))
    assert not renderer.supports(sample(matrix=tilted)) and not renderer.supports(sample(matrix=flat))
    assert not renderer.supports(sample(pastes=(polygon,)))
    extra = SamplePlan(0, SIZE, sample().views, NONE, extras=(("Blur", 3.0),), augmented=True)
    odd = dataclasses.replace(sample(), hsv=(1.0, -0.1, 1.0))
    assert not renderer.supports(extra) and not renderer.supports(odd)
    assert renderer.supports(sample(resized=(50, 60))) and not renderer.supports(
        sample(resized=(50, 60), augmented=False)
    )
    assert renderer.supports(sample(augmented=False)) and renderer.supports(sample(resized=(200, 200), augmented=False))


def segment(content, marker):
    """The place of the first segment of a JPEG with ``marker``."""
    place = 2
    while content[place + 1] != marker:
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return place


def saved(path, mode="RGB", orientation=1, **options):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture()).convert(mode).save(path, exif=exif, **options)
    return path


def test_which_files_dali_reads(tmp_path, opened):
    """Those that it decodes to OpenCV's pixels, whatever the file's name says."""
    content = saved(tmp_path / "plain.jpg").read_bytes()
    read = [
        tmp_path / "plain.jpg",
        saved(tmp_path / "grey.jpg", "L"),
        saved(tmp_path / "progressive.jpg", progressive=True, subsampling=0),
        saved(tmp_path / "quality.png", format="JPEG", quality=20),
        saved(tmp_path / "stored_as_rgb.jpg", keep_rgb=True),
    ]
    others = [
        saved(tmp_path / "turned.jpg", orientation=6),
        saved(tmp_path / "four.jpg", "CMYK"),
        saved(tmp_path / "other.png"),
        saved(tmp_path / "other.webp"),
        saved(tmp_path / "other.tif"),
        saved(tmp_path / "other.bmp"),
        tmp_path / "twelve_bits.jpg",
        tmp_path / "too_large.jpg",
        tmp_path / "cut.jpg",
        tmp_path / "empty.jpg",
        tmp_path / "pipe.jpg",
        tmp_path / "gone.jpg",
        tmp_path / "a\0b.jpg",
    ]
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    bits = segment(content, FRAME) + 4
    (tmp_path / "twelve_bits.jpg").write_bytes(content[:bits] + b"\x0c" + content[bits + 1 :])
    (tmp_path / "too_large.jpg").write_bytes(content[: bits + 1] + b"\xff\xdc" * 2 + content[bits + 5 :])
    renderer = opened(*read, *others)
    assert [renderer.supports(sample(k)) for k in range(len(read + others))] == [True] * len(read) + [False] * len(
        others
    )
    plans = [sample(k) for k in range(len(read))]
    one, two = np.empty((2, len(read), 3, *SIZE), np.uint8)
    renderer.render(plans, one)
    OpenCVRenderer(read, 0).render(plans, two)
    np.testing.assert_array_equal(one, two)


def padded(content):
    """Stray bytes before a segment, behind the image's size: OpenCV passes over them, DALI does not."""
    place = segment(content, HUFFMAN)
    return content[:place] + bytes(3) + content[place:]


def broken(content):
    """A Huffman table with more codes than there are: nobody decodes it."""
    place = segment(content, HUFFMAN) + 5
    return content[:place] + b"\xff" * 16 + content[place + 16 :]


def test_a_file_that_dali_alone_refuses_is_decoded_by_opencv_and_given_to_the_next(tmp_path):
    whole = write_image(tmp_path / "0.jpg", picture())
    stray = tmp_path / "1.jpg"
    stray.write_bytes(padded(whole.read_bytes()))
    chain = with_chain(whole, stray)
    plans = [sample(k) for k in (0, 1, 0, 1)]
    wanted, got = np.empty((2, 4, 3, *SIZE), np.uint8)
    OpenCVRenderer([whole, stray], 0).render(plans, wanted)
    for counts in ({"DaliRenderer": 4}, {"DaliRenderer": 6, "OpenCVRenderer": 2}):
        got[:] = 7
        chain.render(plans, got)
        np.testing.assert_array_equal(got, wanted)
        assert chain.counts() == counts
    chain.close()


def test_a_broken_file_is_named_and_the_others_go_on(tmp_path):
    whole = write_image(tmp_path / "0.jpg", picture())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(broken(whole.read_bytes()))
    chain = with_chain(whole, bad)
    out = np.empty((2, 3, *SIZE), np.uint8)
    for _ in range(2):
        with pytest.raises(DataError, match=r"bad\.jpg: the image cannot be decoded"):
            chain.render([sample(0), sample(1)], out)
        chain.render([sample(0), sample(0)], out)
        np.testing.assert_array_equal(out[0], out[1])
    chain.close()


def test_a_file_that_changed_is_read_as_it_is(tmp_path, opened):
    """After it was looked at, and before it is read: another size, another format, none."""
    path = write_image(tmp_path / "0.jpg", picture())
    renderer, plan = opened(path), sample(resized=(120, 150))
    assert renderer.supports(plan)
    for content in (cv2.resize(picture(), (333, 200)), picture()[:50, :60]):
        ending = ".jpg" if len(content) > 50 else ".png"
        path.write_bytes(write_image(tmp_path / f"other{ending}", content).read_bytes())
        got, wanted = np.empty((2, 1, 3, *plan.size), np.uint8)
        renderer.render([plan], got)
        OpenCVRenderer([path], 0).render([plan], wanted)
        assert cv2.absdiff(got.reshape(-1), wanted.reshape(-1)).max() <= 1
    path.unlink()
    with pytest.raises(DataError, match=r"0\.jpg: the image cannot be read"):
        renderer.render([plan], np.empty((1, 3, *plan.size), np.uint8))


def test_damaged_files_are_rendered_or_named(tmp_path):
    """As OpenCV alone would, also where what is damaged is not seen, and nothing crashes."""
    content = np.fromfile(write_image(tmp_path / "0.jpg", picture()), np.uint8)
    rng, paths = np.random.default_rng(1), []
    for k in range(40):
        damaged = content.copy()
        first = 0 if k % 2 else segment(content.tobytes(), HUFFMAN)
        damaged[rng.integers(first, len(content) - 2, 1 + k % 3)] = rng.integers(0, 256, 1 + k % 3)
        paths.append(tmp_path / f"damaged{k:02}.jpg")
        paths[-1].write_bytes(damaged.tobytes())
    chain, opencv = with_chain(*paths), OpenCVRenderer(paths, 0)
    outcomes = []
    for k in range(len(paths)):
        got, wanted = np.empty((2, 1, 3, *SIZE), np.uint8)
        plan = sample(k)
        try:
            opencv.render([plan], wanted)
        except DataError as error:
            with pytest.raises(DataError, match=re.escape(str(error))):
                chain.render([plan], got)
            outcomes.append("named")
            continue
        chain.render([plan], got)
        np.testing.assert_array_equal(got, wanted)
        outcomes.append("rendered")
    assert outcomes.count("named") > 2 and chain.counts()["DaliRenderer"] > 20
    chain.close()


def test_what_is_not_the_decoders_fault_is_named_by_a_sample(tmp_path, opened, monkeypatch):
    renderer = opened(write_image(tmp_path / "0.jpg", picture()))
    out = np.empty((1, 3, *SIZE), np.uint8)
    with monkeypatch.context() as patch:
        patch.setattr(dali_pipeline.Slots, "inputs", lambda slots: {"file": [np.zeros(3, np.uint8)]})
        with pytest.raises(DataError, match=r"0\.jpg: DALI cannot make the sample"):
            renderer.render([sample()], out)
    renderer.render([sample()], out)
    np.testing.assert_array_equal(out[0].transpose(1, 2, 0), cv2.imread(str(tmp_path / "0.jpg"))[..., ::-1])


def test_samples_are_counted_by_who_makes_them(tmp_path):
    """A set of JPEG and PNG files: a mosaic with one PNG is the next one's, and so are its labels the same."""
    index = drawn(tmp_path)
    for k in (3, 7):
        image = cv2.imread(str(index.paths[k]))
        index.paths[k].write_bytes(cv2.imencode(".png", image)[1].tobytes())
    options = {"imgsz": 64, "batch_size": 6, "seed": 0, "workers": 2}
    loader = train_loader(index, hyperparameters(**LOW), renderers=(DaliRenderer, OpenCVRenderer), **options)
    plain = train_loader(index, hyperparameters(**LOW), **options)
    for one, two in zip(loader.batches(0), plain.batches(0), strict=True):
        for mine, wanted in zip(one.labels, two.labels, strict=True):
            np.testing.assert_array_equal(mine, wanted)
    counts = loader.rendered()
    assert counts["DaliRenderer"] > 2 and counts["OpenCVRenderer"] > 2 and sum(counts.values()) == 12


def test_an_absent_library_is_one_line(monkeypatch):
    """And it names the version that is tested here."""
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    monkeypatch.delitem(sys.modules, "yolo.data.renderers.dali_pipeline")
    with pytest.raises(ConfigError, match=r"--loader dali: NVIDIA DALI cannot be imported .*native") as caught:
        DaliRenderer((), 1)
    (wanted,) = re.findall(r"pip install (\S+),", str(caught.value))
    assert f'"{wanted}"' in (ROOT / "setup.py").read_text()
    assert wanted in (ROOT / "requirements-dali.txt").read_text().splitlines()
    assert dali.library.__module__ in sys.modules


def test_each_operator_exists_on_a_gpu(monkeypatch):
    """The same definition with a GPU's names: the tests need none to ask the library what it has for one."""
    assert dali_pipeline.default_device() == ("gpu" if backend.GetCUDADeviceCount() else "cpu")
    monkeypatch.setattr(dali_pipeline.backend, "GetCUDADeviceCount", lambda: 2)
    assert dali_pipeline.default_device() == "gpu"
    registered = {
        "cpu": backend.RegisteredCPUOps(),
        "gpu": backend.RegisteredGPUOps(),
        "mixed": backend.RegisteredMixedOps(),
    }
    found = {}
    for device in ("cpu", "gpu"):
        pipeline = dali_pipeline._definition(device, batch_size=4, num_threads=1, device_id=None)
        pipeline._build_graph()
        operators = [one._op for one in pipeline._ops]
        found[device] = [(getattr(one, "schema_name", "ExternalSource"), one.device) for one in operators]
        assert [one for one in found[device] if one[0] not in registered[one[1]]] == []
    assert [name for name, _ in found["cpu"]] == [name for name, _ in found["gpu"]]
    assert {place for _, place in found["cpu"]} == {"cpu"}
    where = {place: {name for name, at in found["gpu"] if at == place} for place in ("cpu", "gpu", "mixed")}
    assert where["mixed"] == {"decoders__ImageSlice"}
    assert where["cpu"] == {"ExternalSource", "_conditional__Split", "_ArithmeticGenericOp", "_TensorSubscript"}
    assert where["gpu"] > {"Resize", "MultiPaste", "WarpAffine", "PermuteBatch", "LookupTable", "Flip", "Transpose"}
