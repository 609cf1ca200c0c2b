"""The sections that show numbers: head, curves over the epochs, classes, confusion, time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from yolo.metrics import DetectionMetrics
from yolo.metrics.average_precision import precision_note, smooth
from yolo.metrics.confusion import ConfusionMatrix
from yolo.plots.colours import class_colour
from yolo.report.charts import LARGE, Axis, Line, line_chart
from yolo.report.content import EpochRow, RunContent

NAMED_CLASSES = 20  # more lines than this nobody can tell apart: they are one grey bundle
MATRIX_CLASSES = 40  # a table of more columns helps nobody: the worst confusions are listed instead
CURVE_POINTS = 101
TIMES = {"training": "training", "validating": "validation", "waiting": "waiting for data", "compiling": "compiling"}


def headline(content: RunContent) -> str:
    """The figures that one looks for first."""
    metrics, rows = content.metrics, content.rows
    seconds = sum(sum(row.times.get(name, 0.0) for name in TIMES) for row in rows)
    speed = [_speed(row) for row in rows[1:] or rows]
    tiles = [
        ("mAP50-95", f"{metrics.map50_95:.3f}" if metrics else "–"),
        ("mAP50", f"{metrics.map50:.3f}" if metrics else "–"),
        ("Precision", f"{metrics.precision:.3f}{'*' * bool(precision_note(metrics))}" if metrics else "–"),
        ("Recall", f"{metrics.recall:.3f}" if metrics else "–"),
        ("Best epoch", f"{content.best_epoch + 1} of {len(rows)}" if content.best_epoch >= 0 else "–"),
        ("Time", clock(seconds)),
        ("Images/s", f"{np.mean(speed):.0f}" if speed and max(speed) >= 10 else f"{np.mean(speed or [0]):.1f}"),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles)
    return f'<dl class="tiles">{items}</dl>'


def curves(content: RunContent) -> str:
    """Losses, metrics, learning rates and speed over the epochs."""
    rows, mark = content.rows, content.best_epoch + 1 if content.best_epoch >= 0 else None
    epochs = [row.epoch + 1 for row in rows]
    axis = Axis("epoch", whole=True)

    def chart(title: str, y: Axis, *lines: tuple[str, str, str]) -> str:
        drawn = [Line(name, epochs, [row.values.get(key, np.nan) for row in rows], style) for name, key, style in lines]
        return line_chart(title, drawn, axis, y, mark=mark)

    share = Axis("", 0, None)
    parts = [
        chart(f"{text} loss", Axis(""), ("train", f"train/{key}_loss", "a"), ("val", f"val/{key}_loss", "b"))
        for key, text in (("box", "Box"), ("obj", "Objectness"), ("cls", "Class"))
    ]
    parts += [
        chart("mAP", share, ("mAP50-95", "metrics/mAP_0.5:0.95", "a"), ("mAP50", "metrics/mAP_0.5", "b")),
        chart("Precision and recall", share, ("P", "metrics/precision", "a"), ("R", "metrics/recall", "b")),
        chart("Learning rate", share, ("weights", "x/lr1", "a"), ("biases", "x/lr0", "b")),
        line_chart("Images a second", [Line("", epochs, [_speed(row) for row in rows])], axis, share, mark=mark),
        line_chart("Waiting for data, %", [Line("", epochs, [_waiting(row) for row in rows])], axis, share, mark=mark),
    ]
    note = f'<p class="hint">The dashed line is the best epoch, {mark}.</p>' if mark is not None else ""
    return f'<div class="charts">{"".join(parts)}</div>{note}'


def detection_curves(metrics: DetectionMetrics, names: Sequence[str]) -> str:
    """Precision by recall, and precision, recall and F1 by confidence."""
    axis = Axis("recall", 0, 1)
    mean = f"all classes {metrics.map50:.3f}"
    parts = [_class_chart("Precision by recall (IoU 0.5)", axis, metrics, metrics.pr_curve, names, mean, metrics.ap50)]
    for title, lines in (("F1", metrics.f1_curve), ("Precision", metrics.p_curve), ("Recall", metrics.r_curve)):
        mean = "all classes"
        if len(lines):
            height = smooth(lines.mean(0))
            best = int(height.argmax())
            mean = f"all classes {height[best]:.2f} at {metrics.px[best]:.3f}"
        parts.append(_class_chart(f"{title} by confidence", Axis("confidence", 0, 1), metrics, lines, names, mean))
    return f'<div class="charts wide">{"".join(parts)}</div>'


def class_table(metrics: DetectionMetrics, names: Sequence[str]) -> str:
    """A line for all classes and one for each."""
    note = precision_note(metrics)
    rows = [("all", bool(note), metrics.labels, metrics.precision, metrics.recall, metrics.map50, metrics.map50_95)]
    columns = (metrics.undetected, metrics.counts, metrics.p, metrics.r, metrics.ap50, metrics.ap)
    rows += [(names[int(category)], *values) for category, *values in zip(metrics.classes, *columns)]
    lines = []
    for name, marked, labels, *scores in rows:
        marks = ("*" if marked else "", "", "", "")
        cells = "".join(
            f'<td class="bar" style="--v:{100 * score:.1f}%">{score:.3f}{mark}</td>'
            for score, mark in zip(scores, marks)
        )
        lines.append(f'<tr><th scope="row">{escape(str(name))}</th><td>{int(labels)}</td>{cells}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Class", "Labels", "P", "R", "mAP50", "mAP50-95"))
    caption = "P and R at the confidence of the best F1"
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    table = f'<table class="classes"><caption>{caption}</caption>{body}</table>'
    table = f'<div class="scroll" tabindex="0" role="region" aria-label="Table of classes">{table}</div>'
    return table + (f'<p class="hint">* {note}.</p>' if note else "")


def confusion_table(confusion: ConfusionMatrix, names: Sequence[str]) -> str:
    """Which class was taken for which: a table, or the commonest mistakes where it would be too wide."""
    labels = [*names[: confusion.num_classes], "background"]
    fractions = confusion.normalised()
    note = f"Columns are what it was, rows what was predicted (confidence &gt; {confusion.conf:g}, "
    note = f'<p class="hint">{note}IoU &gt; {confusion.iou:g}); fractions of each column.</p>'
    if confusion.num_classes > MATRIX_CLASSES:
        return note + _commonest_mistakes(confusion, labels)
    head = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels)
    lines = []
    for row, label in enumerate(labels):
        cells = "".join(_cell(fractions[row, column], confusion.matrix[row, column]) for column in range(len(labels)))
        lines.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    body = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    table = f'<table class="matrix"><caption>Confusion matrix</caption>{body}</table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">{table}</div>{note}'


def time_shares(rows: Sequence[EpochRow]) -> str:
    """Where the run's time went."""
    totals = {name: sum(row.times.get(name, 0.0) for row in rows) for name in TIMES}
    whole = sum(totals.values()) or 1.0
    pieces = "".join(f'<span data-t="{n}" style="width:{100 * v / whole:.2f}%"></span>' for n, v in totals.items())
    lines = "".join(
        f'<tr><th scope="row"><i data-t="{name}"></i>{TIMES[name]}</th><td>{clock(value)}</td>'
        f"<td>{100 * value / whole:.1f} %</td></tr>"
        for name, value in totals.items()
    )
    told = ", ".join(f"{TIMES[name]} {value / whole:.0%}" for name, value in totals.items())
    bar = f'<div class="shares" role="img" aria-label="{told}">{pieces}</div>'
    head = '<tr><th scope="col">Part</th><th scope="col">Time</th><th scope="col">Share</th></tr>'
    return f'{bar}<table class="plain"><thead>{head}</thead><tbody>{lines}</tbody></table>'


