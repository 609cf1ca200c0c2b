"""The detection command by direct convolutions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.renderers.photos import photo, save_jpeg
from yolo.data.image_file import ImageFile
from yolo.inference.inputs import InputMaker
from yolo.program.inference.planner import plan_inference


@pytest.mark.covers("detect", "exact")
def test_exact(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def plan(*args, exact: bool):
        asked.append(exact)
        return plan_inference(*args, exact=exact)

    monkeypatch.setattr("yolo.program.compiled.plan_inference", plan)
    argv = ("--source", "in", "--nosave", "--json")
    fast, exact = (json.loads(run(*argv, *more)[1])["images"][0]["detections"] for more in ((), ("--exact",)))
    assert asked == sorted(asked) and set(asked) == {False, True} and len(fast) == len(exact) == 5
    for ours, theirs in zip(fast, exact):
        assert ours["class"] == theirs["class"] and ours["conf"] == pytest.approx(theirs["conf"], abs=1e-4)


@pytest.mark.parametrize(
    ("argv", "smaller"),
    [
        (["--nosave"], True),
        (["--nosave", "--save-txt", "--save-csv"], True),
        (["--nosave", "--exact"], False),
        (["--nosave", "--save-crop"], False),
        (["--nosave", "--visualize"], False),
        ([], False),
    ],
    ids=str,
)
def test_photographs_are_decoded_smaller_where_nobody_looks_at_them(
    run, argv: list[str], smaller: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ready = [], InputMaker.letterboxed

    def noting(self: InputMaker, image: object, **options: bool):
        made.append(ready(self, image, **options))
        return made[-1]

    monkeypatch.setattr(InputMaker, "letterboxed", noting)
    path = save_jpeg(Path("in/large.jpg"), photo((300, 400)))
    code, out, _ = run("--source", str(path), "--json", *argv)
    assert code == 0 and len(json.loads(out)["images"][0]["detections"]) == 5
    assert isinstance(made[0].original, ImageFile) == smaller and made[0].box.original == (300, 400)
