"""Whatever is wrong ends in one line and exit code 2, and leaves no half-written thing."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from graphs.train_state import Snapshot, TrainState
from tests.train.samples import ONE_LEVEL, QUICK, Workshop, write_yaml
from yolo.engine.train_step import TrainStep
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights import safetensors_io
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import checkpoint_of

PROGRAM = "yolo.train"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def place(shop: Workshop, tmp_path: Path) -> Workshop:
    """The workshop with runs of this test's own and a data YAML that may be changed."""
    return Workshop(tmp_path, shop.data, shop.model, shop.hyp)


def refused(place: Workshop, *flags: str, **instead: str) -> str:
    """The one line; nothing was printed and no folder for runs made."""
    before = sorted(place.folder.rglob("*"))
    done = place.train("run", "--noplots", *flags, **instead)
    line = done.refusal(PROGRAM)
    assert done.out == "" and sorted(place.folder.rglob("*")) == before
    return line


def own_data(place: Workshop, **changes: object) -> str:
    """The data YAML with ``changes``; None takes a key away."""
    content = {**yaml.safe_load(place.data.read_text()), **changes}
    return str(write_yaml(place.folder / "own.yaml", {k: v for k, v in content.items() if v is not None}))


def copied(place: Workshop) -> tuple[str, Path]:
    """A data set that may be changed: its YAML file and its folder."""
    root = Path(shutil.copytree(place.data.parent, place.folder / "copy"))
    return own_data(place, path=str(root)), root


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ({"data": "absent.yaml"}, "absent.yaml: no such data set file"),
        ({"weights": "absent.pt"}, "no weights 'absent.pt'"),
        ({"cfg": ""}, "--weights '': neither weights nor a model is given; name one with --cfg"),
        ({"cfg": "yolov9z"}, "no model YAML 'yolov9z'; give a file or one of: "),
        ({"hyp": "absent"}, "absent: no such hyperparameter file"),
        ({"imgz": "64"}, "unknown option --imgz; did you mean --imgsz?"),
        ({"epochs": "0"}, "--epochs: is 0; give at least 1"),
        ({"epochs": "many"}, "argument --epochs: invalid int value: 'many'"),
        ({"optimizer": "Lion"}, "argument --optimizer: invalid choice: 'Lion'"),
        ({"device": "97"}, "--device 97"),
    ],
)
def test_options(place: Workshop, instead: dict[str, str], message: str) -> None:
    assert refused(place, **instead).startswith(message)


def test_a_model_of_grey_images(place: Workshop) -> None:
    model = write_yaml(place.folder / "grey.yaml", {**yaml.safe_load(place.model.read_text()), "ch": 1})
    line = refused(place, cfg=str(model))
    assert line == f"{model}: the model takes images of 1 channels, not 3; set 'ch: 3' in it, or leave the line out"


def test_hyperparameters(place: Workshop) -> None:
    hyp = write_yaml(place.folder / "hyp.yaml", {**QUICK, "mosiac": 1.0})
    assert refused(place, hyp=str(hyp)) == f"{hyp}: unknown hyperparameter 'mosiac'; did you mean mosaic?"


def test_a_data_file_without_a_split(place: Workshop) -> None:
    data = own_data(place, train=None)
    assert refused(place, data=data).startswith(f"{data}: no split 'train' (there is val, test)")
    data = own_data(place, val=None)
    assert refused(place, data=data).startswith(f"{data}: no split 'val' (there is train, test)")


def test_no_images(place: Workshop) -> None:
    data, root = copied(place)
    shutil.rmtree(root / "images/train")
    (root / "images/train").mkdir()
    line = refused(place, data=data)
    assert str(root / "images/train") in line and "no image" in line


def test_images_that_are_all_broken(place: Workshop) -> None:
    data, root = copied(place)
    for image in (root / "images/train").iterdir():
        image.write_bytes(image.read_bytes()[:50])
    assert "no usable image in split 'train' (8 left out)" in refused(place, data=data)


def test_no_labels(place: Workshop) -> None:
    data, root = copied(place)
    shutil.rmtree(root / "labels/train")
    for cache in root.rglob("*.cache*"):
        cache.unlink()
    done = place.train("run", "--noplots", data=data)
    assert done.refusal(PROGRAM).startswith(f"{data}: no image of the training split has a label; label files lie")
    assert not (place.folder / "runs").exists()


def test_a_class_without_a_name(place: Workshop) -> None:
    data, root = copied(place)
    with open(root / "labels/train/003.txt", "a") as stream:
        stream.write("7 0.5 0.5 0.1 0.1\n")
    done = place.train("run", "--noplots", data=data)
    line = done.refusal(PROGRAM)
    assert line.startswith(
        f"{root / 'labels/train/003.txt'}:3: label class 7 is out of range, the data set has 2 classes"
    )
    assert not (place.folder / "runs").exists()


def test_weights_that_are_none(place: Workshop) -> None:
    file = place.folder / "w.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, file)
    assert refused(place, weights=str(file)).startswith(f"{file}: a safetensors file, but no YOLOv5 checkpoint")
    network = build_network(parse_model_config(ONE_LEVEL, name="one level"))
    content = safetensors_io.save_checkpoint(file, checkpoint_of(network, ("red", "blue"))).read_bytes()
    for broken in (content[:-7], content[:100], content[:-9] + b"\xff" + content[-8:], b"", b"nonsense" * 20):
        file.write_bytes(broken)
        assert refused(place, weights=str(file)).startswith(f"{file}: ")
    file.write_bytes(content)
    assert load_weights(file).names == ("red", "blue")  # the unbroken one is fine