def clock(seconds: float) -> str:
    """``12.3 s``, ``4 min 05 s``, ``3 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _speed(row: EpochRow) -> float:
    """Images a second while training, waiting for data included."""
    busy = row.times.get("training", 0.0) + row.times.get("waiting", 0.0)
    return row.times.get("pictures", 0) / busy if busy > 0 else float("nan")


def _waiting(row: EpochRow) -> float:
    """Per cent of the training time."""
    busy = row.times.get("training", 0.0) + row.times.get("waiting", 0.0)
    return 100 * row.times.get("waiting", 0.0) / busy if busy > 0 else float("nan")


def _class_chart(
    title: str, axis: Axis, metrics: DetectionMetrics, lines, names: Sequence[str], mean: str, values=None
) -> str:
    at = np.linspace(0, len(metrics.px) - 1, CURVE_POINTS).round().astype(int)
    x, drawn, count = metrics.px[at], [], len(metrics.classes)
    for row, category in enumerate(metrics.classes.tolist()):
        if count > NAMED_CLASSES:
            name, style = f"each of {count} classes" if row == 0 else "", "thin"
        else:
            name = names[category] + ("" if values is None else f" {values[row]:.3f}")
            style = "#{:02x}{:02x}{:02x}".format(*class_colour(category))
        drawn.append(Line(name, x, lines[row][at], style))
    if len(lines):
        drawn.append(Line(mean, x, lines.mean(0)[at], "mean"))
    return line_chart(title, drawn, axis, Axis("", 0, 1), size=LARGE)


def _cell(fraction: float, count: int) -> str:
    if not count:
        return "<td></td>"
    bright = ' class="bright"' if fraction > 0.5 else ""
    shade = f"background:rgba(30,95,191,{0.05 + 0.95 * fraction:.3f})"
    return f'<td{bright} style="{shade}" title="{count} of them">{fraction:.2f}</td>'


def _commonest_mistakes(confusion: ConfusionMatrix, labels: Sequence[str], most: int = 25) -> str:
    wrong = confusion.matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    lines = []
    for predicted, actual in zip(*np.unravel_index(order, wrong.shape)):
        if wrong[predicted, actual]:
            share = confusion.normalised()[predicted, actual]
            lines.append(
                f"<tr><td>{escape(labels[actual])}</td><td>{escape(labels[predicted])}</td>"
                f"<td>{wrong[predicted, actual]}</td><td>{share:.2f}</td></tr>"
            )
    titles = ("It was", "Predicted", "Times", "Share of its kind")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return (
        f'<div class="scroll"><table class="plain"><caption>The commonest mistakes</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
