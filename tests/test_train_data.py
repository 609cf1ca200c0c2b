"""What the train command makes of its data: options of the loader, each seen in what a run leaves behind."""

from __future__ import annotations

import pytest

from tests.train_samples import Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("train"))


@pytest.mark.covers("train", "fraction")
def test_a_fraction_of_the_training_pictures(shop: Workshop) -> None:
    done = shop.train("fraction", "--noplots", fraction="0.5", epochs="1")
    assert done.code == 0 and "4 pictures to train on, 6 to validate" in done.err
    done = shop.train("nothing", "--noplots", fraction="0.01")
    assert done.refusal("yolo.train") == "--fraction: is 0.01, which leaves none of 8 pictures; give more"
