"""The default source: YOLOv5's folder where it is, else the package's images, which an installed package has too."""

from __future__ import annotations

import logging
from distutils.core import run_setup
from pathlib import Path

import pytest

from tests.inference.samples import make_image
from yolo.inference.sources.default import DEMO, default_source
from yolo.inference.sources.files import find_files

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("there", "own"),
    [((), False), (("notes.txt", "train/a.png"), False), (("a.png",), True), (("a.png", "b.mp4"), True)],
)
def test_the_folder_of_yolov5_comes_first_where_it_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, there: tuple[str, ...], own: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in there:
        make_image(tmp_path / "data/images/x.png").rename(tmp_path / "data/images/x")
        (tmp_path / "data/images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "data/images/x").rename(tmp_path / "data/images" / name)
    with caplog.at_level(logging.INFO, "yolo"):
        source = default_source()
    assert source == (Path("data/images") if own else DEMO)
    files = "1 file of" if len(there) == 1 else f"{len(there)} files of"
    said = f"{files} data/images" if own else f"the 2 demo images in {DEMO}"
    assert [record.getMessage() for record in caplog.records] == [f"no --source is given: looking at {said}"]


def test_an_installed_package_has_the_images_and_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    build = run_setup("setup.py", stop_after="init").get_command_obj("build_py")
    build.ensure_finalized()
    packed = {(ROOT / folder / name).resolve() for _, folder, _, names in build.data_files for name in names}
    assert packed >= set(find_files(DEMO)) and len(find_files(DEMO)) == 2
    assert all(file.stat().st_size < 100_000 for file in find_files(DEMO))
