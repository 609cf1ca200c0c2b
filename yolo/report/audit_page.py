"""``audit.html``: the images on which labels and a model disagree most, both side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yolo.data.image_file import ImageFile
from yolo.engine.audit_list import summary, words
from yolo.engine.label_audit import CERTAIN, AuditedImage, LabelAudit, class_of
from yolo.metrics.disagreement import KINDS
from yolo.plots.annotate import Annotator, label_text
from yolo.plots.colours import Colour
from yolo.report.document import document
from yolo.report.images import embedded, shrunk

_LONGEST: Final = 720
"""Pixels of an image's longer side."""
_COLOURS: Final[dict[str, Colour]] = {
    "missed": (216, 27, 96),
    "spurious": (251, 140, 0),
    "shifted": (30, 136, 229),
    "wrong-class": (142, 36, 170),
    "duplicate": (0, 121, 107),
}
_QUIET: Final[Colour] = (128, 136, 144)
_MOST_LINES: Final = 12
_MEANINGS: Final = {
    "missed": "the model is sure of an object that has no label",
    "spurious": "the model finds nothing where a label is, though it finds most others of this class and size",
    "shifted": "the model finds the object, but its box lies otherwise",
    "wrong-class": "the model finds another class in that place",
    "duplicate": "two labels of one class on one object",
}


def audit_page(audit: LabelAudit, weights: Sequence[str], source: str, most: int) -> str:
    """The HTML, with the ``most`` worst images in it; whatever comes from outside is escaped, nothing is loaded."""
    numbers = summary(audit)
    worst = [image for image in audit.images if image.found][:most]
    with_findings = sum(bool(image.found) for image in audit.images)
    note = f"The labels of {source} beside what {', '.join(weights)} finds. A finding is a question, not an error."
    tiles = [
        *(("Images", numbers["images"]), ("Labels", numbers["labels"]), ("Findings", sum(numbers["kinds"].values()))),
        *((f"Score {CERTAIN:g} or more", numbers["likely"]), ("Images with findings", with_findings)),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value:,}</dd></div>" for name, value in tiles)
    header = f'<h1>Label audit</h1><p>{escape(note)}</p><dl class="tiles">{items}</dl>'
    hint = f'<p class="hint">{len(worst)} of {with_findings} images with findings, the worst first.</p>'
    sections = [
        ("kinds", "Kinds", _kinds(numbers["kinds"])),
        ("classes", "Classes", _classes(numbers["classes"])),
        ("images", "Images", hint + "".join(_entry(rank, image, audit) for rank, image in enumerate(worst, 1))),
    ]
    return document(f"Label audit · {source}", header, sections)


def _kinds(counts: dict[str, int]) -> str:
    lines = "".join(
        f'<tr><th scope="row"><i style="background:{_css(_COLOURS[kind])}"></i>{kind}</th>'
        f"<td>{counts[kind]}</td><td>{_MEANINGS[kind]}</td></tr>"
        for kind in KINDS
    )
    return f'<table class="plain findings"><tbody>{lines}</tbody></table>'


def _classes(classes: dict[str, dict[str, int]]) -> str:
    rows = {name: row for name, row in classes.items() if any(row[kind] for kind in KINDS)}
    names = sorted(rows, key=lambda name: -sum(rows[name][kind] for kind in KINDS))
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Class", "Labels", *KINDS))
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{rows[name][key] or ''}</td>" for key in ("labels", *KINDS))
        + "</tr>"
        for name in names
    )
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Findings by class">{table}</div>'


def _entry(rank: int, image: AuditedImage, audit: LabelAudit) -> str:
    labels, detections = _drawn(image, audit)
    path = escape(str(image.seen.path))
    figures = "".join(
        f'<figure><label><input type="checkbox" aria-label="Enlarge: {text} of {path}">'
        f'<img loading="lazy" alt="{text} of {path}" src="{embedded(picture)}"></label>'
        f"<figcaption>{text}</figcaption></figure>"
        for text, picture in (("Labels", labels), ("What the model finds", detections))
    )
    lines = "".join(
        f'<tr><th scope="row"><i style="background:{_css(_COLOURS[one.kind])}"></i>{one.kind}</th>'
        f"<td>{one.score:.2f}</td><td>{escape(words(image, one, audit.names))}</td></tr>"
        for one in image.found[:_MOST_LINES]
    )
    rest = len(image.found) - _MOST_LINES
    more = f'<p class="hint">and {rest} more (audit.csv has all)</p>' if rest > 0 else ""
    where = f'<p class="hint">{escape(image.split)}, labels: {escape(image.seen.where)}</p>'
    return (
        f'<h3 id="image{rank}">{rank}. {path} · {image.score:.2f}</h3>{where}'
        f'<table class="plain findings"><tbody>{lines}</tbody></table>{more}'
        f'<div class="pictures pairs" style="--columns:2">{figures}</div>'
    )


def _drawn(image: AuditedImage, audit: LabelAudit) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and detections; what a finding is about is thick, in its kind's colour and named, the rest thin."""
    pixels = ImageFile(image.seen.path).pixels
    small = shrunk(pixels, _LONGEST)
    scale = small.shape[1] / pixels.shape[1]
    rows, names = image.pairing, audit.names
    shown = rows.detections[:, 4] >= audit.conf
    labels = {number: (row[1:] * scale, "", _QUIET) for number, row in enumerate(rows.labels)}
    found = {n: (row[:4] * scale, "", _QUIET) for n, row in enumerate(rows.detections) if shown[n]}
    for one in reversed(image.found):  # the worst on top
        colour = _COLOURS[one.kind]
        if one.label is not None:
            line = image.line(one.label)
            tag = label_text(names, class_of(image, one)) + ("" if line is None else f" line {line}")
            labels.pop(one.label)
            labels[one.label] = (rows.labels[one.label, 1:] * scale, tag, colour)
        if one.detection is not None:
            row = rows.detections[one.detection]
            found.pop(one.detection, None)
            found[one.detection] = (row[:4] * scale, label_text(names, int(row[5]), float(row[4])), colour)
    return _framed(small, labels.values()), _framed(small, found.values())


def _framed(image: NDArray[np.uint8], boxes: Iterable[tuple[NDArray, str, Colour]]) -> NDArray[np.uint8]:
    boxes = list(boxes)
    quiet = Annotator(image, line_width=2)
    quiet.boxes([(box, colour, tag) for box, tag, colour in boxes if not tag])
    loud = Annotator(quiet.image, line_width=3, text_height=9)
    loud.boxes([(box, colour, tag) for box, tag, colour in boxes if tag])
    return loud.image


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
