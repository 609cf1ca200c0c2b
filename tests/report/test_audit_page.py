"""The audit's page: whole, loading nothing, with text as text, and what a finding is about in its colour."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from tests.report.test_page import EVIL, Page
from yolo.data.audit.scan import Seen
from yolo.data.images import read_image, write_image
from yolo.data.labels import parse_labels
from yolo.engine.label_audit import AuditedImage, LabelAudit
from yolo.metrics.disagreement import Disagreement, pair
from yolo.report.audit_page import audit_page

NAMES = (EVIL, "b&c")
TEXT = b"0 .25 .25 .2 .2\n\n1 .75 .75 .2 .2\n"


def audited(
    folder: Path, name: str, found: tuple[Disagreement, ...], size: tuple[int, int] = (100, 200)
) -> AuditedImage:
    path = write_image(folder / name, np.full((*size, 3), 200, np.uint8))
    seen = Seen(path, folder / "labels.txt", shape=size, content=TEXT, labels=parse_labels(TEXT, 2))
    labels = [(0, 30, 15, 70, 35), (1, 130, 65, 170, 85)]
    detections = [(30, 15, 70, 35, 0.9, 1), (100, 10, 120, 30, 0.8, 0), (5, 60, 25, 80, 0.1, 0)]
    return AuditedImage(seen, "train", pair(detections, labels), found)


WRONG = Disagreement("wrong-class", 0.9, label=0, detection=0, iou=1.0)
MISSED = Disagreement("missed", 0.6, detection=1)
SPURIOUS = Disagreement("spurious", 0.3, label=1)


@pytest.fixture
def audit(tmp_path: Path) -> LabelAudit:
    images = [
        audited(tmp_path, "a<b.png", (WRONG, MISSED)),
        audited(tmp_path, "c.png", (SPURIOUS,), (1000, 2000)),
        audited(tmp_path, "clean.png", ()),
    ]
    return LabelAudit(images, NAMES, 0.25)


def picture(url: str, folder: Path) -> np.ndarray:
    (folder / "back.jpg").write_bytes(base64.b64decode(url.partition("base64,")[2]))
    return read_image(folder / "back.jpg").astype(int)


def test_text_is_text_and_nothing_is_loaded(audit: LabelAudit) -> None:
    text = audit_page(audit, [EVIL], EVIL, 100)
    page = Page(text)
    assert EVIL not in text and "script" not in page.tags and "b&amp;c" in text and "a&lt;b.png" in text
    assert len(page.loaded) == 4 and all(one.startswith("data:image/jpeg;base64,") for one in page.loaded)
    assert "http://" not in text and "https://" not in text and all(page.alts)
    assert page.links == ["#kinds", "#classes", "#images"] and {"kinds", "classes", "images"} <= set(page.ids)


def test_it_says_what_was_found(audit: LabelAudit) -> None:
    text = audit_page(audit, ["w.pt"], "my.yaml", 100)
    assert "b&amp;c of line 3 is not found" in text and "of line 1 is found as b&amp;c (0.90)" in text
    assert "without a label (0.80)" in text and "clean.png" not in text
    assert text.index("a&lt;b.png") < text.index("c.png · 0.30") and "2 of 2 images with findings" in text
    assert "<dt>Score 0.5 or more</dt><dd>2</dd>" in text and "<dt>Findings</dt><dd>3</dd>" in text


def test_as_many_as_asked_for(audit: LabelAudit) -> None:
    text = audit_page(audit, ["w.pt"], "my.yaml", 1)
    assert len(Page(text).loaded) == 2 and "1 of 2 images with findings" in text


def test_boxes_have_their_kind_s_colour(audit: LabelAudit, tmp_path: Path) -> None:
    urls = Page(audit_page(audit, ["w.pt"], "my.yaml", 100)).loaded
    labels, detections = (picture(url, tmp_path) for url in urls[:2])
    wrong, missed, quiet = (142, 36, 170), (216, 27, 96), (128, 136, 144)

    def near(image: np.ndarray, x: int, y: int, colour: tuple[int, int, int]) -> bool:
        return np.abs(image[y - 1 : y + 2, x - 1 : x + 2] - colour).sum(-1).min() < 60

    assert near(labels, 50, 35, wrong) and near(labels, 150, 85, quiet) and not near(labels, 110, 30, missed)
    assert near(detections, 50, 35, wrong) and near(detections, 110, 30, missed)
    assert (detections[55:85, 2:28] > 180).all()  # a detection below the confidence is not drawn
    large = picture(urls[2], tmp_path)
    assert large.shape == (360, 720, 3) and near(large, 54, 31, (251, 140, 0))  # the boxes shrink with their image
