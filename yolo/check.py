"""``python -m yolo.check``: look a data set over, write a corrected copy, and compare its labels with a model.

The exit code is 0 when nothing is wrong (notes are no matter), 1 when training would leave something out or be misled,
2 when it cannot be trained on or the options name nothing. What a model finds otherwise (``--weights``) changes it
never: it may be the model that is wrong.
"""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.check")

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.class_names import ClassNames
from yolo.command import new_run_folder, run_command
from yolo.config.commands import CheckConfig
from yolo.data.audit.findings import ERROR, NOTE, Finding, annotation_findings, findings
from yolo.data.audit.mend import write_mended
from yolo.data.audit.scan import Seen, scan
from yolo.data.audit.statistics import report, statistics
from yolo.data.convert.records import Tally
from yolo.data.dataset import Dataset
from yolo.data.load import load_dataset
from yolo.errors import ConfigError, DataError
from yolo.io.files import write_text_atomic
from yolo.models.weights.load import resolve_weights

logger = logging.getLogger("yolo")
_SWITCHES = ("augment", "half", "compile", "exact")
_OF_THE_AUDIT = ("task", "worst", "conf_thres", "iou_thres", "max_det", "device", "int8", *_SWITCHES)
_OF_ITS_RESULTS = ("project", "name", "exist_ok")


def check(config: CheckConfig) -> dict[str, Any]:
    """Check as ``config`` says; give the command's JSON object without its head."""
    _require_weights(config)
    dataset = load_dataset(config.data)
    splits: dict[str, list[Seen]] = {}
    found: list[Finding] = []
    for split in dataset.splits:
        try:
            skipped, noticed = Tally(), Tally()
            splits[split] = scan(dataset, split, config.workers, skipped, noticed)
            found += annotation_findings(dataset.entries(split)[0], split, skipped, noticed)
        except DataError as error:
            level = NOTE if split == "test" else ERROR
            found.append(Finding("empty-split", level, split, str(dataset.source), str(error)))
    for split in ("train", "val"):
        if split not in dataset.splits:
            found.append(Finding("empty-split", ERROR, split, str(dataset.source), "the file names no such split"))
    found += findings(dataset, splits, config.imgsz)
    figures = {split: statistics(dataset, images, config.imgsz) for split, images in splits.items()}
    if not config.json:
        print("\n".join(report(figures, found, config.imgsz)))
    audit = label_audit(config, dataset, splits) if config.weights else None
    fixed = write_mended(dataset, splits, Path(config.fix)) if config.fix else None
    if fixed is not None:
        logger.info("a corrected copy: %s", fixed)
    return {
        "data": str(dataset.source),
        "exit_code": exit_code(found),
        "findings": [dataclasses.asdict(finding) for finding in found],
        "statistics": figures,
        "fixed": str(fixed) if fixed else None,
        "audit": audit,
    }


def _require_weights(config: CheckConfig) -> None:
    """Before images are read, which may take long: raise for options and weights that the label audit cannot use."""
    for name in (*_OF_THE_AUDIT, *_OF_ITS_RESULTS):
        if not config.weights and getattr(config, name) != getattr(CheckConfig, name):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError("is of the label audit", where=flag, hint="name a model with --weights")
    for weights in config.weights:
        resolve_weights(weights)


def label_audit(config: CheckConfig, dataset: Dataset, splits: Mapping[str, Sequence[Seen]]) -> dict[str, Any]:
    """Compare labels with what ``config.weights`` find; give what ``--json`` says of it."""
    from yolo.engine.audit_list import records, summary, summary_lines, write_list
    from yolo.engine.label_audit import audit_labels, open_detector
    from yolo.report.audit_page import audit_page

    if config.task:
        dataset.entries(config.task)  # raises where the file has no such split
        splits = {config.task: splits.get(config.task, [])}
    options = {name: getattr(config, name) for name in ("imgsz", "max_det", "device", *_SWITCHES)}
    options |= {"iou": config.iou_thres, "int8": dataset.source if config.int8 else None}
    detector, numbers = open_detector(ClassNames(dataset.names, dataset.source), config.weights, **options)
    audit = audit_labels(splits, dataset.names, detector, numbers, config.conf_thres)
    folder = new_run_folder(config.project, config.name, config.exist_ok)
    listed = write_list(audit, folder)
    page = folder / "audit.html"
    write_text_atomic(page, audit_page(audit, config.weights, str(dataset.source), config.worst))
    if not config.json:
        print("\n".join(summary_lines(audit, config.weights)))
    logger.info("images with findings: %s", page)
    logger.info("all findings: %s", listed)
    files = {"page": str(page), "list": str(listed)}
    return {"weights": list(config.weights), **files, **summary(audit), "findings": records(audit)}


def exit_code(found: list[Finding]) -> int:
    """2 for what cannot be trained on, 1 for what is not clean, else 0."""
    levels = {finding.level for finding in found}
    return 2 if ERROR in levels else 1 if levels - {NOTE} else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    codes = []

    def action(config: CheckConfig) -> dict[str, Any]:
        result = check(config)
        codes.append(result["exit_code"])
        return result

    return run_command("yolo.check", CheckConfig, action, argv) or codes[0]