def test_a_project_that_is_a_file(place: Workshop) -> None:
    (place.folder / "taken").touch()
    line = refused(place, project=str(place.folder / "taken"))
    assert line.endswith("is a file, not a folder; choose another --project") and "taken" in line


def test_a_project_that_cannot_be_written(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def mkdir(path: Path, *args, **options) -> None:
        if "locked" in path.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    project = place.folder / "locked"
    line = refused(place, project=str(project))
    assert line.startswith(str(project)) and line.endswith(": Permission denied")


@pytest.mark.covers("train", "imgsz")
def test_a_size_that_does_not_fit_the_stride_is_rounded(place: Workshop) -> None:
    """To one cell an image at the least: mosaics, batch norm, several sizes and validation work there."""
    hyp = write_yaml(place.folder / "mosaic.yaml", {**QUICK, "mosaic": 1.0, "scale": 0.5, "translate": 0.1})
    done = place.train("run", "--noplots", "--multi-scale", "--noautoanchor", imgsz="5", hyp=str(hyp), batch_size="1")
    assert done.code == 0, done.err
    assert "--imgsz 5 is not a multiple of the stride 8: using 8" in done.err
    last = load_weights(done.folder / "weights/last.safetensors")
    assert last.meta["imgsz"] == 8 and all(np.isfinite(values).all() for values in last.model.values())


def test_a_size_that_memory_has_no_room_for(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is taken: 100000 took memory until the machine gave up."""
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**9)
    line = refused(place, imgsz="100000")
    assert line == (
        "--imgsz 100000: 4 images of 100000 x 100000 pixels take at least 120 GB of memory, and 1.00 GB are free; "
        "lower --imgsz or --batch-size"
    )
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**6)
    assert "4 images of 256 x 256 pixels take at least " in refused(place, imgsz="256")  # the feature maps
    assert "8 images of 384 x 384 pixels" in refused(place, "--multi-scale", imgsz="256", batch_size="8")


def test_a_full_disk_leaves_the_checkpoint_of_the_epoch_before(
    place: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, save = [], safetensors_io.save_file

    def fill(tensors, path, metadata):
        calls.append(metadata)
        if len(calls) <= 2:  # the first epoch's best and last
            return save(tensors, path, metadata=metadata)
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(safetensors_io, "save_file", fill)
    done = place.train("run", "--noplots", epochs="3")
    line = done.refusal(PROGRAM)
    assert line.startswith(f"{done.folder / 'weights/best.safetensors'}: could not be written: ")
    assert "No space left on device" in line and len(calls) == 3 and done.out == ""
    assert {path.name for path in (done.folder / "weights").iterdir()} == {"last.safetensors", "best.safetensors"}
    for name in ("last", "best"):
        assert load_weights(done.folder / f"weights/{name}.safetensors").meta["progress"]["epoch"] == 1


@pytest.mark.parametrize("hours", ["inf", "1e306", "nan"])
def test_hours_without_end(place: Workshop, hours: str) -> None:
    assert refused(place, time=hours).startswith("--time: is ")


def test_memory_that_does_not_suffice(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def backward(self: TrainStep, batch) -> None:
        raise MemoryError("Unable to allocate 224 GiB")

    monkeypatch.setattr(TrainStep, "backward", backward)
    line = place.train("run", "--noplots").refusal(PROGRAM)
    assert line == "not enough memory (Unable to allocate 224 GiB); lower --imgsz or --batch-size"


def test_a_loss_that_is_no_number(place: Workshop) -> None:
    hyp = write_yaml(place.folder / "hyp.yaml", {**QUICK, "box": 1e38})
    done = place.train("run", "--noplots", hyp=str(hyp))
    line = done.refusal(PROGRAM, code=3)
    images = str(place.data.parent / "images/train")
    assert line.startswith("the loss is ") and " at epoch 1, batch 1 of 2 (images in " in line
    assert line.count(images) == 1 and line.count(".png") == 4
    assert "; no checkpoint was saved yet; lower lr0 in the hyperparameters" in line
    assert not list(done.folder.glob("weights/*"))


def test_the_last_good_checkpoint_is_named(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that is no number in the second epoch: what was saved after the first stays, and goes on."""
    update, count = TrainStep.update, iter(range(100))

    def broken(self: TrainStep, rates) -> float:
        norm = update(self, rates)
        return float("nan") if next(count) == 3 else norm

    monkeypatch.setattr(TrainStep, "update", broken)
    done = place.train("run", "--noplots")
    last = done.folder / "weights/last.safetensors"
    line = done.refusal(PROGRAM, code=3)
    assert line.startswith("the gradient's norm is nan at epoch 2, batch 2 of 2 (images in ")
    assert f"; the last good checkpoint is {last}; " in line
    assert load_weights(last).meta["progress"]["epoch"] == 1


@pytest.mark.parametrize("part", ["ema", "training"])
def test_no_checkpoint_holds_what_is_not_finite(place: Workshop, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """From the second epoch on, whatever the cause."""
    usual, count = TrainState.snapshot, iter(range(100))

    def broken(self: TrainState) -> Snapshot:
        state = usual(self)
        nan = {name: array * np.float32("nan") for name, array in getattr(state, part).items()}
        return state if next(count) < 1 else dataclasses.replace(state, **{part: nan})

    monkeypatch.setattr(TrainState, "snapshot", broken)
    done = place.train("run", "--noplots", epochs="3")
    line = done.refusal(PROGRAM, code=3)
    last = done.folder / "weights/last.safetensors"
    assert " tensors are not finite after epoch 2 (" in line and f"the last good checkpoint is {last}" in line
    for kept in done.folder.glob("weights/*"):
        held = load_weights(kept)
        assert held.meta["progress"]["epoch"] == 1
        assert all(np.isfinite(array).all() for array in (held.model | (held.training or {})).values())
