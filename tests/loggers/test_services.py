"""Each tracker's library is called as its documentation says, with the run's names and numbers."""

from __future__ import annotations

import os
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.loggers.stand_ins import Library
from yolo.errors import ConfigError, DataError
from yolo.loggers.clearml import ClearMl
from yolo.loggers.comet import Comet
from yolo.loggers.mlflow import Mlflow
from yolo.loggers.service import FoundObjects, RunInfo
from yolo.loggers.wandb import Wandb, download_dataset

VALUES = {"train/box_loss": 0.5, "metrics/mAP_0.5:0.95": 0.25}
PLAIN = {"train/box_loss": 0.5, "metrics/mAP_0.5_0.95": 0.25}


def info(folder: Path, *, online: bool = False, options: int = 2) -> RunInfo:
    index = types.SimpleNamespace(
        paths=(Path("a/one.png"), Path("b/one.png")),
        labels=[np.array([[1, 0.5, 0.5, 0.25, 0.125]], np.float32), np.zeros((0, 5), np.float32)],
        segments=[[np.zeros((0, 2), np.float32)], []],
    )
    given = {f"option{number}": number for number in range(options)}
    splits = {"train": index, "val": index}
    return RunInfo(folder / "exp7", "YOLOv5", given, {"lr0": 0.01}, ("cat", "dog"), splits, "pets", online)


def run(service, told: RunInfo, identity: str | None = None):
    """A run of one epoch; gives its identity and the last line."""
    known = service.start(told, identity)
    service.numbers(VALUES, 3)
    service.images([Path("x/results.png")], 4)
    service.weights(Path("x/best.safetensors"), ["latest", "best"], 3)
    return known, service.finish(failed=False)


def test_wandb(tmp_path):
    library = Library("wandb", **{"init().id": "abc", "init().dir": str(tmp_path / "wandb/offline-run-1/files")})
    identity, line = run(Wandb(library, entity="team"), info(tmp_path))
    assert identity == "abc" and line == f"wandb sync {tmp_path}/wandb/offline-run-1"
    assert library.of("init") == [
        (
            (),
            {
                **{"project": "YOLOv5", "entity": "team", "name": "exp7", "id": None, "resume": None},
                **{"dir": str(tmp_path / "exp7"), "mode": "offline", "job_type": "train"},
                "config": {"option0": 0, "option1": 1, "hyp": {"lr0": 0.01}},
            },
        )
    ]
    assert library.of("init().log")[0] == ((VALUES,), {"step": 3})
    assert library.of("Image") == [(("x/results.png",), {"caption": "results"})]
    assert library.of("Artifact") == [(("run_abc_model",), {"type": "model", "metadata": {"epoch": 3}})]
    assert library.of("Artifact().add_file") == [(("x/best.safetensors",), {"name": "best.safetensors"})]
    assert library.of("init().log_artifact")[0][1] == {"aliases": ["latest", "best"]}
    assert library.calls[-1] == ("init().finish", (), {"exit_code": 0})


def test_wandb_goes_on_with_a_run_only_online(tmp_path):
    for online, resume in ((False, None), (True, "allow")):
        library = Library("wandb", **{"init().id": "abc", "init().dir": "x/files"})
        _, line = run(Wandb(library, upload_dataset="all"), info(tmp_path, online=online), "abc")
        ((_, named),) = library.of("init")
        assert (named["id"], named["resume"], named["entity"]) == ("abc", resume, None)
        assert (line is None, named["mode"]) == ((True, "online") if online else (False, "offline"))
        assert [arguments[0] for arguments, _ in library.of("Artifact")] == ["run_abc_model"]  # uploaded before


def test_wandb_shows_boxes(tmp_path):
    library = Library("wandb", **{"init().id": "abc"})
    service = Wandb(library)
    service.start(info(tmp_path), None)
    image = np.zeros((8, 8, 3), np.uint8)
    service.found([FoundObjects("one.png", image, np.array([[1, 2, 3, 4, 0.5, 1]], np.float32))], 2)
    ((arguments, named),) = library.of("Image")
    assert arguments[0] is image and named["caption"] == "one.png"
    boxes = named["boxes"]["predictions"]
    assert boxes["class_labels"] == {0: "cat", 1: "dog"}
    assert boxes["box_data"] == [
        {
            "position": {"minX": 1.0, "minY": 2.0, "maxX": 3.0, "maxY": 4.0},
            **{"class_id": 1, "box_caption": "dog 0.50", "scores": {"confidence": 0.5}, "domain": "pixel"},
        }
    ]


