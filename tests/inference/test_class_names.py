"""Ensembles and given names: every detection keeps the name that its network gave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import NAMES, noise
from tests.swapped import swapped
from yolo.errors import ConfigError
from yolo.export import main as export_main
from yolo.inference.detector import Detector

OPTIONS = dict(device="cpu", imgsz=64, conf=0.3, max_det=20)
EQUAL = dict(rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def other(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with its two classes in the other order."""
    return swapped(weights, tmp_path_factory.mktemp("other") / "other.safetensors")


def by_name(detector: Detector, name: str) -> np.ndarray:
    """The boxes and confidences of a class."""
    found = detector(noise())
    return found.rows[[found.names[number] == name for number in found.boxes.cls], :5]


def test_an_ensemble_of_other_orders(weights: Path, other: Path) -> None:
    """Whatever the order, a network beside itself finds what it finds alone, under the first one's numbers."""
    alone = Detector([weights, weights], **OPTIONS)(noise())
    assert len(set(alone.boxes.cls)) == 2
    both = Detector([weights, other], **OPTIONS)
    assert both.names == NAMES
    np.testing.assert_allclose(both(noise()).rows, alone.rows, **EQUAL)


def test_compiled_files_in_an_ensemble(weights: Path, other: Path) -> None:
    assert export_main(["--weights", str(other), "--imgsz", "64"]) == 0
    program = other.with_suffix(".program")
    alone = Detector(weights, **OPTIONS)(noise())
    for files in ((weights, program), (program, weights)):
        found = Detector(files, **OPTIONS)
        assert found.names == (NAMES if files[0] == weights else NAMES[::-1])
        for name in NAMES:
            expected = alone.rows[[alone.names[number] == name for number in alone.boxes.cls], :5]
            np.testing.assert_allclose(by_name(found, name), expected, **EQUAL)
    renumbered = Detector(program, names=NAMES, **OPTIONS)
    np.testing.assert_allclose(renumbered(noise()).rows, alone.rows, **EQUAL)


def test_an_ensemble_of_other_names(weights: Path, other: Path, tmp_path: Path, caplog) -> None:
    clash = swapped(weights, tmp_path / "clash.safetensors", ("dog", "cat"))
    with pytest.raises(ConfigError, match=r"clash.*: 'cat' is class 1 here and class 0 in .*small\.safetensors"):
        Detector([weights, clash], **OPTIONS)
    renamed = swapped(other, tmp_path / "renamed.safetensors", ("kitten", NAMES[1]))
    np.testing.assert_allclose(
        Detector([weights, renamed], **OPTIONS)(noise()).rows, Detector([weights] * 2, **OPTIONS)(noise()).rows, **EQUAL
    )
    assert sum("a class name differs (0 is 'kitten' here" in line for line in caplog.messages) == 1


def test_given_names(weights: Path, detector: Detector, caplog) -> None:
    """New names replace by number, without a word; the same ones in another order number anew."""
    new = Detector(weights, names=("Katze", "Ampel"), **OPTIONS)
    assert new.names == ("Katze", "Ampel") and not caplog.messages
    anew = Detector(weights, names=NAMES[::-1], **OPTIONS)
    assert anew.names == NAMES[::-1]
    plain = Detector(weights, **OPTIONS)
    for name in NAMES:
        np.testing.assert_allclose(by_name(anew, name), by_name(plain, name), **EQUAL)
    only = Detector(weights, names=NAMES[::-1], classes=[0], **OPTIONS)(noise())
    assert set(only.boxes.cls) == {0} and only.names[0] == NAMES[1]
