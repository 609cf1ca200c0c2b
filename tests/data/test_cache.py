"""The file of an index, mapped."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.samples import make_dataset
from yolo.data import cache
from yolo.data.index import index_split
from yolo.data.records import Index, IndexReport
from yolo.data.sequences import Paths

NAMES = ("a", "b")


def small(count: int = 3) -> Index:
    rows = [np.array([[k % 2, 0.5, 0.5, 0.25, 0.25]] * k, np.float32).reshape(-1, 5) for k in range(count)]
    outlines = [[np.full((k, 2), 0.5, np.float32)] * k for k in range(count)]
    report = IndexReport(corrupt=["x: y"], noticed=["1 thing"])
    return Index.of([f"/p/{k}\udcff.jpg" for k in range(count)], rows, outlines, [(8, 9)] * count, NAMES, report)


def kept(folder: Path, index: Index, key: str = "key") -> Path:
    place = folder / f"x{cache.SUFFIX}"
    cache.save(place, key, index)
    return place


def assert_same(one: Index, two: Index) -> None:
    assert list(one.paths) == list(two.paths) and one.report == two.report and one.names == two.names
    np.testing.assert_array_equal(one.shapes, two.shapes)
    assert [rows.tolist() for rows in one.labels] == [rows.tolist() for rows in two.labels]
    assert [[some.tolist() for some in image] for image in one.segments] == [
        [some.tolist() for some in image] for image in two.segments
    ]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_what_is_kept_comes_back(tmp_path: Path, count: int) -> None:
    index = small(count)
    place = kept(tmp_path, index)
    assert_same(cache.load(place, "key", NAMES), index)
    assert cache.load(place, "other", NAMES) is None and cache.load(tmp_path / "none", "key", NAMES) is None
    part = small(7).take(np.array([5, 2]))
    assert_same(cache.load(kept(tmp_path, part), "key", NAMES), part)


def test_a_file_that_is_replaced_stays_what_it_was_for_whoever_has_it(tmp_path: Path) -> None:
    place = kept(tmp_path, small(6))
    mapped = cache.load(place, "key", NAMES)
    kept(tmp_path, small(1))
    assert_same(mapped, small(6))
    place.unlink()
    assert_same(mapped, small(6))


def test_an_index_is_its_file_and_no_copy(tmp_path: Path) -> None:
    """So that ranks share its memory: nothing of it is written to, and all arrays are one mapping."""
    dataset = make_dataset(tmp_path, ["0 .5 .5 .5 .5", "1 .1 .1 .3 .1 .3 .3"])
    for single_cls in (False, True):
        for _ in range(2):  # the one that was just made, too
            index = index_split(dataset, "train", single_cls=single_cls)
            arrays = (index.shapes, index.labels.flat, index.segments.points, index.segments.ends, index.paths.text)
            assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
            assert str(tmp_path) in Path("/proc/self/maps").read_text()


def test_a_cut_file_is_never_mapped_whatever_its_length(tmp_path: Path) -> None:
    place = kept(tmp_path, small(3))
    content = place.read_bytes()
    for length in range(len(content)):
        place.write_bytes(content[:length])
        assert cache.load(place, "key", NAMES) is None
    place.write_bytes(content)
    assert cache.load(place, "key", NAMES) is not None


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    place = kept(tmp_path, small(3))
    content = place.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        place.write_bytes(changed)
        assert cache.load(place, "key", NAMES) is None, position


@pytest.mark.parametrize("field", ["images", "rows", "points", "text"])
@pytest.mark.parametrize("value", [-1, 0, 4, 2**40, 2**70, 1.5, "3", None])
def test_sizes_that_lie_are_no_sizes(tmp_path: Path, field: str, value: object) -> None:
    """A right checksum over them does not make them right."""
    place = kept(tmp_path, small(3))
    content = place.read_bytes()
    (length,) = struct.unpack_from("<I", content, 8)
    header = json.loads(content[24 : 24 + length])
    if header["sizes"][field] == value:
        return
    header["sizes"][field] = value
    text = json.dumps(header).encode()
    body = text + b" " * (-(24 + len(text)) % 64) + content[24 + length :]
    head = struct.pack("<8sIIQ", content[:8], len(body) - len(content[24 + length :]), zlib.crc32(body), 24 + len(body))
    place.write_bytes(head + body)
    assert cache.load(place, "key", NAMES) is None


def test_places_that_lie_are_no_places(tmp_path: Path) -> None:
    index = small(3)
    ends = np.array([0, 7, 2, len(index.paths.text)])
    wrong = dataclasses.replace(index, paths=Paths(index.paths.text, ends[:-1], ends[1:]))
    place = tmp_path / f"x{cache.SUFFIX}"
    content = bytearray(kept(tmp_path, index).read_bytes())
    (length,) = struct.unpack_from("<I", content, 8)
    at = 24 + length + index.shapes.nbytes
    content[at : at + ends.nbytes] = ends.astype("<i8").tobytes()
    struct.pack_into("<I", content, 12, zlib.crc32(content[24:]))
    place.write_bytes(content)
    assert len(wrong) == 3 and cache.load(place, "key", NAMES) is None


def test_what_an_index_holds_is_not_an_object_for_each_image(tmp_path: Path) -> None:
    """A few kilobytes however many images there are: all else is the file's, whose pages are shared."""
    sizes = {}
    for count in (10, 2000):
        rows, outlines = [np.full((3, 5), 0.5, np.float32)] * count, [[np.zeros((0, 2), np.float32)] * 3] * count
        paths, shapes = [f"/p/{k}.jpg" for k in range(count)], [(8, 9)] * count
        place = kept(tmp_path, Index.of(paths, rows, outlines, shapes, NAMES))
        gc.collect()
        before = len(gc.get_objects())
        tracemalloc.start()
        index = cache.load(place, "key", NAMES)
        sizes[count] = tracemalloc.get_traced_memory()[0], len(gc.get_objects()) - before
        tracemalloc.stop()
        assert len(index) == count
    assert sizes[2000][0] < sizes[10][0] + 4096 and sizes[2000][1] < sizes[10][1] + 20


def test_nothing_is_written_where_nothing_may_be(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    os.chmod(folder, 0o555)
    try:
        assert not kept(folder, small()).exists()
    finally:
        os.chmod(folder, 0o755)
