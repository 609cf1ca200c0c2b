"""How long do the operators of CUDA devices take, beside PyTorch's and torchvision's and what the card's memory allows?

python -m benchmarks.cuda_ops [--json] [--sizes short]; `make bench-peers-cuda` installs PyTorch.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cuda_about import about, heading
from benchmarks.cuda_cases import BYTES_OF_PART, COPY, SIZES, Case, Sizes, all_cases, random_heads, write_cases
from benchmarks.cuda_module import DEVICES
from benchmarks.cuda_options import ABSENT_ON_CUDA
from benchmarks.driver import Contender, Measurement, measure
from benchmarks.places import PARITY, PROJECT_PYTHON, WORK, cuda_peers_python
from benchmarks.table import Row, as_json, as_text, difference

OURS, PEER, REFERENCE = "this project", "PyTorch", "reference"
TARGETS = {"NMS": 0.5, "loss with gradient": 0.3}
"""By how a case begins: the most that ours may take of the peer's time."""
COLUMNS = {
    "case": "case",
    "name": "contender",
    "median_us": "median us",
    "spread": "spread",
    "peer_ratio": "ratio to PyTorch",
    "target_ratio": "target",
    "met": "met",
    "floor_us": "floor us",
    "floor_ratio": "ratio to floor",
    "difference": "difference",
    "equal": "equal",
}
Arrays = Mapping[str, np.ndarray]


