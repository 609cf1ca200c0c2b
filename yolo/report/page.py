"""A run's report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from yolo.report.content import EpochRow, Layer, RunContent
from yolo.report.document import document
from yolo.report.images import described, embedded
from yolo.report.sections import class_table, confusion_table, curves, detection_curves, headline, time_shares

REFRESH = 30  # seconds, while training goes on
_ISLAND = '<script type="application/json" id="epochs">'


def page(content: RunContent) -> str:
    """The HTML of a run's report; whatever comes from outside is escaped, and nothing is loaded from anywhere."""
    sections = [("curves", "Training", curves(content))]
    if content.metrics is not None:
        sections.append(("classes", "Classes", class_table(content.metrics, content.names)))
        sections.append(("pr", "Precision and recall", detection_curves(content.metrics, content.names)))
    if content.confusion is not None:
        sections.append(("confusion", "Confusion", confusion_table(content.confusion, content.names)))
    if content.images:
        sections.append(("pictures", "Images", _images(content.images)))
    sections += [
        ("time", "Time", time_shares(content.rows) + _speed(content.speed_ms)),
        ("options", "Options", _settings(content)),
        ("model", "Model", _model(content)),
        ("machine", "Machine", _facts(content.facts)),
    ]
    return document(
        f"{content.name} · training report",
        f'<h1>{escape(content.name)}<span class="state" data-s="{content.state}">{content.state}</span></h1>'
        f"<p>{escape(content.note)}</p>{headline(content)}",
        sections,
        refresh=REFRESH if content.state == "training" else 0,
        after=f"{_ISLAND}{_epochs_as_json(content.rows)}</script>",
    )


def read_epochs(file: Path) -> list[EpochRow]:
    """The epochs that an earlier report of the run holds; none where there is no such report."""
    try:
        text = file.read_text(encoding="utf-8")
        held = json.loads(text[text.rindex(_ISLAND) + len(_ISLAND) :].partition("</script>")[0])
        return [
            EpochRow(
                int(row["epoch"]),
                {k: math.nan if v is None else float(v) for k, v in row["values"].items()},
                row["times"],
            )
            for row in held
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _epochs_as_json(rows: Sequence[EpochRow]) -> str:
    held = [
        {
            "epoch": row.epoch,
            "values": {name: value if math.isfinite(value) else None for name, value in row.values.items()},
            "times": dict(row.times),
        }
        for row in rows
    ]
    return json.dumps(held).replace("<", "\\u003c")


def _images(files: Sequence[Path]) -> str:
    """Labels of a validation batch and what was found in it stand side by side where there is room."""
    pairs = [file for file in files if file.name.startswith("val_")]
    grids = ((" pairs", pairs), ("", [file for file in files if file not in pairs]))
    return "".join(
        f'<div class="pictures{kind}" style="--columns:{_columns(len(some))}">{"".join(map(_figure, some))}</div>'
        for kind, some in reversed(grids)
        if some
    )


def _columns(count: int) -> int:
    """So many columns, at most three, that rows are as full as can be; what stands in a row that is not grows."""
    return math.ceil(count / math.ceil(count / 3))


def _figure(file: Path) -> str:
    text = escape(described(file))
    return (
        f'<figure><label><input type="checkbox" aria-label="Enlarge: {text}"><img alt="{text}" src="{embedded(file)}">'
        f"</label><figcaption>{text}</figcaption></figure>"
    )


def _speed(speed_ms: Mapping[str, float]) -> str:
    if not speed_ms:
        return ""
    parts = ", ".join(f"{value:.1f} ms {escape(name)}" for name, value in speed_ms.items())
    return f'<p class="hint">In validation an image took {parts}.</p>'


def _settings(content: RunContent) -> str:
    # Lines are broken between words, never at the hyphens of an option.
    command = " ".join(f"<span>{escape(word)}</span>" for word in content.command.split(" "))
    parts = [
        f"<pre>{command}</pre>",
        '<p class="hint">Bold: chosen for this run; the rest are defaults.</p>',
    ]
    for group, rows in content.settings.items():
        items = "".join(
            f"<div{' class=own' if own else ''}><dt>{escape(name)}</dt><dd>{escape(_shown(value))}</dd></div>"
            for name, value, own in rows
        )
        parts.append(f'<h3>{escape(group)}</h3><dl class="settings">{items}</dl>')
    return "".join(parts)


def _model(content: RunContent) -> str:
    return f"<p>{escape(content.summary)}</p><details><summary>All layers</summary>{_layers(content.layers)}</details>"


def _layers(layers: Sequence[Layer]) -> str:
    lines = "".join(
        f"<tr><td>{one.index}</td><td>{escape(one.source)}</td><td>{escape(one.module)}</td>"
        f"<td>{one.channels}</td><td>{one.parameters:,}</td></tr>"
        for one in layers
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Layer", "From", "Module", "Channels", "Parameters"))
    return (
        f'<div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in facts)
    return f'<table class="plain facts"><tbody>{lines}</tbody></table>'


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
