"""The train command from end to end: what it writes and says, what each option changes, what stays the same."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.loggers.events import read_scalars, tag
from tests.models.small import small_mapping
from tests.train.samples import ONE_LEVEL, QUICK, Done, Workshop, make_data, write_yaml
from yolo.engine.run_files import COLUMNS
from yolo.metrics import DetectionMetrics
from yolo.models.weights.load import load_weights
from yolo.plots.results import read_results
from yolo.report.page import read_epochs

IMAGES = {
    *("labels.jpg", "labels_correlogram.jpg", "train_batch0.jpg", "train_batch1.jpg", "train_batch2.jpg"),
    *("val_batch0_labels.jpg", "val_batch0_pred.jpg", "confusion_matrix.png", "results.png"),
    *("PR_curve.png", "F1_curve.png", "P_curve.png", "R_curve.png"),
}
RECORDS = {"opt.yaml", "hyp.yaml", "results.csv", "weights/last.safetensors", "weights/best.safetensors"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def full(shop: Workshop) -> Done:
    """Two levels, plots, the table on stdout."""
    return shop.train("full", cfg=str(write_yaml(shop.folder / "two.yaml", small_mapping())))


@pytest.fixture(scope="module")
def base(shop: Workshop) -> Done:
    return shop.train("base", "--noplots", "--json")


@pytest.fixture(scope="module")
def learnt(shop: Workshop) -> Done:
    return shop.train("learnt", "--noplots", "--json", epochs="40", optimizer="AdamW")


def files(folder: Path) -> set[str]:
    """Names below ``folder`` without TensorBoard's."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("events.")}


def weights(done: Done, name: str = "last") -> dict[str, np.ndarray]:
    return load_weights(done.folder / f"weights/{name}.safetensors").model


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(values, b[name]) for name, values in a.items())


def test_every_file_is_there_and_nothing_else(full: Done) -> None:
    assert full.code == 0, full.err
    assert files(full.folder) == IMAGES | RECORDS | {"report.html"}
    for name in IMAGES:
        with Image.open(full.folder / name) as image:
            assert min(image.convert("RGB").size) >= 64, name


@pytest.mark.covers("train", "data", "hyp")
def test_options_and_recipe_are_kept(full: Done, shop: Workshop) -> None:
    options = yaml.safe_load((full.folder / "opt.yaml").read_text())
    assert (options["data"], options["epochs"], options["nbs"]) == (str(shop.data), 2, 4)
    recipe = yaml.safe_load((full.folder / "hyp.yaml").read_text())
    assert {name: recipe[name] for name in QUICK} == QUICK and recipe["momentum"] == 0.937


@pytest.mark.covers("train", "epochs")
def test_results_csv_has_a_line_an_epoch(full: Done) -> None:
    lines = (full.folder / "results.csv").read_text().splitlines()
    assert [name.strip() for name in lines[0].split(",")] == list(COLUMNS) and len(lines) == 3
    table = read_results(full.folder / "results.csv")
    assert table["epoch"].tolist() == [0, 1]
    for name, values in table.items():
        assert np.isfinite(values).all(), name
    for kind in ("box", "obj", "cls"):
        assert (table[f"train/{kind}_loss"] > 0).all() and (table[f"val/{kind}_loss"] > 0).all()


def test_tensorboard_has_what_the_csv_has(full: Done) -> None:
    scalars, table = read_scalars(full.folder), read_results(full.folder / "results.csv")
    assert scalars.keys() == {tag(name) for name in COLUMNS[1:]}
    for name in COLUMNS[1:]:
        pairs = scalars[tag(name)]
        assert [step for step, _ in pairs] == [0, 1]
        np.testing.assert_allclose([value for _, value in pairs], table[name], rtol=1e-4, err_msg=name)


def test_stdout_is_the_table(full: Done) -> None:
    lines = [line.split() for line in full.out.splitlines()]
    assert lines[0] == ["class", "images", "labels", "P", "R", "mAP50", "mAP50-95"]
    assert [line[:3] for line in lines[1:]] == [["all", "6", "12"], ["red", "6", "6"], ["blue", "6", "6"]]
    assert "8 training images, 6 validation images" in full.err and "epoch 2/2" in full.err


