"""Tracks as MOT text: columns, numbers, names, and what stays on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.outputs.test_writer import NAMES, ROWS
from tests.inference.samples import noise
from yolo.inference.outputs import mot
from yolo.inference.outputs.mot import MotFiles, mot_lines
from yolo.inference.outputs.writer import Outputs, ResultWriter
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame


def tracked(*ids: int) -> Result:
    return Result(noise(), ROWS[: len(ids)], NAMES, ids=np.array(ids, np.int64))


def frame(path: str, number: int | None = None, *, place: int = 1, live: bool = False) -> Frame:
    return Frame(noise(), Path(path), 1, number, fps=5.0, live=live, place=place)


def test_lines_have_ten_columns_and_count_from_one() -> None:
    assert mot_lines(7, tracked(3, 12)) == [
        "7,3,9.00,13.00,32.00,24.00,0.9000,-1,-1,-1\n",
        "7,12,1.00,1.00,64.00,48.00,0.5000,-1,-1,-1\n",
    ]
    assert mot_lines(1, tracked()) == []


def test_a_file_for_each_sequence(tmp_path: Path) -> None:
    files = MotFiles(tmp_path / "mot")
    for path in ("a/MOT-02/img1/000002.jpg", "a/MOT-03/img1/000001.jpg", "a/other/1.jpg", "a/MOT-02/img1/000003.jpg"):
        files.add(tracked(1), frame(path, place=int(Path(path).stem)))
    for path, number in (("a/clip.mp4", 1), ("b/clip.avi", 2)):
        files.add(tracked(4), frame(path, number))
    files.add(tracked(), frame("camera_1", 9, live=True))
    files.finish()
    files.abort()
    lines = {path.name: path.read_text().splitlines() for path in (tmp_path / "mot").iterdir()}
    numbers = {name: [tuple(map(int, line.split(",")[:2])) for line in found] for name, found in lines.items()}
    assert numbers == {
        "MOT-02.txt": [(2, 1), (3, 1)],
        "MOT-03.txt": [(1, 1)],
        "other.txt": [(1, 1)],
        "clip.txt": [(1, 4)],
        "clip_2.txt": [(2, 4)],
        "camera_1.txt": [],
    }
    assert [sequence.to_dict() for sequence in files.sequences][:1] == [
        {"path": "a/MOT-02/img1", "mot": str(tmp_path / "mot/MOT-02.txt"), "frames": 2, "tracks": 1}
    ]
    assert [(sequence.frames, sequence.tracks) for sequence in files.sequences[3:]] == [(1, 4), (1, 4), (1, 0)]


def test_a_folder_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film/img1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "film/img1")
    files = MotFiles(tmp_path / "mot")
    files.add(tracked(1), frame("000001.jpg"))
    files.finish()
    assert (tmp_path / "mot/film.txt").is_file()


def test_a_video_is_on_disk_when_the_next_begins(tmp_path: Path) -> None:
    files = MotFiles(tmp_path / "mot")
    files.add(tracked(1), frame("a.mp4", 1))
    assert not (tmp_path / "mot").exists()
    files.add(tracked(1), frame("b.mp4", 1))
    assert [path.name for path in (tmp_path / "mot").iterdir()] == ["a.txt"]


def test_a_long_stream_is_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mot, "_MOST_LINES", 10)
    files = MotFiles(tmp_path / "mot")
    for number in range(1, 26):
        files.add(tracked(1), frame("camera", number, live=True))
        assert len(files.sequences[0].lines) < 10
    assert [path.suffix for path in (tmp_path / "mot").iterdir()] == [".txt"]
    assert not (tmp_path / "mot/camera.txt").exists()
    files.finish()
    assert [path.name for path in (tmp_path / "mot").iterdir()] == ["camera.txt"]
    lines = (tmp_path / "mot/camera.txt").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines] == list(range(1, 26))


def test_what_is_given_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mot, "_MOST_LINES", 1)
    files = MotFiles(tmp_path / "mot")
    files.add(tracked(1), frame("a.mp4", 1))
    assert list((tmp_path / "mot").iterdir())
    files.abort()
    assert not (tmp_path / "mot").exists()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_whatever_ends_a_run_its_tracks_stay(tmp_path: Path, error: type[BaseException] | None) -> None:
    outputs = Outputs(images=False, tracks=True, table=True, text=True)

    def run() -> None:
        with ResultWriter(tmp_path, outputs) as writer:
            writer.write(tracked(1, 2), frame("a.mp4", 1))
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(error):
            run()
    assert len((tmp_path / "mot/a.txt").read_text().splitlines()) == 2
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "Image Name,Prediction,Confidence,Track",
        ",traffic light/red,0.50,2",
        ",cat,0.90,1",
    ]


def test_label_files_have_the_id_last() -> None:
    assert tracked(5, 17).label_lines().splitlines() == ["1 0.5 0.5 1 1 17", "0 0.375 0.5 0.5 0.5 5"]
    assert tracked(5).label_lines(confidence=True) == "0 0.375 0.5 0.5 0.5 0.9 5\n"
