"""The native renderer makes the samples that OpenCV's makes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.renderers.photos import photo, save_jpeg, turned
from tests.data.samples import LOW, hyperparameters
from yolo.data import images
from yolo.data.augment import affine_matrix, mosaic_tiles
from yolo.data.image_cache import RamCache
from yolo.data.images import check_image, load_image
from yolo.data.letterbox import fit, resized_size
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.planner import Planner
from yolo.data.records import Index, IndexReport
from yolo.data.renderers import native
from yolo.data.renderers.jpeg_library import jpeg_library
from yolo.data.renderers.native import NativeRenderer
from yolo.data.renderers.opencv import OpenCVRenderer
from yolo.errors import DataError
from yolo.native import Renderer

NONE = np.zeros((0, 5), np.float32)
SIZES = ((120, 160), (160, 107), (97, 131), (64, 80), (300, 400), (11, 250))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEG files of every kind of chroma, progressive, grey, and a PNG."""
    folder = tmp_path_factory.mktemp("photos")
    options = ({"subsampling": 2}, {"subsampling": 1}, {"subsampling": 0}, {"mode": "L"}, {"progressive": True}, {})
    paths = [
        save_jpeg(folder / f"{k}.jpg", photo(size, k), **more) for k, (size, more) in enumerate(zip(SIZES, options))
    ]
    Image.fromarray(photo((90, 70), 9)).save(folder / "9.png")
    return [*paths, folder / "9.png"]


def index_of(paths: Sequence[Path]) -> Index:
    shapes = np.array([check_image(path) for path in paths])
    segments = [[np.array([[0.2, 0.3], [0.4, 0.3], [0.3, 0.6]], np.float32)]] * len(paths)
    rows = [np.array([[0, 0.3, 0.45, 0.2, 0.3]], np.float32)] * len(paths)
    return Index.of(paths, rows, segments, shapes, ("a",), IndexReport())


def both(plans: Sequence[SamplePlan], paths: Sequence[Path], size: tuple[int, int] | None = None, **options):
    """The planes that OpenCV makes of ``plans``, and ours, as int16."""
    made = []
    for renderer in (OpenCVRenderer(paths, 0), NativeRenderer(paths, 0, **options)):
        out = np.full((len(plans), 3, *(size or plans[0].size)), 7, np.uint8)
        renderer.render(plans, out)
        made.append(out.astype(np.int16))
    return made


def sample(*views: View, **options) -> SamplePlan:
    return SamplePlan(index=0, size=views[0].size, views=views, labels=NONE, **{"augmented": True, **options})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"degrees": 30.0, "shear": 8.0, "scale": 0.9, "translate": 0.4},
        {"perspective": 0.001, "degrees": 10.0},
        {"mixup": 1.0},
        {"copy_paste": 1.0},
        {"mosaic": 0.0},
        {"flipud": 1.0, "fliplr": 1.0},
    ],
    ids=str,
)
def test_samples_before_their_colours_are_opencvs(files: list[Path], changes: dict[str, float]) -> None:
    hyp = hyperparameters(**{**LOW, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, **changes})
    planner = Planner(index_of(files), hyp, 160, seed=1)
    plans = [planner.plan(epoch, i) for epoch in range(4) for i in range(len(files))]
    theirs, ours = both(plans, files)
    different = np.abs(theirs - ours)
    assert different.mean() < 0.02 and np.percentile(different, 99) == 0 and different.max() <= 8
    assert len({planes.tobytes() for planes in ours}) == len(plans)


def test_colours_are_opencvs(files: list[Path]) -> None:
    hyp = hyperparameters(hsv_h=0.5, hsv_s=0.9, hsv_v=0.9)
    planner = Planner(index_of(files), hyp, 160)
    theirs, ours = both([planner.plan(epoch, i) for epoch in range(3) for i in range(len(files))], files)
    # A dark pixel that differs by 1 before can get another hue: so not the largest difference.
    assert np.abs(theirs - ours).mean() < 0.02 and np.percentile(np.abs(theirs - ours), 99.9) <= 1


