"""VOC's XML files: objects and files that are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.convert.small import LINE, converted, voc
from tests.data.foreign import shaded_image, write

GOOD = "<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax></bndbox>"


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ("<object><name>dog</name></object>", "objects without a box"),
        ("<object><name>dog</name><bndbox/></object>", "objects without a box"),
        ("<object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object>", "objects without a box"),
        ("<object><name>dog</name><polygon><x1>1</x1></polygon></object>", "objects without a box"),
        (f"<object>{GOOD}</object>", "objects without a name"),
        (f"<object><name> </name>{GOOD}</object>", "objects without a name"),
    ],
)
def test_an_object_that_says_too_little_is_left_out_alone(tmp_path: Path, spoilt: str, reason: str) -> None:
    shaded_image(tmp_path / "in/0.png")
    voc(tmp_path / "in/0.xml", body=f"{spoilt}<object><name>cat</name>{GOOD}</object>")
    result = converted("voc", tmp_path / "in")
    assert result.labels == {"train/0.png": [f"0 {LINE}"]} and result.done.names == ("cat",)
    assert result.done.skipped == {reason: 1}


def test_other_xml_files_and_hidden_ones_are_counted(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    voc(tmp_path / "in/0.xml")
    write(tmp_path / "in/annotations.xml", "<annotations><image id='0'/></annotations>")
    write(tmp_path / "in/._0.xml", "\0\0")
    skipped = converted("voc", tmp_path / "in").done.skipped
    assert skipped.lines() == ["1 XML files that are no VOC annotation (annotations.xml)", "1 hidden files (._0.xml)"]


def test_an_unusable_size_does_not_matter(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    voc(tmp_path / "in/0.xml", "<size><width>x</width><height>0</height></size>")
    result = converted("voc", tmp_path / "in")
    assert result.labels == {"train/0.png": [f"0 {LINE}"]} and not result.done.noticed
