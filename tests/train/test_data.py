"""What the train command makes of its data: options of the loader, each seen in what a run leaves behind."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import yaml

from tests.data import stand_in
from tests.data.renderers import stand_ins
from tests.train.samples import QUICK, Done, Workshop, drawn_image, make_data, write_yaml
from tests.train.test_resume import differences, interrupt, resume
from yolo.data.images import write_image
from yolo.data.planner import Planner
from yolo.models.weights.load import load_weights
from yolo.plots.results import read_results


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("train"))


def weights(done: Done) -> dict[str, np.ndarray]:
    return load_weights(done.folder / "weights/last.safetensors").model


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(values, b[name]) for name, values in a.items())


@pytest.mark.covers("train", "fraction")
def test_a_fraction_of_the_training_images(shop: Workshop) -> None:
    done = shop.train("fraction", "--noplots", fraction="0.5", epochs="1", batch_size="100")
    assert done.code == 0 and "4 training images, 6 validation images" in done.err
    assert "compiled the training graph for 4x3x64x64" in done.err  # a step of what there is
    done = shop.train("nothing", "--noplots", fraction="0.01")
    assert done.refusal("yolo.train") == "--fraction: is 0.01, which leaves none of 8 images; give more"


@pytest.mark.covers("train", "multi_scale")
def test_sizes_change_from_batch_to_batch_and_come_again(shop: Workshop) -> None:
    runs = [shop.train(name, "--noplots", "--multi-scale", epochs="3") for name in ("scales", "again")]
    sizes = []
    for done in runs:
        assert done.code == 0, done.err
        assert "9 shapes of batches, each compiled once, share the " in done.err and " GB of 4x3x96x96" in done.err
        sizes.append(re.findall(r"compiled the training graph for (\S+),", done.err))
    assert 3 <= len(set(sizes[0])) == len(sizes[0]) <= 6 and sizes[0] == sizes[1]
    assert set(sizes[0]) <= {f"4x3x{side}x{side}" for side in range(32, 97, 8)}
    assert same(weights(runs[0]), weights(runs[1]))


@pytest.mark.covers("train", "quad")
def test_quads_are_a_quarter_of_the_images_at_twice_the_size(shop: Workshop) -> None:
    done, plain = (shop.train(f"quad{len(flags)}", "--noplots", *flags, epochs="1") for flags in (["--quad"], []))
    assert done.code == 0, done.err
    assert "compiled the training graph for 1x3x128x128" in done.err
    ours, usual = (read_results(one.folder / "results.csv") for one in (done, plain))
    # The parts of the loss are means, so they are of the same order; the gradient is that of all four images.
    for kind in ("box", "obj", "cls"):
        assert 0.2 < ours[f"train/{kind}_loss"][0] / usual[f"train/{kind}_loss"][0] < 5
    done = shop.train("odd", "--noplots", "--quad", batch_size="6")
    expected = "--quad: four images make one, and 6 is not a multiple of four; change --batch-size"
    assert done.refusal("yolo.train") == expected


@pytest.mark.covers("train", "rect", "single_cls")
def test_rectangles_of_several_shapes_and_one_class(shop: Workshop) -> None:
    data = make_data(shop.folder / "wide", train=4, val=4, size=(40, 64))
    image, rows = drawn_image(np.random.default_rng(5), (64, 64))
    for number in range(4):
        write_image(shop.folder / f"wide/images/train/square{number}.png", image)
        text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        (shop.folder / f"wide/labels/train/square{number}.txt").write_text(text)
    done = shop.train("rect", "--noplots", "--rect", "--single-cls", data=str(data), epochs="1")
    assert done.code == 0, done.err
    assert re.findall(r"compiled the training graph for (\S+),", done.err) == ["4x3x40x64", "4x3x64x64"]
    assert "2 shapes of batches, each compiled once" in done.err
    assert load_weights(done.folder / "weights/best.safetensors").names == ("item",)


@pytest.mark.covers("train", "cache")
def test_cached_images_train_the_same_weights(shop: Workshop) -> None:
    hyp = write_yaml(shop.folder / "mosaic.yaml", {**QUICK, "mosaic": 1.0, "translate": 0.1, "scale": 0.5})
    plain = shop.train("uncached", "--noplots", hyp=str(hyp))
    folders = [shop.folder / f"data/images/{name}" for name in ("train.oneflow-64", "val.oneflow-64-val")]
    for name, flags in (("ram", ["--cache"]), ("disk", ["--cache", "disk"])):
        done = shop.train(name, "--noplots", *flags, hyp=str(hyp))
        assert done.code == 0, done.err
        assert "cached 14 images in " in done.err and ("one copy for this machine" in done.err) == (name != "disk")
        assert same(weights(done), weights(plain))
        assert [folder.is_dir() for folder in folders] == [name == "disk"] * 2
    assert [len(list(folder.glob("*.npy"))) for folder in folders] == [8, 6]
    again = shop.train("again", "--noplots", "--noval", "--cache", "disk", hyp=str(hyp))
    assert "cached 8 images in " in again.err and "0.1 MB, of which 0.1 MB were there already" in again.err


def test_a_cache_that_does_not_fit_is_one_line(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.data.image_cache.free_memory", lambda: 4096)
    data = make_data(shop.folder / "own")  # of which no test before may still hold a copy
    done = shop.train("full", "--noplots", "--cache", data=str(data))
    assert done.refusal("yolo.train").startswith("--cache ram: the images take 0.2 MB, and 0.0 MB of memory are free")
    assert not done.folder.exists()


@pytest.mark.covers("train", "image_weights")
def test_images_of_badly_found_classes_come_more_often(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here images 0 to 3 are without labels, so they weigh nothing."""
    data = make_data(shop.folder / "some", train=8, val=6)
    for number in range(4):
        (shop.folder / f"some/labels/train/{number:03}.txt").unlink()
    shown, plan = [], Planner.plan
    monkeypatch.setattr(Planner, "plan", lambda self, epoch, i, *rest, **named: (
        shown.append(i) if self.hyp is not None else None, plan(self, epoch, i, *rest, **named))[1])  # fmt: skip
    runs = [shop.train(name, "--noplots", "--image-weights", data=str(data)) for name in ("weighted", "weighted2")]
    assert [done.code for done in runs] == [0, 0], runs[0].err
    assert len(shown) == 32 and set(shown) <= {4, 5, 6, 7}
    assert sorted(shown[:16]) == sorted(shown[16:])  # several threads plan at once
    assert same(weights(runs[0]), weights(runs[1]))
    done = shop.train("both", "--noplots", "--image-weights", "--rect")
    assert done.refusal("yolo.train").startswith("--image-weights: samples images at random, which --rect does not")


