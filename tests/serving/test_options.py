"""Each option of the command, by what its server answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bfloat16 import HAS_BF16
from tests.inference.samples import NAMES, make_image, make_weights
from tests.serving.client import Answer, Client, image_file, served
from yolo import serve

IMAGE = image_file()


@pytest.fixture
def run(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any, str, str]]:
    """Runs the command until it was asked; gives its exit code, the answer, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("yolo"), "handlers", [])
    base = ["--weights", str(weights), "--imgsz", "64", "--conf-thres", "0.001", "--max-det", "20", "--device", "cpu"]

    def call(*argv: str, ask: Callable[[Client], Any] = lambda client: client.detect(IMAGE)) -> tuple:
        code, answer = served(serve.main, [*base, *argv], ask)
        return code, answer, *capfd.readouterr()

    return call


def boxes(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.body
    return np.array([[*one["xyxy"], one["conf"], one["class"]] for one in answer.json["detections"]])


@pytest.mark.covers("serve", "weights", "imgsz", "device", "port", "json")
def test_json_says_what_was_answered(run) -> None:
    def ask(client: Client) -> str:
        client.detect(IMAGE)
        client.detect(b"nothing")
        return client.address

    code, address, out, err = run("--json", ask=ask)
    assert code == 0
    found = json.loads(out)
    assert found == {
        "schema_version": 1, "command": "serve", "address": address, "requests": {"200": 1, "415": 1},
    }  # fmt: skip
    said = f"listening on {address} (a page; POST /v1/detect, /healthz, /metrics); Ctrl-C ends it"
    assert err.splitlines() == [said, "stopped; 1 request answered, 1 refused or failed"]


@pytest.mark.covers("serve", "conf_thres", "iou_thres", "max_det", "classes", "agnostic_nms")
def test_settings_of_nms(run) -> None:
    whole = boxes(run()[1])
    assert len(whole) == 20
    assert len(boxes(run("--max-det", "7")[1])) == 7
    conf = float(whole[5, 4]) - 1e-6
    assert (boxes(run("--conf-thres", str(conf))[1])[:, 4] > conf - 1e-5).all()
    assert set(boxes(run("--classes", "1")[1])[:, 5]) == {1}
    many, strict = ("--max-det", "1000"), ("--max-det", "1000", "--iou-thres", "0")
    everything, apart = len(boxes(run(*many)[1])), len(boxes(run(*strict)[1]))
    assert len(boxes(run(*strict, "--agnostic-nms")[1])) < apart < everything


@pytest.mark.covers("serve", "augment", "compile", "exact", "half")
def test_ways_to_compute(run) -> None:
    whole = boxes(run()[1])
    assert not np.array_equal(boxes(run("--augment")[1]), whole)
    for argv in (["--compile", "off"], ["--exact"]):
        np.testing.assert_allclose(boxes(run(*argv)[1])[:5], whole[:5], atol=0.02)
    if HAS_BF16:
        assert not np.array_equal(boxes(run("--half")[1]), whole)
    else:
        assert serve.main(["--weights", "absent.pt", "--port", "0", "--half", "--device", "cpu"]) == 2


@pytest.mark.covers("serve", "slice", "overlap")
def test_slices(run) -> None:
    whole, sliced, other = (
        boxes(run(*flags)[1]) for flags in ((), ("--slice", "32"), ("--slice", "32", "--overlap", "0"))
    )
    assert not np.array_equal(sliced, whole) and not np.array_equal(sliced, other)


@pytest.mark.covers("serve", "data", "int8")
def test_names_and_calibration_from_a_data_set(run, tmp_path: Path) -> None:
    for number in range(2):
        make_image(tmp_path / f"images/train/{number}.png", seed=number)
    names = ["first", "second"]
    (tmp_path / "my.yaml").write_text(json.dumps({"path": str(tmp_path), "train": "images/train", "names": names}))
    answer = run("--data", "my.yaml")[1]
    assert {one["name"] for one in answer.json["detections"]} == set(names) != set(NAMES)
    code, answer, _, err = run("--data", "my.yaml", "--int8")
    assert code == 0 and len(boxes(answer)) and "int8" in err
    assert run("--int8", ask=lambda client: None)[0] == 2


def test_several_weights_are_an_ensemble(run, weights: Path, tmp_path: Path) -> None:
    other = make_weights(tmp_path / "other.safetensors", seed=1)
    several = ([weights], [other], [weights, other])
    counts = [len(boxes(run("--max-det", "1000", "--weights", *map(str, some))[1])) for some in several]
    assert len(set(counts)) == 3


@pytest.mark.covers("serve", "host", "allowed_hosts")
def test_addresses_and_names(run) -> None:
    def named(client: Client) -> list[int]:
        return [client.detect(IMAGE, Host=host).status for host in ("localhost", "box.local", "other.local")]

    assert run(ask=named)[1] == [200, 421, 421]
    assert run("--allowed-hosts", "box.local", ask=named)[1] == [200, 200, 421]
    _, answers, _, err = run("--host", "0.0.0.0", ask=named)
    assert answers == [200, 200, 200]
    assert "everybody who reaches 0.0.0.0 may use this server: it has no password" in err.splitlines()
