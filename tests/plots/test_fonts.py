"""Names in scripts that the usual font lacks: another installed font draws them, or the class's number stands."""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from tests.plots.test_figures import measured
from yolo.metrics import MetricAccumulator
from yolo.plots import class_labels, fonts
from yolo.plots.annotate import Annotator, annotate, label_text
from yolo.plots.batch import plot_batch
from yolo.plots.confusion import plot_confusion
from yolo.plots.curves import plot_curves
from yolo.plots.figures import name_of, new_figure, save_figure
from yolo.plots.labels import plot_labels

NAMES = ("行人", "naïve", "巴士")
PAPER = np.full((120, 200, 3), 90, np.uint8)
CACHED = (fonts.fonts, fonts.font_of, fonts._others, fonts._registered, fonts._say_unreadable, class_labels._say)


def make_font(path: Path, letters: str, family: str, style: str = "Regular") -> str:
    """A font whose every letter is a filled square."""
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    for letter in letters:
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for point in ((0, 700), (700, 700), (700, 0)):
            pen.lineTo(point)
        pen.closePath()
        glyphs[f"u{ord(letter):x}"] = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):x}" for letter in letters})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({name: (800, 0) for name in glyphs})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": style})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Says which fonts are installed beside the bundled one: files with letters and family names."""
    files: list[str] = []
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: list(files))
    monkeypatch.setattr(fonts, "_FAMILIES", ())
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))

    def clear() -> None:
        for function in CACHED:
            function.cache_clear()

    def install(letters: str, family: str, style: str = "Regular") -> str:
        files.append(make_font(tmp_path / f"{family}-{style}.ttf", letters, family, style))
        clear()
        return files[-1]

    clear()
    yield install
    clear()
    fonts._letters.cache_clear()
    fonts.pillow_font.cache_clear()


def test_a_font_that_has_the_letters_is_found(installed, caplog) -> None:
    file = installed("行人巴士", "Some Sans")
    assert [label_text(NAMES, number, 0.5) for number in range(3)] == ["行人 0.50", "naïve 0.50", "巴士 0.50"]
    assert fonts.runs("行人 5") == [(file, "行人"), (fonts.usual_file(), " 5")]
    assert fonts.runs("naïve") == [(fonts.usual_file(), "naïve")]
    with caplog.at_level(logging.INFO, logger="yolo"):
        drawn = [annotate(PAPER, [(60, 40, 140, 100, 0.5, number)], NAMES, hide_conf=True) for number in (0, 2)]
    assert caplog.messages == ["class names are drawn with Some Sans"]
    # Letters are squares there: much of both tags is ink, of whatever colours.
    assert all((image[28:38, 60:90].min(-1) > 200).mean() > 0.2 for image in drawn)


def test_without_a_font_the_number_stands_and_is_said_once(installed, caplog, tmp_path: Path) -> None:
    installed("人", "Half a Name")
    assert [label_text(NAMES, number) for number in range(3)] == ["0", "naïve", "2"]
    rows = [(60, 40, 140, 100, 0.5, 0), (10, 40, 50, 100, 0.5, 2)]
    np.testing.assert_array_equal(annotate(PAPER, rows, NAMES), annotate(PAPER, rows, ("0", "naïve", "2")))
    metrics, confusion = measured(3, images=2)
    plot_curves(metrics, NAMES, tmp_path)
    plot_confusion(confusion, NAMES, tmp_path / "confusion_matrix.png")
    plot_labels([(0, 0.5, 0.5, 0.1, 0.1)], NAMES, tmp_path / "labels.jpg")
    plot_batch(np.zeros((1, 3, 64, 64), np.uint8), [rows], names=NAMES)
    (line,) = caplog.messages
    assert "their numbers are drawn (0 for '行人', 2 for '巴士')" in line and "install a font" in line


def test_threads_say_it_once(installed, caplog) -> None:
    threads = [threading.Thread(target=class_labels.say_fonts, args=(NAMES,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.messages) == 1


def test_figures_take_the_same_fonts(installed, monkeypatch, tmp_path: Path) -> None:
    """No warning of a missing glyph, and squares where the letters are; legend and ticks alike."""
    installed("行人巴士", "Some Sans")
    figure = new_figure(2, 2)
    text = figure.text(0.5, 0.5, name_of(NAMES, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, tmp_path / "a.png")
    assert text.get_fontfamily() == ["DejaVu Sans", "Some Sans"]
    seen, real = [], Text.set_fontfamily
    monkeypatch.setattr(
        Text, "set_fontfamily", lambda self, names: (seen.append(self.get_text()), real(self, names))[1]
    )
    accumulator = MetricAccumulator(3)
    accumulator.update([(0, 0, 9, 9, 0.9, 0)], [(0, 0, 0, 9, 9), (2, 20, 20, 30, 30)])
    plot_curves(accumulator.compute(), NAMES, tmp_path)
    assert any(label.startswith("行人") for label in seen) and any(label.startswith("巴士") for label in seen)


def test_which_of_several_fonts(installed) -> None:
    """Upright and regular before slanted and bold; fonts that claim all letters or have colours never."""
    installed("行", "Alpha", "Bold")
    installed("行", "Last Resort")
    installed("行", "Noto Color Emoji")
    for name in ("Last Resort-Regular.ttf", "Noto Color Emoji-Regular.ttf"):
        assert (Path(fonts.findSystemFonts()[0]).parent / name).is_file()
    assert fonts.family_name(fonts.font_of("行")) == "Alpha"
    installed("行", "Beta")
    assert fonts.family_name(fonts.font_of("行")) == "Beta"


def test_damaged_and_absent_files_are_passed_over(installed, tmp_path: Path) -> None:
    broken = Path(installed("行", "Broken"))
    broken.write_bytes(broken.read_bytes()[:100])
    Path(installed("行", "Gone")).unlink()
    assert fonts.font_of("行") is None and not fonts.drawable("行") and fonts.drawable("Ж")


def test_file_names_keep_what_can_be_drawn(installed, caplog) -> None:
    assert fonts.readable("naïve Ω") == "naïve Ω" and not caplog.messages
    assert [fonts.readable("行a.jpg"), fonts.readable("巴.jpg")] == ["\\u884ca.jpg", "\\u5df4.jpg"]
    assert len(caplog.messages) == 1 and "their code points" in caplog.messages[0]


def test_marks_that_are_not_seen_need_no_font(installed) -> None:
    assert fonts.drawable("a\u200db\ufe0f") and len(fonts.runs("a\u200db")) == 1


def test_every_part_of_a_text_is_drawn(installed) -> None:
    """A square of each of two fonts, and plain letters between them."""
    installed("行", "One")
    installed("人", "Two")
    assert len(fonts.runs("行 a 人")) == 3
    mask, bare = (Annotator(PAPER)._rendered(text) for text in ("行 a 人", " a "))
    assert mask.shape[1] > bare.shape[1] + 10
    full = np.flatnonzero((mask > 250).sum(0) >= 9)
    assert full[0] < mask.shape[1] * 0.25 and full[-1] > mask.shape[1] * 0.75
