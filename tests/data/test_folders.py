"""Folders of data that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo.data.folders import new_folder


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".set.abcd1234" / "content" / "images"
    left.mkdir(parents=True)
    (left / "0.png").write_bytes(b"x")
    others = [tmp_path / name for name in (".set.abcd", ".other.abcd1234", "set.abcd1234", ".set.abcd1234.zip")]
    for other in others:
        other.mkdir()
    with new_folder(tmp_path / "set", tmp_path / "set.yaml") as folder:
        assert not left.parents[1].exists() and all(other.is_dir() for other in others)
        (folder / "a").write_text("a")
    assert (tmp_path / "set" / "a").is_file() and len(list(tmp_path.iterdir())) == len(others) + 1


def test_those_at_work_are_left_alone(tmp_path: Path) -> None:
    root, source = tmp_path / "set", tmp_path / "set.yaml"
    with new_folder(root, source) as first:
        (first / "a").write_text("first")
        with pytest.raises(ZeroDivisionError), new_folder(root, source) as second:
            assert (first / "a").is_file() and second != first
            raise ZeroDivisionError
    assert (root / "a").read_text() == "first" and list(tmp_path.iterdir()) == [root]
