"""The verification of an exported file: by the program that will run it, on real images, beside our own program."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolo.errors import VerificationError
from yolo.formats.agreement import (
    UNITS,
    Agreement,
    compare_detections,
    decoded,
    difference_of_heads,
    difference_of_predictions,
)
from yolo.formats.evidence import Evidence
from yolo.formats.foreign import detections_of, in_batches
from yolo.formats.portable import DECODED, HEADS, Layout, Portable
from yolo.formats.runtimes import Runtime
from yolo.inference.models import program_model
from yolo.io.download import sha256_of
from yolo.io.files import write_text_atomic

if TYPE_CHECKING:
    from yolo.formats.accuracy import Accuracy

logger = logging.getLogger("yolo")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a verification found; without a ``runtime`` there was none, for the ``reason``."""

    format: str
    file: Path
    output: str
    tolerance: float
    runtime: str | None = None
    reason: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    """Of the images that went through."""
    agreement: Agreement = dataclasses.field(default_factory=Agreement)
    accuracy: Accuracy | None = None

    @property
    def verified(self) -> bool:
        return self.runtime is not None and not self.failures()

    def failures(self) -> list[str]:
        """What does not hold, in words."""
        found, agreement = [], self.agreement
        if not agreement.difference <= self.tolerance:
            found.append(f"outputs differ by {agreement.difference:.2g}, more than {self.tolerance:g}")
        if agreement.different:
            found.append(f"{agreement.different} of {agreement.ours} and {agreement.theirs} detections differ")
        if self.accuracy is not None and not self.accuracy.equal:
            found.append(f"mAP50-95 is {self.accuracy.theirs[1]:.4f}, not {self.accuracy.ours[1]:.4f}")
        return found

    def __str__(self) -> str:
        if self.runtime is None:
            return f"{self.file}: unverified: {self.reason}"
        agreement, shapes, images = self.agreement, len(set(self.shapes)), self.shapes[0][0]
        near = f" but for {agreement.at_threshold} at a threshold" if agreement.at_threshold else ""
        line = (
            f"{self.file}: verified by {self.runtime} on {images} images in {shapes} shape{'s' * (shapes > 1)}: within "
            f"{agreement.difference:.1e} ({self.tolerance:g} allowed), {agreement.ours} detections equal{near}"
        )
        if self.accuracy is None:
            return line
        ours, theirs = self.accuracy.ours[1], self.accuracy.theirs[1]
        return f"{line}; mAP50-95 {theirs:.4f}, our program's {ours:.4f}, on {self.accuracy.images} images"

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and for the file beside the exported one."""
        verdict = "verified" if self.verified else "unverified"
        found: dict[str, Any] = {"format": self.format, "file": str(self.file), "verdict": verdict}
        if self.runtime is None:
            return {**found, "reason": self.reason}
        unit = UNITS[HEADS if self.output == HEADS else DECODED]
        found |= {"runtime": self.runtime, "output": self.output, "shapes": [list(shape) for shape in self.shapes]}
        found |= {"difference": self.agreement.difference, "unit": unit, "tolerance": self.tolerance}
        found |= {"detections": {k: v for k, v in dataclasses.asdict(self.agreement).items() if k != "difference"}}
        return found if self.accuracy is None else found | self.accuracy.to_json()


def verify(run: Runtime, portable: Portable, layout: Layout, evidence: Evidence, verdict: Verdict) -> Verdict:
    """``verdict`` with what a runtime that has loaded the file gives beside our compiled program.

    Raises VerificationError where it is not the same.
    """
    heads = program_model(portable.weights, portable.program).heads()
    shapes, agreement = [], Agreement()
    for images in evidence.batches(layout, max(portable.spec.strides)):
        shapes.append(images.shape)
        ours = [head.copy() for head in heads(images)]
        theirs = in_batches(run, images, layout)
        agreement += _compared(ours, theirs, portable, layout, verdict.tolerance, max(images.shape[2:]))
    accuracy = None
    if evidence.dataset is not None:
        from yolo import runtime

        runtime.select_device("cpu")  # what validates brings OneFlow
        from yolo.formats.accuracy import measure

        accuracy = measure(portable, layout, run, evidence.dataset)
    found = dataclasses.replace(verdict, runtime=run.name, shapes=tuple(shapes), agreement=agreement, accuracy=accuracy)
    if not found.verified:
        what = f"is not kept: by {run.name} {'; '.join(found.failures())}"
        raise VerificationError(what, where=verdict.file, hint="please report it, with the weights if you can")
    return found


def _compared(
    ours: Sequence[NDArray], theirs: Sequence[NDArray], portable: Portable, layout: Layout, tolerance: float, side: int
) -> Agreement:
    """Outputs of one batch of images of ``side`` pixels, and their detections."""
    difference = 0.0
    if layout.output == HEADS:
        difference = difference_of_heads(ours, theirs)
    elif layout.output == DECODED:
        own = decoded(ours, portable.checkpoint.anchors, portable.spec.strides)
        difference = difference_of_predictions(own, theirs[0], side)
    if not np.isfinite(difference):
        return Agreement(difference)
    as_heads, settings = dataclasses.replace(layout, output=HEADS), layout.settings
    found = zip(*detections_of(ours, portable, as_heads, settings), *detections_of(theirs, portable, layout, settings))
    agreement = Agreement(difference)
    for rows, count, their_rows, their_count in found:
        agreement += compare_detections(rows[:count], their_rows[:their_count], settings, tolerance, side)
    return agreement


def verdict_path(file: Path) -> Path:
    """Where a file's verdict lies: beside it."""
    return file.with_name(f"{file.name}.verified.json")


def keep(verdict: Verdict, files: Sequence[Path]) -> Verdict:
    """Write a verdict beside the file, with the sums of all that belongs to it, and say it."""
    content = {**verdict.to_json(), "sha256": {path.name: sha256_of(path) for path in files}}
    write_text_atomic(verdict_path(verdict.file), json.dumps(content, indent=2) + "\n")
    (logger.info if verdict.runtime else logger.warning)("%s", verdict)
    return verdict
