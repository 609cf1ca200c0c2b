"""The verification of an exported file: by the program that will run it, on real images, beside our own program."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from yolo.formats.portable import DECODED, DETECTIONS, HEADS, Layout, Portable
from yolo.formats.runtimes import Runtime
from yolo.inference.models import program_model
from yolo.io.brief import brief
from yolo.io.download import sha256_of
from yolo.io.files import write_text_atomic

if TYPE_CHECKING:
    from yolo.formats.accuracy import Accuracy
    from yolo.inference.ensemble import RawHeadRunner

VERIFIED, UNVERIFIED = "verified", "unverified"
MOST_NEAR = 0.02
"""Of the detections of one set of predictions: the share that may differ at a threshold."""

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
    inside: Agreement | None = None
    """Of the file's own suppression with this project's, on the predictions that the same network gives there."""
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
        inside = self.inside
        if inside is not None and (inside.different or inside.at_threshold > MOST_NEAR * inside.ours):
            alone = inside.different + inside.at_threshold
            found.append(f"its suppression gives {inside.theirs} detections for {inside.ours}, {alone} of them others")
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
        verdict = VERIFIED if self.verified else UNVERIFIED
        found: dict[str, Any] = {"format": self.format, "file": str(self.file), "verdict": verdict}
        if self.runtime is None:
            return {**found, "reason": self.reason}
        unit = UNITS[HEADS if self.output == HEADS else DECODED]
        found |= {"runtime": self.runtime, "output": self.output, "shapes": [list(shape) for shape in self.shapes]}
        found |= {"difference": self.agreement.difference, "unit": unit, "tolerance": self.tolerance}
        found |= {"detections": _counts(self.agreement)}
        if self.inside is not None:
            found |= {"suppression": _counts(self.inside)}
        return found if self.accuracy is None else found | self.accuracy.to_json()


def _counts(agreement: Agreement) -> dict[str, int]:
    return {name: number for name, number in dataclasses.asdict(agreement).items() if name != "difference"}


def verify(
    load: Callable[[Path | bytes], Runtime],
    path: Path,
    portable: Portable,
    layout: Layout,
    evidence: Evidence,
    verdict: Verdict,
    reference: RawHeadRunner | None = None,
) -> Verdict:
    """``verdict`` with what the file at ``path``, loaded by a runtime, gives beside our compiled program.

    ``reference``: instead of that program. Raises VerificationError where it is not the same, or where the runtime
    refuses the file.
    """
    run, before, inside = _Guarded(load, path, verdict.file), None, None
    if layout.output == DETECTIONS:  # what its suppression is given
        from yolo.formats.onnx_model import detector_model

        model = detector_model(portable, dataclasses.replace(layout, output=DECODED))
        before, inside = _Guarded(load, model.SerializeToString(), verdict.file), Agreement()
    heads = reference or program_model(portable.weights, portable.program).heads()
    shapes, agreement = [], Agreement()
    for images in evidence.batches(layout, max(portable.spec.strides)):
        shapes.append(images.shape)
        ours, theirs = [head.copy() for head in heads(images)], in_batches(run, images, layout)
        comparison = _Comparison(portable, layout, verdict.tolerance, max(images.shape[2:]))
        found = theirs
        if before is not None:
            found = in_batches(before, images, layout)
            inside += comparison.detections((found, DECODED), (theirs, DETECTIONS))
        agreement += Agreement(comparison.difference(ours, found))
        agreement += comparison.detections((ours, HEADS), (theirs, layout.output))
    facts = {"runtime": run.name, "shapes": tuple(shapes), "agreement": agreement, "inside": inside}
    found = dataclasses.replace(verdict, **facts, accuracy=_accuracy(run, portable, layout, evidence))
    if not found.verified:
        what = f"is not kept: by {run.name} {'; '.join(found.failures())}"
        raise VerificationError(what, where=verdict.file, hint="please report it, with the weights if you can")
    return found


def _accuracy(run: Runtime, portable: Portable, layout: Layout, evidence: Evidence) -> Accuracy | None:
    if evidence.dataset is None:
        return None
    from yolo import runtime

    runtime.select_device("cpu")  # what validates brings OneFlow
    from yolo.formats.accuracy import measure

    return measure(portable, layout, run, evidence.dataset)


class _Guarded:
    """A runtime whose errors, of whatever kind, are the file's."""

    def __init__(self, load: Callable[[Path | bytes], Runtime], model: Path | bytes, file: Path) -> None:
        self._file = file
        self._run = self._done(load, model)
        self.name = self._run.name

    def __call__(self, images: NDArray) -> list[NDArray]:
        return self._done(self._run, images)

    def _done(self, call: Callable, given: Any) -> Any:
        try:
            return call(given)
        except MemoryError:
            raise
        except Exception as error:  # each runtime has kinds of its own
            what = f"is not kept: its runtime refuses it ({brief(str(error), 200)})"
            raise VerificationError(what, where=self._file, hint="please report it") from error


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """Of the outputs for one batch of images of ``side`` pixels."""

    portable: Portable
    layout: Layout
    tolerance: float
    side: int

    def difference(self, heads: Sequence[NDArray], theirs: Sequence[NDArray]) -> float:
        """The largest difference of our raw heads to theirs, or of our predictions."""
        if self.layout.output == HEADS:
            return difference_of_heads(heads, theirs)
        ours = decoded(heads, self.portable.checkpoint.anchors, self.portable.spec.strides)
        return difference_of_predictions(ours, theirs[0], self.side)

    def detections(self, *given: tuple[Sequence[NDArray], str]) -> Agreement:
        """Of the detections that two outputs, each of its own kind, give or are."""
        settings, found = self.layout.settings, []
        for outputs, kind in given:
            layout = dataclasses.replace(self.layout, output=kind)
            rows, counts = detections_of(outputs, self.portable, layout, settings)
            found.append([some[:count] for some, count in zip(rows, counts)])
        pairs = (compare_detections(*pair, settings, self.tolerance, self.side) for pair in zip(*found))
        return dataclasses.replace(sum(pairs, Agreement()), difference=0.0)  # that of the outputs counts


def verdict_path(file: Path) -> Path:
    """Where a file's verdict lies: beside it."""
    return file.with_name(f"{file.name}.verified.json")


def keep(verdict: dict[str, Any], line: str, file: Path, parts: Sequence[Path]) -> dict[str, Any]:
    """Write a verdict beside the file, with the sums of all that belongs to it, and say it in a line; give it back."""
    content = {**verdict, "sha256": {path.name: sha256_of(path) for path in parts}}
    write_text_atomic(verdict_path(file), json.dumps(content, indent=2) + "\n")
    (logger.info if verdict["verdict"] == VERIFIED else logger.warning)("%s", line)
    return verdict