def test_the_report_shows_the_run(full: Done) -> None:
    text = (full.folder / "report.html").read_text()
    for word in ('data-s="finished"', "2 epochs.", "<span>--epochs</span>", ">red</th>", "Confusion matrix", "Detect"):
        assert word in text, word
    assert text.count("data:image/jpeg;base64,") == sum(name.endswith(".jpg") for name in IMAGES)
    assert [row.epoch for row in read_epochs(full.folder / "report.html")] == [0, 1]
    assert all(row.times["pictures"] == 8 for row in read_epochs(full.folder / "report.html"))


@pytest.mark.covers("train", "json")
def test_stdout_is_one_json_object_when_asked(base: Done) -> None:
    assert base.code == 0 and base.out.count("\n") == 1
    found = json.loads(base.out)
    assert set(found) == {
        *("schema_version", "command", "save_dir", "epochs", "best_epoch"),
        *("metrics", "per_class", "undetected", "speed_ms", "loader"),
    }
    assert set(found["loader"]) == {"waiting_share", "bottleneck", "queued", "ahead", "rendered"}
    assert 0 <= found["loader"]["waiting_share"] <= 1 and sum(found["loader"]["rendered"].values()) == 8
    assert (found["schema_version"], found["command"], found["save_dir"]) == (1, "train", str(base.folder))
    assert found["epochs"] == 2 and found["best_epoch"] in (0, 1)
    assert set(found["metrics"]) == {"precision", "recall", "map50", "map50_95"}
    assert [(row["class"], row["name"], row["labels"]) for row in found["per_class"]] == [(0, "red", 6), (1, "blue", 6)]
    assert set(found["speed_ms"]) == {"preprocess", "inference", "nms"} and min(found["speed_ms"].values()) > 0


@pytest.mark.covers("train", "noplots")
def test_without_plots_there_are_no_images(base: Done) -> None:
    assert files(base.folder) == RECORDS


def test_checkpoints(base: Done) -> None:
    last, best = (load_weights(base.folder / f"weights/{name}.safetensors") for name in ("last", "best"))
    assert best.training is None and last.names == best.names == ("red", "blue")
    assert {"gradient", "first", "second"} < set(last.training)
    assert {name for name in last.training if name.startswith("weights/")} == {f"weights/{name}" for name in last.model}
    assert last.meta["progress"] == {**last.meta["progress"], "epoch": 2, "step": 4, "updates": 4, "pending": 0}
    assert last.meta["options"]["epochs"] == 2 and last.meta["hyp"]["lr0"] == QUICK["lr0"] and last.meta["imgsz"] == 64


@pytest.mark.covers("train", "workers")
def test_a_seed_gives_the_same_weights_whatever_the_workers(shop: Workshop, base: Done) -> None:
    for workers in ("1", "0", "2"):
        again = shop.train(f"workers{workers}", "--noplots", workers=workers)
        assert same(weights(base), weights(again)), workers
    last, other = load_weights(base.folder / "weights/last.safetensors"), again.folder / "weights/last.safetensors"
    assert same(last.training, load_weights(other).training)


@pytest.mark.covers("train", "recompute")
def test_recomputing_changes_no_bit(shop: Workshop, base: Done) -> None:
    for name, how in (("recompute", ["--recompute"]), ("kept", ["--recompute", "off"])):
        again = shop.train(name, "--noplots", *how)
        assert again.code == 0 and same(weights(base), weights(again)), name
    refused = shop.train("refused", "--recompute", compile="off")
    assert refused.refusal("yolo.train").startswith(
        "--recompute: activation checkpointing needs a compiled training step"
    )


@pytest.mark.covers("train", "seed")
def test_another_seed_gives_other_weights(shop: Workshop, base: Done) -> None:
    other = shop.train("seed1", "--noplots", seed="1")
    assert other.code == 0 and not same(weights(base), weights(other))