def main() -> int:
    """Measure, print; 1 where a result is not what it must be, 2 where the device cannot be used."""
    options = _parser().parse_args()
    sizes = SIZES[options.sizes]
    folder = WORK / f"cuda_ops-{options.sizes}"
    cases = write_cases(folder, all_cases(sizes, _heads(sizes, options.weights)))
    found = measure(contenders(folder, sizes, options), WORK / "workers", rounds=options.rounds, warmup=1)
    rows = make_rows(cases, found)
    about_it = about(options.device, options.peers)
    title = f"Operators on data of the device, {heading(about_it)}"
    print(as_json(rows, about=about_it, sizes=options.sizes) if options.json else as_text(title, rows, COLUMNS))
    ours = next(one for one in found if one.contender.name == OURS)
    if ours.failure is not None:
        print(ours.failure, file=sys.stderr)
        return 2
    return 1 if any(row["equal"] is False or (row["name"] == OURS and row["note"]) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", choices=list(SIZES), default="full")
    parser.add_argument(
        "--weights", type=Path, default=PARITY / "weights" / "yolov5n.pt", help="for heads that are real"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--peers", type=Path, default=cuda_peers_python(), help="a Python that has PyTorch for GPUs")
    parser.add_argument("--json", action="store_true")
    return parser


def contenders(folder: Path, sizes: Sizes, options: argparse.Namespace) -> list[Contender]:
    """Ours, PyTorch, and who says what is right."""
    common = {"folder": str(folder), "runs": sizes.runs}
    peer = "cpu" if options.device == "host" else "cuda"
    ours = {**common, "device": options.device}
    workers = "benchmarks.workers"
    return [
        Contender(REFERENCE, "fp32", False, PROJECT_PYTHON, f"{workers}.reference_operators", common),
        Contender(OURS, "fp32", True, PROJECT_PYTHON, f"{workers}.cuda_operators", ours),
        Contender(
            PEER,
            "fp32",
            False,
            str(options.peers),
            f"{workers}.torch_operators",
            {**common, "device": peer},
            absent=ABSENT_ON_CUDA,
        ),
    ]


def _heads(sizes: Sizes, weights: Path) -> dict[str, list[np.ndarray]]:
    """What is decoded: heads of yolov5n on two photographs where they and its weights are, else invented ones."""
    photographs = [PARITY / "data" / name for name in ("bus.jpg", "zidane.jpg")]
    if not all(path.is_file() for path in (weights, *photographs)):
        return {f"invented heads, {sizes.batch} images": random_heads(sizes, sizes.batch)}
    from yolo.data.images import read_image
    from yolo.data.letterbox import fit, letterbox
    from yolo.models.weights.load import load_weights
    from yolo.program.compiled import CompiledNetwork

    checkpoint, size = load_weights(weights), (sizes.side, sizes.side)
    images = [letterbox(image, fit(image.shape[:2], size)) for image in map(read_image, photographs)]
    network = CompiledNetwork.of(checkpoint.spec, checkpoint.model)
    heads = network.program((2, 3, *size))(np.stack(images))
    most = [np.concatenate([head] * (sizes.batch // 2)) for head in heads]
    return {"yolov5n, 1 image": [head[:1].copy() for head in heads], f"yolov5n, {sizes.batch} images": most}


def make_rows(cases: Sequence[Case], found: Sequence[Measurement]) -> list[Row]:
    """One row a part of a case and contender, compared with the reference's results, and with the floor: the bytes that
    must move by what the card's memory can do."""
    by_name = {one.contender.name: one for one in found}
    reference, ours, peer = (by_name[name] for name in (REFERENCE, OURS, PEER))
    copies = ours.figures.get(COPY)
    speed = next(case.bytes for case in cases if case.name == COPY) / statistics.median(copies) if copies else None
    rows = []
    for number, case in enumerate(cases):
        right = _results(reference, number)
        for one in (ours, peer):
            given, peers = _results(one, number), _times(peer, case.name)
            off = distance(case, given, right) if given and right and "failure" not in given else None
            note = one.failure or _failure(given) or (_failure(right) and f"reference: {_failure(right)}")
            for part, times in sorted(_times(one, case.name).items(), reverse=True) or [(case.name, [])]:
                row = _row(part, one, times, peers.get(part), case, speed)
                checked = None if off is None or not right else off <= allowed(case, one.contender.name)
                rows.append({**row, "difference": off, "equal": checked, "note": note})
    return rows


def _row(part: str, one: Measurement, times: list[float], peers: list[float] | None, case: Case, speed) -> Row:
    median = statistics.median(times) if times else None
    spread = float(np.subtract(*np.percentile(times, (75, 25)))) / median if times else None
    bytes_moved = None if case.bytes is None else case.bytes * BYTES_OF_PART.get(part.rpartition(": ")[2], 1)
    floor = bytes_moved / speed if bytes_moved and speed else None
    ratio = median / statistics.median(peers) if median and peers and one.contender.ours else None
    target = next((most for start, most in TARGETS.items() if part.startswith(start) and one.contender.ours), None)
    return {
        "case": part,
        "name": one.contender.name,
        "ours": one.contender.ours,
        "median_us": None if median is None else 1000 * median,
        "spread": spread,
        "runs": len(times),
        "peer_ratio": ratio,
        "target_ratio": target,
        "met": None if ratio is None or target is None else ratio <= target,
        "floor_us": None if floor is None else 1000 * floor,
        "floor_ratio": median / floor if median and floor else None,
    }


def _times(one: Measurement, case: str) -> dict[str, list[float]]:
    """The times of a case's parts."""
    return {part: ms for part, ms in one.figures.items() if part == case or part.startswith(f"{case}: ")}


def _results(one: Measurement, number: int) -> dict[str, np.ndarray]:
    start = f"{number}/"
    return {name[len(start) :]: array for name, array in (one.outputs or {}).items() if name.startswith(start)}


def _failure(given: Arrays) -> str | None:
    return str(given["failure"]) if "failure" in given else None


def distance(case: Case, given: Arrays, right: Arrays) -> float:
    """How far results are from the reference's: of detections the share that has no partner, else the largest relative
    norm of an array's difference."""
    if {name: array.shape for name, array in given.items()} != {name: array.shape for name, array in right.items()}:
        return math.inf
    if case.operator in ("decode", "nms"):
        return max(unpaired(given, right), unpaired(right, given))
    return max(difference({name: given[name]}, {name: right[name]}) for name in right)


def unpaired(found: Arrays, wanted: Arrays, pixels: float = 0.05, score: float = 1e-3) -> float:
    """The share of wanted detections that have none of their class near them among the found ones."""
    missing = 0
    for rows, count, others, many in zip(wanted["rows"], wanted["counts"], found["rows"], found["counts"]):
        for row in rows[:count]:
            near = np.abs(others[:many] - row)
            missing += not ((near[:, :4] <= pixels).all(1) & (near[:, 4] <= score) & (near[:, 5] == 0)).any()
    return missing / max(int(wanted["counts"].sum()), 1)


TOLERANCES: Mapping[str, tuple[float, float]] = {
    "letterbox": (0.0, 0.02),  # PyTorch's resizing is not OpenCV's
    "decode": (0.005, 0.02),  # a box whose overlap is the threshold's to rounding may come or go
    "nms": (0.005, 0.02),
    "iou": (1e-5, 1e-5),
    "assign": (0.0, 0.0),
    "loss": (1e-4, 1e-4),
    "update": (1e-5, 1e-5),
}
"""Of ours and of the peer."""
NORM_TOLERANCES = {"fp32": 1e-4, "fp16": 2e-3, "bf16": 1.6e-2}


def allowed(case: Case, name: str) -> float:
    """The largest distance that is right."""
    if case.operator == "norm":
        return NORM_TOLERANCES[case.settings["precision"]]
    return TOLERANCES[case.operator][0 if name == OURS else 1]


if __name__ == "__main__":
    sys.exit(main())
