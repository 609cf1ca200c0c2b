"""Loads and runs mutants, one after another: ``python -m tests.program.mutants.run KIND SEED COUNT [MODULE]``.

KIND: files, plans, training or jpegs. Before each one its number goes to stdout, so that whoever started this knows at
which a crash was. The last line is JSON: how many ran and how many were refused. MODULE: a build of yolo._native to be
used instead of the package's.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.data.renderers.damaged import damaged_jpegs

LIMIT = 256 << 20
"""Bytes that the machine is said to have free, so that any machine refuses the same mutants."""
WORK = 3e9
SECONDS = 120
"""After which a mutant counts as hanging."""


def use_module(path: str) -> None:
    """Let ``yolo._native`` be this file."""
    import yolo

    spec = importlib.util.spec_from_file_location("yolo._native", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["yolo._native"] = yolo._native = module
    spec.loader.exec_module(module)


def main(kind: str, seed: int, count: int, module: str = "") -> None:
    faulthandler.enable()
    if module:
        use_module(module)
    from yolo.program import compiled
    from yolo.program.backends import cpu

    cpu.free_memory, compiled.MOST_WORK = lambda: LIMIT, WORK
    outcome, before = Counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        attempt = KINDS[kind](Path(folder))
        for number in range(count):
            print(number, flush=True)
            signal.alarm(SECONDS)
            outcome[attempt(seed, number)] += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps({**outcome, "megabytes": grown}), flush=True)


def file_mutants(folder: Path):
    """Gives a function that makes, loads and runs one mutant of a file."""
    import numpy as np

    from tests.program.mutants.bases import IMGSZ, bases
    from tests.program.mutants.edits import mutant
    from yolo.errors import YoloError
    from yolo.inference.models import program_model
    from yolo.program.detection import NmsSettings
    from yolo.program.file import load_program, save_program

    path = folder / "mutant.program"
    wholes = [save_program(path, program).read_bytes() for program in bases().values()]
    shapes = ((1, 3, IMGSZ, IMGSZ), (2, 3, 2 * IMGSZ, IMGSZ))
    batches = [np.random.default_rng(0).integers(0, 256, shape, np.uint8) for shape in shapes]

    def attempt(seed: int, number: int) -> str:
        path.write_bytes(mutant(wholes[number % len(wholes)], np.random.default_rng((seed, number))))
        try:
            runner = program_model(path, load_program(path)).runner(NmsSettings(max_det=10))
        except YoloError as error:
            return _refused(error, path, "refused")
        try:
            for images in batches:
                found = runner.detect(images)
                assert found.rows.shape == (len(images), 10, 6) and found.counts.max() <= 10
        except YoloError as error:
            return _refused(error, path, "refused at its size")
        return "ran"

    return attempt


def _refused(error: Exception, path: Path, what: str) -> str:
    line = str(error)
    assert line.startswith(f"{path}: ") and line.isprintable() and len(line) < 1000, line
    return what


def plan_mutants(_: Path):
    """The same of inference's plans."""
    from tests.program.mutants.plans import PlanMutants, inference_plans
    from yolo import native

    return PlanMutants([*inference_plans().values()], native.Limits(LIMIT, WORK)).attempt


def training_mutants(_: Path):
    """The same of training plans, forward and backward."""
    from tests.program.mutants.plans import PlanMutants
    from tests.program.mutants.training import training_plans
    from yolo import native

    return PlanMutants([(plan, None) for plan in training_plans().values()], native.Limits(LIMIT, WORK)).attempt


KINDS = {"files": file_mutants, "plans": plan_mutants, "training": training_mutants, "jpegs": damaged_jpegs}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
