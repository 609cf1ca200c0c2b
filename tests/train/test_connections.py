"""The train command with experiment trackers (modules that stand for them) and a bucket; nothing leaves the machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from tests.loggers.stand_ins import Library
from tests.train.samples import Done, Workshop
from yolo.config.commands import TRACKERS
from yolo.engine.run_files import COLUMNS
from yolo.loggers.choice import LIBRARIES


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("connections"), val=3)


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **values) -> Library:
    library = Library(LIBRARIES[name], **values)
    monkeypatch.setitem(sys.modules, LIBRARIES[name], library)
    return library


@pytest.fixture
def told(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> tuple[Done, dict[str, Library]]:
    """A run of two epochs that all four trackers hear of."""
    values = {
        "wandb": {"init().id": "w1", "init().dir": "offline-run/files"},
        "mlflow": {"start_run().info.run_id": "m1"},
        "clearml": {"Task.init().id": "c1", "Task.init().get_offline_mode_folder": lambda: "off/c1"},
        "comet": {"OfflineExperiment().get_key": lambda: "k1"},
    }
    libraries = {name: stand_in(monkeypatch, name, **values[name]) for name in TRACKERS}
    flags = ("--loggers", *TRACKERS, "--upload_dataset", "--bbox_interval", "2", "--entity", "team")
    return shop.train("told", *flags, "--artifact_alias", "v7", "--bucket", f"file://{shop.folder}/bucket"), libraries


@pytest.mark.covers("train", "loggers", "entity", "upload_dataset", "bbox_interval", "artifact_alias", "bucket")
def test_trackers_and_a_bucket(told: tuple[Done, dict[str, Library]], shop: Workshop) -> None:
    done, libraries = told
    assert done.code == 0, done.err
    wandb, mlflow = libraries["wandb"], libraries["mlflow"]
    ((_, opened),) = wandb.of("init")
    assert (opened["entity"], opened["mode"], opened["name"]) == ("team", "offline", "told")
    assert opened["config"]["epochs"] == 2 and opened["config"]["hyp"]["momentum"] == 0.937
    logged = wandb.of("init().log")
    numbers = [(arguments[0], named["step"]) for arguments, named in logged if COLUMNS[1] in arguments[0]]
    assert [step for _, step in numbers] == [0, 1] and set(numbers[0][0]) == set(COLUMNS[1:])
    boxes = [named["step"] for arguments, named in logged if "validation" in arguments[0]]
    assert boxes == [1]  # every second epoch
    assert [arguments[0] for arguments, _ in wandb.of("Artifact")] == ["data", "run_w1_model"]
    aliases = [named["aliases"] for _, named in wandb.of("init().log_artifact")]
    assert aliases == [["v7"], ["latest", "best"]]
    names = [named["name"] for _, named in wandb.of("Artifact().add_file")]
    assert sum(name.startswith("images/train/") for name in names) == 8 and names[-1] == "best.safetensors"
    assert [named["step"] for _, named in mlflow.of("log_metrics")] == [0, 1]
    plots = {Path(arguments[0]).name for arguments, _ in mlflow.of("log_artifact")}
    assert {"results.png", "PR_curve.png", "train_batch0.jpg", "val_batch0_pred.jpg", "best.safetensors"} <= plots
    assert libraries["comet"].names()[-1] == "OfflineExperiment().end"
    assert libraries["clearml"].names()[-1] == "Task.init().close"
    assert "wandb: the run was recorded offline; next: wandb sync offline-run" in done.err
    kept = shop.folder / "bucket/told"
    for name in ("weights/best.safetensors", "results.csv", "opt.yaml", "results.png", "val_batch0_pred.jpg"):
        assert (kept / name).read_bytes() == (done.folder / name).read_bytes(), name


@pytest.mark.covers("train", "online")
def test_online_is_asked_for(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = stand_in(monkeypatch, "wandb", **{"init().id": "w1", "init().dir": "x/files"})
    done = shop.train("online", "--noplots", "--loggers", "wandb", "--online", epochs="1")
    assert done.code == 0 and "recorded offline" not in done.err
    assert wandb.of("init")[0][1]["mode"] == "online"


@pytest.mark.covers("train", "artifact_alias")
def test_a_data_set_that_was_uploaded_is_fetched(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"Api().artifact().download": lambda root: str(shop.data.parent), "init().id": "w", "init().dir": "x/y"}
    wandb = stand_in(monkeypatch, "wandb", **values)
    url, flags = "wandb-artifact://team/YOLOv5/pets", ("--noplots", "--loggers", "wandb", "--artifact_alias", "v2")
    refused = shop.train("fetched", *flags, data=url)
    assert refused.refusal("yolo.train") == f"--data {url}: is on W&B's server; add --loggers wandb --online"
    done = shop.train("fetched", *flags, "--online", data=url, epochs="1")
    assert done.code == 0, done.err
    assert wandb.of("Api().artifact") == [(("team/YOLOv5/pets:v2",), {"type": "dataset"})]
    assert yaml.safe_load((done.folder / "opt.yaml").read_text())["data"] == str(shop.data)


@pytest.mark.covers("train", "loggers")
@pytest.mark.parametrize("name", TRACKERS)
def test_a_library_that_is_absent(shop: Workshop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)
    done = shop.train("absent", "--loggers", name)
    line = f"--loggers {name}: is not installed; pip install {LIBRARIES[name]}"
    assert done.refusal("yolo.train") == line and not done.folder.exists()


def test_a_library_that_does_not_fit(shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("raise TypeError('Descriptors cannot be created directly')\n")
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = shop.train("unfit", "--loggers", "mlflow").refusal("yolo.train")
    assert line.startswith("--loggers mlflow: cannot be imported (Descriptors cannot") and "--upgrade mlflow" in line


@pytest.mark.covers("train", "entity", "upload_dataset", "bbox_interval", "artifact_alias")
def test_options_of_wandb_without_it(shop: Workshop) -> None:
    flags = (
        "--entity",
        "team",
        "--upload_dataset",
        "val",
        "--bbox_interval",
        "3",
        "--artifact_alias",
        "v1",
        "--online",
    )
    done = shop.train("idle", "--noplots", *flags, epochs="1")
    assert done.code == 0
    assert (
        "--entity --upload_dataset --bbox_interval --artifact_alias: does nothing without --loggers wandb" in done.err
    )
    assert "--online: does nothing without --loggers" in done.err


@pytest.mark.covers("train", "bucket")
def test_a_bucket_that_cannot_be_used(shop: Workshop) -> None:
    line = shop.train("nowhere", "--bucket", "nonsense://x").refusal("yolo.train")
    assert line.startswith("--bucket nonsense://x: cannot be used") and not (shop.folder / "runs/nowhere").exists()
    (shop.folder / "taken").write_text("a file")
    done = shop.train("full", "--noplots", "--bucket", f"file://{shop.folder}/taken")
    line = done.refusal("yolo.train")
    assert line.startswith(f"--bucket file://{shop.folder}/taken: cannot be written: ") and not done.folder.exists()
    evolved = shop.train("evolved", "--evolve", "1", "--bucket", f"file://{shop.folder}/taken")
    assert evolved.refusal("yolo.train") == line and not evolved.folder.exists()