@pytest.mark.covers("train", "albumentations")
def test_extras_through_a_library_that_may_be_absent(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "albumentations", None)
    done = shop.train("absent", "--noplots", "--albumentations")
    assert done.refusal("yolo.train").startswith("--albumentations: the library albumentations cannot be imported")
    assert not done.folder.exists()
    monkeypatch.setitem(sys.modules, "albumentations", stand_in.module())
    monkeypatch.setattr("yolo.data.extras.PROBABILITY", 0.5)
    runs = [shop.train(f"extras{workers}", "--noplots", "--albumentations", workers=workers) for workers in ("0", "2")]
    assert [done.code for done in runs] == [0, 0], runs[0].err
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(shop.train("none", "--noplots")))


@pytest.mark.covers("train", "loader")
def test_the_loader_is_chosen_and_kept(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins.install(monkeypatch)
    absent = shop.train("no_dali", "--noplots", loader="dali")
    assert absent.refusal("yolo.train") == "--loader dali: DALI is not installed; install the extra dali"
    assert not absent.folder.exists()
    with monkeypatch.context() as patched:
        interrupt(patched, 2)
        stopped = shop.train("opencv", "--noplots", loader="opencv")
    assert stopped.code == 130 and yaml.safe_load((stopped.folder / "opt.yaml").read_text())["loader"] == "opencv"
    monkeypatch.setattr(stand_ins.NativeRenderer, "render", None)  # which nobody asks
    again = resume(stopped.folder)
    assert again.code == 0 and "samples rendered" not in again.err, again.err
    monkeypatch.undo()
    stand_ins.install(monkeypatch)
    mixed = shop.train("mixed", "--noplots", "--json")
    assert mixed.err.count("samples rendered: 7 by NativeRenderer, 7 by OpenCVRenderer\n") == 1, mixed.err
    assert json.loads(mixed.out)["loader"]["rendered"] == {"NativeRenderer": 4, "OpenCVRenderer": 4}
    assert same(weights(again), weights(mixed))


def test_drawn_images_sizes_and_quads_are_the_same_after_a_stop(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--noplots", "--image-weights", "--multi-scale", "--quad", "--cache")
    whole = shop.train("never_stopped", *flags, epochs="4")
    assert whole.code == 0, whole.err
    with monkeypatch.context() as patched:
        interrupt(patched, 5)
        stopped = shop.train("stopped", *flags, epochs="4")
    assert stopped.code == 130
    again = resume(stopped.folder)
    assert again.code == 0, again.err
    assert differences(stopped.folder, whole.folder) == []
    kept = load_weights(stopped.folder / "weights/last.safetensors").meta["hooks"]["ImageWeights"]["maps"]
    assert len(kept) == 2