@pytest.mark.parametrize(("wanted", "splits"), [("all", ["train", "val"]), ("val", ["val"])])
def test_wandb_uploads_the_data_set(tmp_path, wanted, splits):
    library = Library("wandb", **{"init().id": "abc"})
    Wandb(library, upload_dataset=wanted, alias="v3").start(info(tmp_path), None)
    assert library.of("Artifact") == [(("pets",), {"type": "dataset", "metadata": {"names": ["cat", "dog"]}})]
    added = [(arguments[0], named["name"]) for arguments, named in library.of("Artifact().add_file")]
    assert added == [
        (path, f"images/{split}/{number:06}_one.png")
        for split in splits
        for number, path in enumerate(("a/one.png", "b/one.png"))
    ]
    written = [arguments[0] for arguments, _ in library.of("Artifact().new_file")]
    assert written == [
        *(f"labels/{split}/{number:06}_one.txt" for split in splits for number in range(2)),
        "data.yaml",
    ]
    texts = [arguments[0] for arguments, _ in library.of("Artifact().new_file().write")]
    assert texts[:2] == ["1 0.5 0.5 0.25 0.125\n", ""]
    content = yaml.safe_load(texts[-1])
    assert content["names"] == {0: "cat", 1: "dog"} and content["train"] == f"images/{splits[0]}"
    assert library.of("init().log_artifact")[0][1] == {"aliases": ["v3"]}


def test_wandb_fetches_a_data_set(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [a]\n")
    library = Library("wandb", **{"Api().artifact().download": lambda root: str(tmp_path)})
    found = download_dataset(library, "wandb-artifact://team/YOLOv5/pets", "v3", tmp_path / "sets")
    assert found == tmp_path / "data.yaml"
    assert library.of("Api().artifact") == [(("team/YOLOv5/pets:v3",), {"type": "dataset"})]
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"holds no data\.yaml"):
        download_dataset(library, "wandb-artifact://team/YOLOv5/pets", "v3", tmp_path)
    broken = Library("wandb", **{"Api()": OSError("no network")})
    with pytest.raises(DataError, match="no network"):
        download_dataset(broken, "wandb-artifact://team/YOLOv5/pets", "v3", tmp_path)