def test_losses_fall_and_objects_are_found(learnt: Done) -> None:
    assert learnt.code == 0, learnt.err
    table = read_results(learnt.folder / "results.csv")
    for kind in ("box", "obj", "cls"):
        losses = table[f"train/{kind}_loss"]
        assert losses[-3:].mean() < 0.7 * losses[:3].mean(), kind
    found, fitness = json.loads(learnt.out), 0.1 * table["metrics/mAP_0.5"] + 0.9 * table["metrics/mAP_0.5:0.95"]
    assert found["metrics"]["map50"] > 0.6
    assert found["best_epoch"] == len(fitness) - 1 - int(np.argmax(fitness[::-1]))
    assert found["metrics"]["map50"] == pytest.approx(table["metrics/mAP_0.5"][found["best_epoch"]], abs=1e-3)


@pytest.mark.covers("train", "optimizer")
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
def test_other_optimizers(shop: Workshop, base: Done, optimizer: str) -> None:
    done = shop.train(optimizer, "--noplots", optimizer=optimizer)
    assert done.code == 0, done.err
    kept = load_weights(done.folder / "weights/last.safetensors").training
    assert kept["second"].shape == kept["first"].shape and (kept["second"] > 0).any()
    assert not same(weights(base), weights(done))


@pytest.mark.covers("train", "cos_lr", "noval")
@pytest.mark.parametrize("flags", [(), ("--cos-lr",)])
def test_the_learning_rate_falls_in_a_line_or_a_wave(shop: Workshop, flags: tuple[str, ...]) -> None:
    """Validated only at the end, which is what the other columns show."""
    done = shop.train(f"rates{len(flags)}", "--noplots", "--noval", *flags, epochs="3")
    assert done.code == 0, done.err
    table, end = read_results(done.folder / "results.csv"), QUICK["lrf"]
    for epoch in range(3):
        share = (1 + math.cos(math.pi * epoch / 3)) / 2 if flags else 1 - epoch / 3
        warmth = (2 * epoch + 1) / 100  # two steps an epoch, a hundred to warm up
        assert table["x/lr1"][epoch] == pytest.approx(QUICK["lr0"] * (end + (1 - end) * share) * warmth, rel=1e-4)
    for name in COLUMNS[4:11]:
        assert np.isfinite(table[name]).tolist() == [False, False, True], name


@pytest.mark.covers("train", "label_smoothing", "save_period")
def test_label_smoothing_and_save_period(shop: Workshop, base: Done) -> None:
    done = shop.train("smooth", "--noplots", label_smoothing="0.4", save_period="2", epochs="3")
    ours, usual = (read_results(one.folder / "results.csv") for one in (done, base))
    # Rates begin at zero, so the first epoch of two steps saw equal weights.
    assert ours["train/box_loss"][0] == usual["train/box_loss"][0]
    assert abs(ours["train/cls_loss"][0] / usual["train/cls_loss"][0] - 1) > 0.005
    assert files(done.folder) == RECORDS | {"weights/epoch2.safetensors"}
    kept = load_weights(done.folder / "weights/epoch2.safetensors")
    assert kept.training is None and kept.meta["progress"]["epoch"] == 2
    assert "epoch 2/3 " in done.err  # the console's second


def test_rectangles_of_one_class(shop: Workshop) -> None:
    data = make_data(shop.folder / "wide", train=6, val=4, size=(40, 64))
    done = shop.train("rect", "--noplots", "--json", "--rect", "--single-cls", data=str(data))
    assert done.code == 0, done.err
    assert re.findall(r"compiled the training graph for (\S+),", done.err) == ["4x3x40x64", "2x3x40x64"]
    (row,) = json.loads(done.out)["per_class"]
    assert (row["class"], row["name"], row["labels"]) == (0, "item", 8)
    best = load_weights(done.folder / "weights/best.safetensors")
    assert best.names == ("item",) and best.config["nc"] == 1


