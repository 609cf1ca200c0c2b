"""Published weights by name: fetched once, checked, and never used unchecked; through the commands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.small import small_mapping
from tests.parity import PARITY, needs_parity
from tests.train.samples import ONE_LEVEL, Done, Workshop, run
from tests.web import Web, serve
from yolo import detect, export, val
from yolo.errors import WeightsError
from yolo.io.download import sha256_of
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights import hub
from yolo.models.weights.load import load_weights, resolve_weights
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The published files, served here: yolov5n of known sum, yolov5m and yolov5s6 of unknown sum."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    network = build_network(parse_model_config(small_mapping(), name="small"), nc=2)
    content = save_checkpoint(tmp_path / "small.safetensors", checkpoint_of(network, ("red", "blue"))).read_bytes()
    with serve() as web:
        web.files = {f"/v7.0/{name}.pt": content for name in ("yolov5n", "yolov5m", "yolov5s6")}
        monkeypatch.setattr(hub, "RELEASES", web.address)
        monkeypatch.setattr(hub, "_KNOWN", {"yolov5n.pt": ("v7.0", hashlib.sha256(content).hexdigest())})
        yield web


def left() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("yolov5n", "weights/yolov5n.pt"),
        ("yolov5n.pt", "weights/yolov5n.pt"),
        ("models/yolov5n.pt", "models/yolov5n.pt"),
    ],
)
def test_a_file_of_known_sum_is_fetched_once(web: Web, name: str, target: str) -> None:
    assert load_weights(name).names == ("red", "blue") and left() == [target]
    assert resolve_weights(name) == Path(target) and len(web.asked) == 1


def test_what_lies_here_comes_first(web: Web) -> None:
    Path("yolov5n.pt").write_bytes(b"mine")
    assert resolve_weights("yolov5n") == Path("yolov5n.pt") and not web.asked


def test_another_file_than_the_known_one_is_refused(web: Web) -> None:
    web.files["/v7.0/yolov5n.pt"] += b"!"
    with pytest.raises(WeightsError, match=r"looked for yolov5n, .*has SHA-256 \w+, expected was"):
        load_weights("yolov5n")
    assert left() == [] and not Path("weights").exists()


@pytest.mark.parametrize("name", ["yolov5m", "yolov5s6.pt", "sub/yolov5m.pt", "{}/v7.0/yolov5m.pt"])
def test_a_file_of_unknown_sum_is_used_when_the_sum_is_stated(web: Web, name: str) -> None:
    name = name.format(web.address)
    for _ in range(2):
        with pytest.raises(WeightsError, match="nothing here says what its SHA-256 must be") as caught:
            load_weights(name)
    offered = str(caught.value).partition("say --weights '")[2].rstrip("'")
    with pytest.raises(WeightsError, match="has SHA-256"):
        load_weights(offered[:-64] + "0" * 64)
    before = len(web.asked)
    assert load_weights(offered).names == ("red", "blue") and len(web.asked) == before
    (found,) = left()
    assert found.endswith(Path(offered.partition("#")[0]).name.removesuffix(".pt") + ".pt")
    assert load_weights(name).names == ("red", "blue") and len(web.asked) == before
    with pytest.raises(WeightsError, match="not the one stated"):
        load_weights(offered[:-64] + "0" * 64)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yolov5n#sha256=12", "'12' is not a SHA-256 sum; give its 64 hex digits"),
        ("http://127.0.0.1:9/page.html", "does not end in .pt"),
        ("http://[::1", "does not end in .pt"),
        ("https://127.0.0.1:9/x.pt", "looked for x.pt, weights/x.pt.*cannot be fetched"),
        ("yolov9", "or a published one's name: yolov5n.pt"),
        ("yolov5l", "cannot be fetched .404"),
    ],
)
def test_clear_lines(web: Web, name: str, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        load_weights(name)
    assert "\n" not in str(caught.value) and left() == []


def test_offline_is_a_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"no weights 'yolov5s'.*weights/yolov5s\.pt.*connection refused"):
        load_weights("yolov5s")
    assert list(tmp_path.iterdir()) == []


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize("name", ["yolov5n.pt", "yolov5s.pt"])
def test_known_sums_are_those_of_the_published_files(name: str) -> None:
    assert sha256_of(PARITY / "weights" / name) == hub._KNOWN[name][1]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("hub"))


@pytest.mark.covers("train", "weights")
@pytest.mark.covers("val", "weights")
@pytest.mark.covers("detect", "weights")
@pytest.mark.covers("export", "weights")
def test_commands_take_published_names(web: Web, shop: Workshop, tmp_path: Path, monkeypatch) -> None:
    network = build_network(parse_model_config(ONE_LEVEL, name="one level"), nc=2)
    content = save_checkpoint(tmp_path / "one.safetensors", checkpoint_of(network, ("red", "blue"))).read_bytes()
    web.files["/v7.0/yolov5n.pt"] = content
    monkeypatch.setattr(hub, "_KNOWN", {"yolov5n.pt": ("v7.0", hashlib.sha256(content).hexdigest())})
    # One step of training: what is looked at is where the weights come from.
    trained = shop.train("run", "--noplots", weights="yolov5n.pt", cfg="", epochs="1", project=str(tmp_path / "runs"))
    assert trained.code == 0 and "transferred 21 of 21 tensors from yolov5n.pt" in trained.err, trained.err
    usual = ["--imgsz", "64", "--device", "cpu", "--weights"]
    image = next((shop.data.parent / "images/val").iterdir())
    commands = {
        val.main: ["--data", str(shop.data), "--noplots", "--project", str(tmp_path / "val")],
        detect.main: ["--source", str(image), "--project", str(tmp_path / "detect")],
        export.main: [],
    }
    for main, argv in commands.items():
        flags = [word for word in usual if main is not export.main or word not in ("--device", "cpu")]
        done = run(main, [*argv, *flags, "yolov5n"], tmp_path)
        assert done.code == 0, done.err
        refused: Done = run(main, [*argv, *flags, "yolov5l"], tmp_path)
        assert "404" in refused.refusal(f"yolo.{main.__module__.rpartition('.')[2]}")
    program = ["weights/yolov5n.program", "weights/yolov5n.program.verified.json"]
    assert left() == [*program, "weights/yolov5n.pt"] and len(web.asked) == 4