def test_mlflow(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    library = Library("mlflow", **{"start_run().info.run_id": "abc"})
    identity, line = run(Mlflow(library), info(tmp_path, options=150))
    assert identity == "abc" and line == f"mlflow ui --backend-store-uri {tmp_path}/mlruns"
    assert library.calls[:3] == [
        ("set_tracking_uri", (f"file://{tmp_path}/mlruns",), {}),
        ("set_experiment", ("YOLOv5",), {}),
        ("start_run", (), {"run_id": None, "run_name": "exp7"}),
    ]
    chunks = [arguments[0] for arguments, _ in library.of("log_params")]
    assert [len(chunk) for chunk in chunks] == [100, 51] and chunks[1]["lr0"] == "0.01"
    assert library.of("log_metrics") == [((PLAIN,), {"step": 3})]
    assert library.of("log_artifact") == [
        (("x/results.png",), {"artifact_path": "plots"}),
        (("x/best.safetensors",), {"artifact_path": "weights"}),
    ]
    assert library.calls[-1] == ("end_run", (), {"status": "FINISHED"})


def test_mlflow_goes_on_with_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")  # a user's own
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    library = Library("mlflow", **{"start_run().info.run_id": "abc"})
    _, line = run(Mlflow(library), info(tmp_path, online=True), "abc")
    assert line is None and library.of("set_tracking_uri") == [(("http://tracker",), {})]
    patience = [os.environ[f"MLFLOW_HTTP_REQUEST_{name}"] for name in ("TIMEOUT", "MAX_RETRIES")]
    assert patience == ["99", "2"]  # a server that does not answer is soon given up
    assert library.of("start_run") == [((), {"run_id": "abc", "run_name": None})]
    assert not library.of("log_params")  # which cannot change
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(ConfigError, match="set MLFLOW_TRACKING_URI"):
        Mlflow(library).start(info(tmp_path, online=True), None)


def test_comet(tmp_path):
    library = Library("comet_ml", **{"OfflineExperiment().get_key": lambda: "abc"})
    (tmp_path / "exp7").mkdir()
    identity, line = run(Comet(library), info(tmp_path))
    assert identity == "abc" and line == f"comet upload {tmp_path}/exp7/comet/*.zip"
    quiet = {"auto_metric_logging": False, "auto_param_logging": False, "auto_output_logging": False}
    assert library.calls == [
        (
            "OfflineExperiment",
            (),
            {"project_name": "YOLOv5", "offline_directory": str(tmp_path / "exp7/comet"), **quiet},
        ),
        ("OfflineExperiment().set_name", ("exp7",), {}),
        ("OfflineExperiment().log_parameters", ({"option0": 0, "option1": 1, "lr0": 0.01},), {}),
        ("OfflineExperiment().log_metrics", (PLAIN,), {"step": 3, "epoch": 3}),
        ("OfflineExperiment().log_image", ("x/results.png",), {"name": "results.png", "step": 4}),
        (
            "OfflineExperiment().log_model",
            ("yolo", "x/best.safetensors"),
            {"file_name": "best.safetensors", "overwrite": True},
        ),
        ("OfflineExperiment().log_other", ("finished", True), {}),
        ("OfflineExperiment().end", (), {}),
    ]


@pytest.mark.parametrize(
    ("online", "identity", "opened", "named"),
    [
        (True, None, "Experiment", {"project_name": "YOLOv5"}),
        (True, "abc", "ExistingExperiment", {"experiment_key": "abc"}),
        (False, "abc", "ExistingOfflineExperiment", {"previous_experiment": "abc"}),
    ],
)
def test_comet_opens_the_run_that_is_meant(tmp_path, online, identity, opened, named):
    (tmp_path / "exp7").mkdir()
    library = Library("comet_ml")
    Comet(library).start(info(tmp_path, online=online), identity)
    name, _, given = library.calls[0]
    assert name == opened and named.items() <= given.items() and ("offline_directory" in given) != online


def test_clearml(tmp_path):
    library = Library("clearml", **{"Task.init().id": "abc", "Task.init().get_offline_mode_folder": lambda: "off/abc"})
    identity, line = run(ClearMl(library), info(tmp_path))
    assert identity == "abc" and "Task.import_offline_session('off/abc.zip')" in line
    assert library.calls[0] == ("Task.set_offline", (), {"offline_mode": True})
    (_, named) = library.of("Task.init")[0]
    assert (named["project_name"], named["task_name"], named["continue_last_task"]) == ("YOLOv5", "exp7", False)
    assert library.of("Task.init().connect") == [
        (({"option0": 0, "option1": 1},), {"name": "Options"}),
        (({"lr0": 0.01},), {"name": "Hyperparameters"}),
    ]
    scalars = [named for _, named in library.of("Task.init().get_logger().report_scalar")]
    assert scalars[1] == {"title": "metrics", "series": "mAP_0.5:0.95", "value": 0.25, "iteration": 3}
    (_, image) = library.of("Task.init().get_logger().report_image")[0]
    assert image == {"title": "plots", "series": "results", "iteration": 4, "local_path": "x/results.png"}
    (_, weights) = library.of("Task.init().upload_artifact")[0]
    assert weights == {"name": "best", "artifact_object": "x/best.safetensors"}
    assert library.calls[-1][0] == "Task.init().close"


@pytest.mark.parametrize(
    ("maker", "call", "named"),
    [
        (Wandb, "init().finish", {"exit_code": 1}),
        (Mlflow, "end_run", {"status": "FAILED"}),
        (ClearMl, "Task.init().mark_failed", {"status_reason": "training broke off"}),
    ],
)
def test_a_failed_run_is_said_to_have_failed(tmp_path, monkeypatch, maker, call, named):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    library = Library("any", **{"init().dir": "x/files"})
    service = maker(library)
    service.start(info(tmp_path, online=True), None)
    assert service.finish(failed=True) is None
    assert library.of(call) == [((), named)]
