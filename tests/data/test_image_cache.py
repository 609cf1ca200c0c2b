import os
import re

import cv2
import numpy as np
import pytest

from tests.data.samples import LOW, hyperparameters, make_index
from yolo.data import image_cache, images
from yolo.data.image_cache import DiskCache, RamCache, open_caches
from yolo.data.images import write_image
from yolo.data.loader import train_loader, val_loader
from yolo.errors import DataError

KINDS = {"ram": RamCache, "disk": DiskCache}
HYP = hyperparameters(**{**LOW, "mixup": 0.3, "copy_paste": 0.3})


@pytest.fixture(params=["ram", "disk"])
def kind(request):
    return request.param


@pytest.fixture
def index(tmp_path):
    """Images of noise: every pixel tells."""
    texts = [f"{k % 2} .5 .5 .{k % 8 + 1} .5\n0 .2 .2 .7 .2 .7 .6\n" for k in range(9)]
    made = make_index(tmp_path, texts, sizes=[(48, 64), (150, 90), (50, 50), (64, 128)])
    rng = np.random.default_rng(0)
    for path, shape in zip(made.paths, made.shapes):
        write_image(path, rng.integers(0, 256, (*shape, 3), np.uint8))
    return made


@pytest.fixture
def reads(monkeypatch):
    """The images that are decoded."""
    read, seen = images.read_bytes, []
    monkeypatch.setattr(images, "read_bytes", lambda path: (seen.append(path.name), read(path))[1])
    return seen


def batches(index, cache, *, val=None, **options):
    train = train_loader(index, HYP, **{"imgsz": 64, "batch_size": 4, "workers": 2, "seed": 0, **options}, cache=cache)
    held_out = val_loader(index, imgsz=64, batch_size=4, workers=2, rect=bool(options.get("rect")), cache=val)
    return [batch.images for batch in [*train.batches(0), *train.batches(1), *held_out.batches()]]


@pytest.mark.parametrize("options", [{}, {"rect": True}, {"quad": True}, {"multi_scale": True}, {"mosaic_end": 1}])
def test_batches_are_the_same_bit_for_bit(index, kind, options, reads):
    plain = batches(index, None, **options)
    caches = open_caches(kind, {"train": (index, True), "val": (index, False)}, 64, 2)
    reads.clear()
    kept = batches(index, caches["train"], val=caches["val"], **options)
    assert not reads
    assert len(plain) == len(kept)
    for one, two in zip(plain, kept):
        np.testing.assert_array_equal(one, two)


def test_each_image_is_made_once_for_all_who_ask(index, kind, reads, caplog):
    caplog.set_level("INFO", "yolo.data")
    first = open_caches(kind, {"train": (index, True)}, 64, 2)
    assert sorted(reads) == sorted(path.name for path in index.paths)
    second = open_caches(kind, {"train": (index, True)}, 64, 0)
    assert len(reads) == 9
    sizes = first["train"].sizes
    assert sizes[:4] == [(48, 64), (64, 39), (64, 64), (32, 64)]
    for i, size in enumerate(sizes):
        one, two = (caches["train"].get(i, size, True) for caches in (first, second))
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, images.load_image(index.paths[i], size, augmented=True))
    total = sum(3 * height * width for height, width in sizes) / 2**20
    said = [record.getMessage() for record in caplog.records if "cached" in record.getMessage()]
    for line, there in zip(said, (0, total)):
        pattern = rf"cached 9 images in .*: {total:.1f} MB, of which {there:.1f} MB were there already, in \d+\.\d s"
        assert re.fullmatch(pattern, line), line


def test_what_is_not_kept_is_not_given(index, kind):
    cache = open_caches(kind, {"train": (index, True)}, 64, 1)["train"]
    assert cache.get(0, (48, 63), True) is None and cache.get(1, cache.sizes[1], False) is None


def test_nothing_is_cached_unless_asked_for(index, reads):
    assert open_caches("", {"train": (index, True)}, 64, 2) == {} and not reads


