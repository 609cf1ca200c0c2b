"""The trace that ``--profile`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.launched import launch
from tests.train.samples import Done, Workshop
from yolo.engine.trainer import Trainer

STEPS, EPOCHS = 4, 2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("profile"))


def content(done: Done, name: str = "rank0.json") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The spans by time, and what else the file holds."""
    found = json.loads((done.folder / "profile" / name).read_text())
    title, *spans = found["traceEvents"]
    assert title == {"name": "process_name", "ph": "M", "pid": 0, "args": {"name": "rank 0 of 1"}}
    assert {(span["ph"], span["pid"], span["tid"]) for span in spans} == {("X", 0, 0)}
    return sorted(spans, key=lambda span: span["ts"]), found["otherData"]


def _within(span: dict[str, Any], outer: dict[str, Any]) -> bool:
    return outer["ts"] < span["ts"] < outer["ts"] + outer["dur"]


def test_nothing_is_written_without_it(shop: Workshop) -> None:
    done = shop.train("off", "--noplots", epochs="1")
    assert done.code == 0 and not (done.folder / "profile").exists()


@pytest.mark.covers("train", "profile")
def test_where_the_time_goes(shop: Workshop) -> None:
    """Three of an epoch's four steps are drawn, all are added up, and one span holds what is done within it."""
    done = shop.train("on", "--noplots", "--profile", "3", batch_size="2", nbs="4", epochs=str(EPOCHS))
    assert done.code == 0, done.err
    spans, rest = content(done)
    drawn = [(span["name"], span["args"]["epoch"], span["args"]["step"]) for span in spans]
    for epoch in range(EPOCHS):
        steps = [epoch * STEPS + step for step in range(3)]
        for kind in ("data", "step", "backward"):
            assert [step for name, of, step in drawn if (name, of) == (kind, epoch)] == steps
        assert drawn.count(("checkpoint", epoch + 1, (epoch + 1) * STEPS)) == 1
    for step in (span for span in spans if span["name"] == "step"):
        for span in (span for span in spans if _within(span, step)):
            done = step["args"]["step"] + (span["name"] == "agreement")
            assert span["args"]["step"] == done
        inside = [span["name"] for span in spans if _within(span, step)]
        assert inside in (["backward", "agreement"], ["backward", "update", "agreement"])
    assert rest["spans_left_out"] > 0 and rest["peak_rss_mb"] > 50 and (rest["rank"], rest["ranks"]) == (0, 1)
    for epoch in rest["epochs"]:
        sums = epoch["spans"]
        assert sums["step"]["count"] == sums["backward"]["count"] == sums["data"]["count"] == STEPS
        assert sums["validation batch"]["count"] == sums["validation data"]["count"] > 0
        assert epoch["times"]["pictures"] == 8
        loader = epoch["loader"]
        assert set(loader["busy"]) == {"plan", "render"} and loader["bottleneck"] in ("plan", "render", "consumer")
        assert 0 < loader["waiting"] < loader["seconds"] and 0 < loader["busy"]["render"] <= loader["seconds"]
        for name in ("backward", "update"):
            assert 0 < sums[name]["computing"] < sums[name]["seconds"]
        assert sums["step"]["seconds"] >= sums["backward"]["seconds"] + sums["update"]["seconds"]
    compiling = [epoch["spans"]["backward"]["compiling"] for epoch in rest["epochs"]]
    assert compiling[0] > 0 and compiling[1] == 0


@pytest.mark.slow
def test_every_rank_writes_its_own(shop: Workshop) -> None:
    """In each step the ranks go forward and back at the same time: they wait for each other."""
    done = launch(["-m", "yolo.train", *shop.argv("ranks", "--noplots", "--profile", epochs="1")], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = Path(shop.options()["--project"]) / "ranks/profile"
    found = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]
    steps = []
    for rank, one in enumerate(found):
        assert {event["pid"] for event in one["traceEvents"]} == {rank}
        assert (one["otherData"]["rank"], one["otherData"]["ranks"]) == (rank, 2)
        assert one["otherData"]["epochs"][0]["times"]["pictures"] == 4  # of eight
        steps.append([event for event in one["traceEvents"] if event["name"] == "backward"])
    for one, other in zip(*steps):
        assert one["args"]["step"] == other["args"]["step"]
        assert one["ts"] < other["ts"] + other["dur"] and other["ts"] < one["ts"] + one["dur"]


def test_a_run_that_breaks_off_leaves_it_too_and_goes_on_in_another(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = Trainer._train_step

    def failing(self: Trainer, batch):
        if self.progress.step == 3:
            raise RuntimeError("a step fails")
        return train_step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Trainer, "_train_step", failing)
        shop.train("broken", "--noplots", "--profile")
    done = Done(0, "", "", Path(shop.options()["--project"]) / "broken")
    spans, rest = content(done)
    assert [epoch["epoch"] for epoch in rest["epochs"]] == [0, 1]
    assert rest["epochs"][1]["spans"]["backward"]["count"] == 1  # of the epoch's two
    assert [span["name"] for span in spans].count("backward") == 3
    again = shop.train("again", "--noplots", resume=str(done.folder / "weights/last.safetensors"))
    assert again.code == 0, again.err
    spans, _ = content(done, "rank0-from-2.json")
    assert [span["args"]["step"] for span in spans if span["name"] == "backward"] == [2, 3]


def test_a_trace_that_cannot_be_written_costs_a_warning(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("yolo.engine.hooks.profile.write_text_atomic", full)
    done = shop.train("full", "--noplots", "--profile", epochs="1")
    assert done.code == 0 and "no profile: " in done.err and "No space left on device" in done.err