@pytest.mark.covers("train", "nosave")
def test_only_the_final_checkpoint(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolo.engine.hooks import checkpoints

    saved, save = [], checkpoints.save_checkpoint
    monkeypatch.setattr(checkpoints, "save_checkpoint", lambda path, what: saved.append(path.name) or save(path, what))
    done = shop.train("nosave", "--noplots", "--nosave")
    assert done.code == 0 and files(done.folder) == RECORDS
    assert saved == ["best.safetensors", "last.safetensors"]


@pytest.mark.covers("train", "patience")
@pytest.mark.parametrize("flags", [(), ("--nosave",)])
def test_patience_ends_a_run(shop: Workshop, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    scores = itertools.count(1.0, -0.01)
    monkeypatch.setattr(DetectionMetrics, "fitness", property(lambda _: next(scores)))
    done = shop.train(f"patience{len(flags)}", "--noplots", "--json", *flags, epochs="6", patience="2")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["best_epoch"], found["epochs"]) == (0, 3)
    assert len(read_results(done.folder / "results.csv")["epoch"]) == 3
    assert files(done.folder) == RECORDS
    assert "stopped early: no improvement in the last 2 epochs (--patience); the best was epoch 1\n" in done.err


@pytest.mark.covers("train", "project", "name", "exist_ok")
def test_folders_are_numbered_or_shared(shop: Workshop) -> None:
    again = [shop.train("exp", "--noplots", "--json", *flags, epochs="1") for flags in ((), (), ("--exist-ok",))]
    folders = [Path(json.loads(done.out)["save_dir"]) for done in again]
    assert folders == [shop.folder / "runs" / name for name in ("exp", "exp2", "exp")]
    assert len(read_results(again[0].folder / "results.csv")["epoch"]) == 1
    assert len(list(folders[0].glob("events.*"))) == 1  # of the later run alone


def test_what_an_earlier_run_reported_does_not_stay(shop: Workshop) -> None:
    folder = shop.folder / "runs/reported"
    folder.mkdir(parents=True)
    for name in ("report.html", "results.png", "mine.txt"):
        (folder / name).write_text("earlier")
    assert shop.train("reported", "--noplots", "--exist-ok", epochs="1").code == 0
    assert (folder / "mine.txt").exists() and not {"report.html", "results.png"} & {p.name for p in folder.iterdir()}


def test_a_single_class_keeps_its_name(shop: Workshop) -> None:
    content = yaml.safe_load(shop.data.read_text())
    root = shop.folder / "thing"
    shutil.copytree(shop.data.parent, root)
    for file in (root / "labels").rglob("*.txt"):
        file.write_text("".join(f"0 {line.split(maxsplit=1)[1]}\n" for line in file.read_text().splitlines()))
    data = write_yaml(shop.folder / "one.yaml", {**content, "path": str(root), "names": ["thing"]})
    done = shop.train("one", "--noplots", "--single-cls", data=str(data), epochs="1")
    assert done.code == 0 and load_weights(done.folder / "weights/best.safetensors").names == ("thing",)


def test_weights_of_another_number_of_classes(shop: Workshop, base: Done) -> None:
    content = yaml.safe_load(shop.data.read_text())
    data = write_yaml(shop.folder / "three.yaml", {**content, "names": ["red", "blue", "green"]})
    file = base.folder / "weights/best.safetensors"
    done = shop.train("three", "--noplots", weights=str(file), cfg="", data=str(data), epochs="1")
    assert done.code == 0 and f"transferred 19 of 21 tensors from {file}" in done.err
    assert load_weights(done.folder / "weights/best.safetensors").config["nc"] == 3


def test_weights_into_a_model_of_ones_own(shop: Workshop, base: Done) -> None:
    """A model with anchors of its own keeps them, as in YOLOv5."""
    own = {**ONE_LEVEL, "anchors": [[10, 10, 20, 20, 30, 30]]}
    cfg = write_yaml(shop.folder / "own.yaml", own)
    file = base.folder / "weights/best.safetensors"
    done = shop.train("own", "--noplots", weights=str(file), cfg=str(cfg), epochs="1")
    assert done.code == 0 and " of 21 tensors from " in done.err
    anchors = next(values for name, values in weights(done).items() if name.endswith(".anchors"))
    np.testing.assert_allclose(anchors.reshape(3, 2) * 8, [[10, 10], [20, 20], [30, 30]])
