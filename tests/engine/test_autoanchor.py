"""The check of the anchors through the train command: fitted where they must be, kept where they fit or on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models.small import small_mapping
from tests.train.samples import ONE_LEVEL, QUICK, SIZE, Done, Workshop, write_yaml
from yolo.anchors import box_sizes, recall
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.engine.autoanchor import PRETRAINED
from yolo.models.network import build_network
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import network_from_checkpoint

LARGE = [[200, 200, 300, 200, 200, 300]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("anchors"))


def train(shop: Workshop, name: str, model: dict, *flags: str, **instead: str) -> Done:
    cfg = write_yaml(shop.folder / f"{name}.yaml", model)
    done = shop.train(name, "--noplots", *flags, cfg=str(cfg), **{"epochs": "1", **instead})
    assert done.code == 0, done.err
    return done


def anchors_of(done: Done, name: str = "best") -> np.ndarray:
    return network_from_checkpoint(load_weights(done.folder / f"weights/{name}.safetensors")).anchors


def sizes_of(shop: Workshop) -> np.ndarray:
    return box_sizes(index_split(load_dataset(shop.data), "train"), SIZE)


@pytest.mark.covers("train", "noautoanchor")
def test_anchors_that_fit_nothing_are_fitted_unless_that_is_switched_off(shop: Workshop) -> None:
    model = {**ONE_LEVEL, "anchors": LARGE}
    kept = train(shop, "kept", model, "--noautoanchor")
    assert anchors_of(kept).reshape(1, 6).tolist() == LARGE and "anchors:" not in kept.err
    done = train(shop, "fitted", model)
    fits = "anchors: 0.00 anchors/target, 0.0000 best possible recall (BPR)"
    assert f"{fits}; fitting new ones to 16 boxes (recall should be above 0.98)\n" in done.err
    found = anchors_of(done)
    assert recall(sizes_of(shop), found, 4.0).best == 1 and "1.0000 best possible recall (BPR) with new" in done.err
    assert (np.diff(found.prod(-1)) >= 0).all() and np.array_equal(found, anchors_of(done, "last"))
    again = train(shop, "again", model, weights=str(kept.folder / "weights/best.safetensors"))
    assert np.array_equal(found, anchors_of(again))
    assert f"\n{PRETRAINED}\n" in again.err and PRETRAINED not in done.err + kept.err
    assert "pretrained" in PRETRAINED and "--noautoanchor" in PRETRAINED


def test_anchors_that_fit_stay(shop: Workshop) -> None:
    done = train(shop, "fits", ONE_LEVEL)
    assert "anchors/target, 1.0000 best possible recall (BPR): they fit the data" in done.err
    assert "fitting" not in done.err
    np.testing.assert_allclose(anchors_of(done).reshape(1, 6), ONE_LEVEL["anchors"])


def test_as_many_anchors_as_the_recipe_says_on_levels_from_fine_to_coarse(shop: Workshop) -> None:
    hyp = write_yaml(shop.folder / "hyp4.yaml", {**QUICK, "anchors": 4.3})
    done = train(shop, "four", small_mapping(), hyp=str(hyp))
    found = anchors_of(done)
    assert found.shape == (2, 4, 2) and (np.diff(found.reshape(-1, 2).prod(1)) >= 0).all()
    assert recall(sizes_of(shop), found, 4.0).best == 1
    assert "anchors: 4.3" in (done.folder / "hyp.yaml").read_text()
    again = train(shop, "from", small_mapping(), "--noautoanchor", hyp=str(hyp))
    np.testing.assert_allclose(anchors_of(again), build_network(again.folder.parents[1] / "from.yaml").anchors)


def test_a_model_without_anchors_of_its_own(shop: Workshop) -> None:
    done = train(shop, "none", {**ONE_LEVEL, "anchors": 2})
    assert recall(sizes_of(shop), anchors_of(done), 4.0).best == 1
    cfg = Path(shop.folder / "none.yaml")
    line = shop.train("refused", "--noautoanchor", cfg=str(cfg)).refusal("yolo.train")
    assert line.startswith("--noautoanchor: the model gives the number of anchors, but not the anchors; leave it out")
    weights = done.folder / "weights/best.safetensors"
    moved = train(shop, "moved", ONE_LEVEL, "--noautoanchor", weights=str(weights))
    np.testing.assert_allclose(anchors_of(moved).reshape(1, 6), ONE_LEVEL["anchors"])