def test_an_image_that_changed_is_made_again(index, kind):
    old = open_caches(kind, {"train": (index, True)}, 64, 1)["train"]
    before = old.get(2, (64, 64), True).copy()
    files = [set(folder.iterdir()) for folder in getattr(old, "folders", [])]
    write_image(index.paths[2], np.full((50, 50, 3), 7, np.uint8))
    os.utime(index.paths[2], ns=(1, 10**18))
    cache = open_caches(kind, {"train": (index, True)}, 64, 1)["train"]
    assert (cache.get(2, (64, 64), True) == 7).all() and not (before == 7).all()
    if kind == "disk":
        (now,) = [set(folder.iterdir()) for folder in cache.folders]
        assert len(now) == 9 and len(now & files[0]) == 8


def test_files_of_the_cache_are_plain_and_broken_ones_are_made_again(index, reads):
    cache = open_caches("disk", {"train": (index, True)}, 64, 1)["train"]
    (folder,) = cache.folders
    assert folder == index.paths[0].parent.parent / "train.oneflow-64"
    assert {np.load(file).ndim for file in folder.glob("*.npy")} == {3}
    damage = [b"", b"\x93NUMPY", b"not at all an array" * 2000]
    wanted = [cache.get(i, cache.sizes[i], True) for i in range(5)]
    for i, content in enumerate(damage):
        cache._files[i].write_bytes(content)
    np.save(cache._files[3], np.zeros((99, 99, 3), np.float32))
    np.save(cache._files[4], np.asfortranarray(wanted[4]))  # renderers take it without gaps, row after row
    reads.clear()
    for i, image in enumerate(wanted):
        np.testing.assert_array_equal(cache.get(i, cache.sizes[i], True), image)
        np.testing.assert_array_equal(np.load(cache._files[i]), image)
    assert len(reads) == 5


@pytest.mark.parametrize("free", [0, 70_000])
def test_what_does_not_fit_is_refused_before_anything_is_made(index, kind, free, monkeypatch, reads):
    monkeypatch.setattr(image_cache, "free_memory", lambda: free)
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    with pytest.raises(DataError, match=rf"--cache {kind}: the images take 0\.1 MB, and 0\.\d MB .*free.*; leave it"):
        open_caches(kind, {"train": (index, True)}, 64, 2)
    assert not reads and not list(index.paths[0].parent.parent.glob("*.oneflow*"))
    monkeypatch.setattr(image_cache, "free_memory", lambda: 10**6)
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    kept = open_caches(kind, {"train": (index, True)}, 64, 2)
    monkeypatch.setattr(image_cache, "free_memory", lambda: 0)
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert kept and open_caches(kind, {"train": (index, True)}, 64, 2), "what is there needs no room"


def test_an_unreadable_image_is_named(index, kind):
    index.paths[4].write_bytes(b"broken")
    with pytest.raises(DataError, match=r"4\.png"):
        open_caches(kind, {"train": (index, True)}, 64, 2)
    index.paths[4].unlink()
    with pytest.raises(DataError, match=r"4\.png: the image cannot be read"):
        open_caches(kind, {"train": (index, True)}, 64, 2)


def test_a_folder_that_cannot_be_made_is_refused(index):
    (index.paths[0].parent.parent / "train.oneflow-64").write_text("in the way")
    with pytest.raises(DataError, match=r"train\.oneflow-64: the images cannot be kept .*; try --cache ram"):
        open_caches("disk", {"train": (index, True)}, 64, 1)


def test_versions_and_sizes_do_not_share(index, monkeypatch):
    one = RamCache(index, 64, True)
    assert RamCache(index, 64, True).memory.identity == one.memory.identity
    others = [RamCache(index, 96, True), RamCache(index, 64, False)]
    monkeypatch.setattr(cv2, "__version__", "5")
    others.append(RamCache(index, 64, True))
    assert one.memory.identity not in {other.memory.identity for other in others}