def test_every_colour_is_opencvs(tmp_path: Path) -> None:
    """A step of 5 in each of red, green and blue, and what each gain does at its ends."""
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(len(levels), -1, 3)
    Image.fromarray(cube).save(tmp_path / "cube.png")
    view = View(cube.shape[:2], (Tile(0, cube.shape[:2], (0, 0)),), cube.shape[:2])
    gains = [(1.0, 1.0, 1.0), (1.9, 1.0, 1.0), (0.1, 0.3, 0.5), (1.0, 0.0, 1.6), (1.01, 1.7, 0.0)]
    theirs, ours = both([sample(view, hsv=some) for some in gains], [tmp_path / "cube.png"])
    assert np.abs(theirs - ours).max() <= 4 and (theirs != ours).mean() < 0.03


@pytest.mark.parametrize("size", [(160, 160), (96, 128), (64, 224)])
def test_validations_images_are_opencvs(files: list[Path], size: tuple[int, int]) -> None:
    """Shrunk by area, enlarged linearly, whole."""
    planner = Planner(index_of(files), None, 160)
    theirs, ours = both([planner.plan(0, i, size) for i in range(len(files))], files)
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("to", [(60, 80), (40, 60), (61, 83), (59, 79), (240, 320), (171, 190), (120, 80)])
@pytest.mark.parametrize("augmented", [False, True])
def test_resizing_is_opencvs(files: list[Path], to: tuple[int, int], augmented: bool) -> None:
    """Also where only part is seen: every part is as in the whole."""
    whole = load_image(files[0], to, augmented=augmented)
    for offset in ((0, 0), (-17, -9), (-30, 3), (to[1] // 3, -to[0] // 2)):
        view = View((50, 60), (Tile(0, to, offset),), (50, 60))
        theirs, ours = both([sample(view, augmented=augmented)], files)
        np.testing.assert_array_equal(theirs, ours)
    assert whole.shape[:2] == to


@pytest.mark.parametrize("to", [(150, 200), (149, 200), (75, 100), (74, 99), (37, 50), (20, 27)])
def test_an_image_that_shrinks_much_is_decoded_smaller(files: list[Path], to: tuple[int, int], monkeypatch) -> None:
    view = View(to, (Tile(4, to, (0, 0)),), to)
    theirs, ours = both([sample(view)], files)
    np.testing.assert_array_equal(theirs, ours)
    area = load_image(files[4], to, augmented=False)  # without aliasing, as a smaller decoding is
    linear = cv2.resize(images.read_image(files[4]), to[::-1], interpolation=cv2.INTER_LINEAR)
    errors = [np.abs(ours[0].transpose(1, 2, 0) - other).mean() for other in (area, linear)]
    assert errors[0] < 6 and (to[0] >= 75 or errors[0] < errors[1])
    monkeypatch.setattr(images, "divisor", lambda *_: 1)
    assert (both([sample(view)], files)[0] != theirs).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_opencvs(tmp_path: Path, orientation: int) -> None:
    path = save_jpeg(tmp_path / "turned.jpg", photo((97, 131)), exif=turned(orientation), subsampling=0)
    height, width = check_image(path)
    assert ((height, width) == (131, 97)) == (orientation >= 5)
    for to in ((height, width), (height * 2 // 3, width * 2 // 3), resized_size((height, width), 48)):
        for augmented in (False, True):
            view = View((70, 90), (Tile(0, to, (-20, -31)),), (70, 90))
            theirs, ours = both([sample(view, augmented=augmented)], [path])
            np.testing.assert_array_equal(theirs, ours)


def test_every_part_of_an_image_is_as_in_the_whole(files: list[Path]) -> None:
    """Where rows are passed over and columns cut away: chroma that is shared by neighbours too."""
    rng = np.random.default_rng(5)
    for number, (height, width) in enumerate(SIZES):
        plans = []
        for _ in range(40):
            size = int(rng.integers(5, 60)), int(rng.integers(5, 60))
            offset = -int(rng.integers(0, width)), -int(rng.integers(0, height))
            plans.append(sample(View(size, (Tile(number, (height, width), offset),), size)))
        for plan in plans:
            theirs, ours = both([plan], files)
            np.testing.assert_array_equal(theirs, ours)


def test_kinds_of_jpeg_that_are_left_to_opencv(tmp_path: Path) -> None:
    image = photo((60, 80))
    paths = [save_jpeg(tmp_path / "cmyk.jpg", image, "CMYK"), tmp_path / "strange.jpg"]
    exif = turned(6).tobytes()
    at = exif.index(b"\x01\x12\x00\x03")  # the tag, and its type: one that no reader takes
    save_jpeg(paths[1], image, exif=exif[: at + 2] + b"\x00\x02" + exif[at + 4 :])
    renderer = NativeRenderer(paths, 0)
    view = [View((60, 80), (Tile(k, (60, 80), (0, 0)),), (60, 80)) for k in range(2)]
    out = np.empty((2, 3, 60, 80), np.uint8)
    for _ in range(2):  # the second time it knows them
        renderer.render([sample(one) for one in view], out)
        for path, planes in zip(paths, out):
            np.testing.assert_array_equal(planes.transpose(1, 2, 0), load_image(path, (60, 80), augmented=True))
        assert renderer._others == {0, 1}


def test_without_libjpeg_opencv_reads(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "jpeg_library", lambda: "")
    planner = Planner(index_of(files), hyperparameters(**LOW), 96)
    plans = [planner.plan(0, i) for i in range(len(files))]
    theirs, ours = both(plans, files)
    assert np.abs(theirs - ours).mean() < 0.05


def test_pillows_libjpeg_is_found() -> None:
    assert "pillow.libs/libjpeg" in jpeg_library()
    with pytest.raises(RuntimeError, match="jpeg_std_error"):
        Renderer("libm.so.6")


def test_a_cache_is_used(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(files)
    planner = Planner(index, hyperparameters(**LOW), 96)
    plans = [planner.plan(0, i) for i in range(len(files))]
    plain = both(plans, files)[1]
    cache = RamCache(index, 96, True)
    cache.fill(2)
    monkeypatch.setattr(native, "load_image", None)
    gone = [path.with_name("gone") for path in files]
    out = np.empty((len(plans), 3, 96, 96), np.uint8)
    NativeRenderer(gone, 0, cache).render(plans, out)
    np.testing.assert_array_equal(out, plain)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_batch_is_what_its_samples_are_alone(files: list[Path], threads: int) -> None:
    planner = Planner(index_of(files), hyperparameters(**LOW, mixup=0.5, copy_paste=0.5), 96)
    plans = [planner.plan(epoch, i) for epoch in range(3) for i in range(len(files))]
    batch = np.full((len(plans), 3, 96, 96), 255, np.uint8)
    renderer = NativeRenderer(files, threads)
    renderer.render(plans, batch)
    renderer.close()
    for plan, planes in zip(plans, batch):
        np.testing.assert_array_equal(both([plan], files)[1][0], planes)


def test_a_part_of_a_batch_is_filled_and_nothing_beside_it(files: list[Path]) -> None:
    plain = sample(View((64, 80), (Tile(3, (64, 80), (0, 0)),), (64, 80)), flip_horizontal=True)
    results = []
    for renderer in (OpenCVRenderer(files, 0), NativeRenderer(files, 2)):
        batch = np.full((2, 3, 100, 100), 7, np.uint8)
        renderer.render([plain] * 3, [batch[0, :, 5:69, 8:88], batch[1, :, :37, :51], batch[1, :, 40:, 0:99]])
        results.append(batch)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("threads", [0, 2])
def test_the_first_sample_that_cannot_be_made_is_named(files: list[Path], tmp_path: Path, threads: int) -> None:
    paths = [files[0], tmp_path / "lost.jpg", tmp_path / "gone.jpg"]
    plans = [sample(View((120, 160), (Tile(k, (120, 160), (0, 0)),), (120, 160))) for k in (0, 2, 1, 0)]
    renderer = NativeRenderer(paths, threads)
    with pytest.raises(DataError, match=r"gone\.jpg"):
        renderer.render(plans, np.empty((4, 3, 120, 160), np.uint8))
    renderer.close()


def test_damaged_images_are_named(tmp_path: Path) -> None:
    whole = save_jpeg(tmp_path / "whole.jpg", photo((97, 131))).read_bytes()
    paths = [tmp_path / "cut.jpg", tmp_path / "damaged.jpg"]
    paths[0].write_bytes(whole[: len(whole) * 2 // 3])
    paths[1].write_bytes(whole[:100] + bytes(len(whole) - 100))
    view = [View((97, 131), (Tile(k, (97, 131), (0, 0)),), (97, 131)) for k in range(2)]
    for one, name in zip(view, ("cut", "damaged")):
        with pytest.raises(DataError, match=rf"{name}\.jpg: the image cannot be decoded"):
            NativeRenderer(paths, 0).render([sample(one)], np.empty((1, 3, 97, 131), np.uint8))


def test_extras_and_negative_factors_of_colours_are_left_to_others(files: list[Path]) -> None:
    plain = sample(View((120, 160), (Tile(0, (120, 160), (0, 0)),), (120, 160)))
    renderer = NativeRenderer(files, 0)
    assert renderer.supports(plain)
    assert renderer.supports(sample(*plain.views, hsv=(0.0, 9.0, 0.5)))
    assert not renderer.supports(sample(*plain.views, extras=(("Blur", 3.0),)))
    for hsv in ((-0.1, 1.0, 1.0), (1.0, -0.1, 1.0), (1.0, 1.0, -0.1)):
        assert not renderer.supports(sample(*plain.views, hsv=hsv))


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.diag([1e9, 1e9, 1.0]), np.diag([1e-9, 1, 1.0]), np.full((3, 3), 1e300)]
)
def test_senseless_matrices_harm_nobody(files: list[Path], matrix: np.ndarray) -> None:
    view = View((320, 320), (Tile(0, (120, 160), (30, 30)),), (160, 160), matrix=matrix)
    NativeRenderer(files, 0).render([sample(view)], np.empty((1, 3, 160, 160), np.uint8))


def test_what_does_not_fit_is_refused(files: list[Path]) -> None:
    core, view = Renderer(""), ((8, 8), (8, 8), None, None, [])
    good = np.zeros((3, 8, 8), np.uint8)
    flags = (1.0, None, False, False, "augmented")
    core.render([(good, (8, 8), [view], *flags)], 0)
    assert (good == 114).all()
    still = good.copy()
    still.flags.writeable = False
    refused = [
        (good.astype(np.int16), (8, 8), [view]),
        (still, (8, 8), [view]),
        (good[:, :, ::2], (8, 8), [view]),
        (good[0], (8, 8), [view]),
        (good, (8, 8), []),
        (good, (8, 8), [view] * 3),
        (good, (9, 8), [view]),
        (good, (0, 8), [view]),
        (good, (8, 10**9), [view]),
        (good, (8, 8), [((9, 8), (8, 8), None, None, [])]),
        (good, (8, 8), [((8, 8), (8, 8), None, np.zeros((7, 8), np.uint8), [])]),
        (good, (8, 8), [((8, 8), (8, 8), None, None, [(np.zeros((8, 8, 3), np.uint8)[:, ::2], (8, 4), 0, 0)])]),
        (good, (8, 8), [((8, 8), (8, 8), None, None, [(np.zeros((8, 8, 3), np.float32), (8, 8), 0, 0)])]),
        (good, (8, 8), [((8, 8), (8, 8), None, None, [(b"", (-1, 8), 0, 0)])]),
    ]
    for fields in refused:
        with pytest.raises((ValueError, TypeError)):
            core.render([(*fields, *flags)], 0)


def test_several_threads_at_once_and_after_closing_an_error(files: list[Path]) -> None:
    planner = Planner(index_of(files), hyperparameters(**LOW), 96)
    plans = [planner.plan(epoch, i) for epoch in range(4) for i in range(len(files))]
    expected = both(plans, files)[1]
    renderer, outs = NativeRenderer(files, 2), [np.empty((len(plans), 3, 96, 96), np.uint8) for _ in range(3)]
    workers = [threading.Thread(target=renderer.render, args=(plans, out)) for out in outs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for out in outs:
        np.testing.assert_array_equal(out, expected)
    renderer.close()
    with pytest.raises(RuntimeError):
        renderer.render(plans, outs[0])


def test_matrices_and_tiles_as_the_planner_makes_them_but_wilder(files: list[Path]) -> None:
    rng, hyp = np.random.default_rng(7), hyperparameters(degrees=180, shear=20, scale=0.95, translate=0.9)
    plans = []
    for _ in range(60):
        centre = tuple(rng.integers(40, 120, 2).tolist())
        tiles = mosaic_tiles(rng.integers(0, len(files), 4).tolist(), [(60, 80)] * 4, centre)
        matrix, _ = affine_matrix(rng, hyp, (160, 160), (80, 80))
        plans.append(sample(View((160, 160), tiles, (80, 80), matrix=matrix)))
    box = fit((120, 160), (80, 80))
    plans.append(sample(View((80, 80), (Tile(0, box.resized, box.offset),), (80, 80))))
    theirs, ours = both(plans, files)
    assert np.abs(theirs - ours).mean() < 0.05 and np.percentile(np.abs(theirs - ours), 99.5) <= 1
