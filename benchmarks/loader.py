"""How fast are mosaics made, and at what cost? By each loader, beside one that does what YOLOv5's under PyTorch does.

python -m benchmarks.loader [--json], about 5 minutes on 2 cores; `make bench-peers` installs PyTorch.
With --long N: does memory grow over N mosaics of one loader, python -m benchmarks.loader --long 20000 --loaders native.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.coco_like import make_coco_like
from benchmarks.driver import ABSENT, Contender, ContenderError, Measurement, Worker, confine, measure, tell
from benchmarks.loader_table import (
    COLUMNS,
    DEVICE_TITLE,
    FLOOR,
    NAMES,
    PUBLISHED_SIZE,
    device_columns,
    device_rows,
    loader_rows,
)
from benchmarks.loading import write_set
from benchmarks.options import positive
from benchmarks.places import PARITY, PEERS_PYTHON, PROJECT_PYTHON, WORK
from benchmarks.table import as_json, as_text
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.errors import YoloError

COCO128 = PARITY / "data" / "coco128.yaml"
DRAWN_IMAGES = 128
SLOW_ROUNDS = 2
"""Of DALI without a GPU, which takes five times as long as the others."""
PARTS = 10
"""Of a long run: after each, memory is read."""
DALI = {"dali": {"CUDA_VISIBLE_DEVICES": ""}, "dali-gpu": {}}
"""Both are --loader dali; what they may see."""


def main() -> int:
    """Measure, print; 2 where the images cannot be read or --long finds nothing to run."""
    options = _parser().parse_args()
    confine(max(options.workers))
    try:
        data, about = _data(options.data)
        files = _write_files(data)
    except YoloError as error:
        print(error, file=sys.stderr)
        return 2
    contenders = _contenders(options, data, files)
    if options.long:
        return _long(contenders, options)
    found = _measure(contenders, options.rounds)
    rows = loader_rows(found)
    devices = device_rows(rows) if options.size == PUBLISHED_SIZE else []
    if options.json:
        print(as_json([*rows, *devices], size=options.size, batch=options.batch, data=about))
        return 0
    title = f"Mosaics of {options.size}x{options.size}, batches of {options.batch}, {about}; a worker has one core"
    print(as_text(title, rows, COLUMNS))
    if devices:
        print(f"\n{as_text(DEVICE_TITLE, devices, device_columns(rows))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="data set YAML (default: COCO128, or drawn images where it is not)")
    parser.add_argument("--loaders", nargs="+", choices=tuple(NAMES), default=list(NAMES), help="which are measured")
    parser.add_argument("--sources", nargs="+", choices=("files", "ram"), default=["files", "ram"])
    parser.add_argument("--workers", nargs="+", type=positive, default=[1, 2], help="each has a core")
    parser.add_argument("--size", type=positive, default=640)
    parser.add_argument("--batch", type=positive, default=16)
    parser.add_argument("--rounds", type=positive, default=8, help="each an epoch of every loader, in turn")
    parser.add_argument(
        "--long", type=positive, default=0, metavar="N", help="only memory, over N mosaics of one loader"
    )
    parser.add_argument("--json", action="store_true")
    return parser


def _data(given: Path | None) -> tuple[Path, str]:
    """The data set, and what it is in words."""
    if given is not None:
        return given, str(given)
    if COCO128.is_file():
        return COCO128, "COCO128"
    return make_coco_like(WORK / "coco-like", DRAWN_IMAGES), f"{DRAWN_IMAGES} drawn JPEGs of COCO's sizes"


def _write_files(data: Path) -> Path:
    """For contenders that read no data set YAML."""
    index, path = index_split(load_dataset(data), "train"), WORK / "loader-set.npz"
    write_set(path, index.paths, index.labels)
    return path


def _contenders(options: argparse.Namespace, data: Path, files: Path) -> list[Contender]:
    cores = sorted(os.sched_getaffinity(0))
    found = []
    for source in options.sources:
        for workers in options.workers:
            common = {"size": options.size, "batch": options.batch, "workers": workers, "cached": source == "ram"}
            place = {**common, "cores": cores[:workers]}
            found += [_contender(name, place, data, files) for name in options.loaders if name != FLOOR]
    if FLOOR in options.loaders and not options.long:
        found.append(_worker(FLOOR, True, "decoding", {"files": str(files), "cores": cores[:1]}))
    return found


def _contender(name: str, place: dict, data: Path, files: Path) -> Contender:
    if name == "torch":
        return _worker(name, False, "torch_loader", {**place, "files": str(files)})
    options = {**place, "data": str(data), "loader": name.partition("-")[0]}
    return _worker(name, True, "project_loader", options, DALI.get(name, {}))


def _worker(name: str, ours: bool, module: str, options: dict, environment: dict[str, str] | None = None) -> Contender:
    python = PROJECT_PYTHON if ours else str(PEERS_PYTHON)
    threads = {"OMP_NUM_THREADS": str(len(options["cores"]))}
    how = {"environment": {**threads, **(environment or {})}, "check": False}
    return Contender(name, "uint8", ours, python, f"benchmarks.workers.{module}", options, **how)


def _measure(contenders: Sequence[Contender], rounds: int) -> list[Measurement]:
    """All in turn, but DALI without a GPU, which would keep the others waiting, behind them."""
    slow = [contender for contender in contenders if contender.name == "dali"]
    others = [contender for contender in contenders if contender not in slow]
    absent = [Measurement(one, failure="there is no GPU") for one in others if one.name == "dali-gpu" and not _gpu()]
    others = [one for one in others if one.name != "dali-gpu" or _gpu()]
    found = measure(others, WORK / "workers", rounds=rounds, warmup=1)
    return found + measure(slow, WORK / "workers", rounds=min(rounds, SLOW_ROUNDS), warmup=1) + absent


def _gpu() -> bool:
    return Path("/proc/driver/nvidia/gpus").is_dir()


def _long(contenders: Sequence[Contender], options: argparse.Namespace) -> int:
    """Memory after each tenth of so many mosaics of the last of the contenders."""
    if len({one.name for one in contenders}) != 1:
        print("--long watches one loader: name it with --loaders", file=sys.stderr)
        return 2
    contender = next(one for one in contenders if one.options["workers"] == max(options.workers))
    try:
        resident = [round(megabytes, 1) for megabytes in _watched(contender, options.long)]
    except ContenderError as error:
        print(f"{contender.name}: {error}", file=sys.stderr)
        return 2
    growth = resident[-1] / resident[0] - 1
    row = {"name": contender.name, "ours": contender.ours, **contender.options, "mosaics": options.long}
    if options.json:
        print(as_json([{**row, "rss_mb": resident, "growth": round(growth, 4)}]))
        return 0
    steps = " ".join(f"{megabytes:.1f}" for megabytes in resident)
    print(f"{contender.name}, {options.long} mosaics, RSS in MB after each tenth: {steps}; {100 * growth:+.2f} %")
    return 0


def _watched(contender: Contender, mosaics: int) -> Iterator[float]:
    """RSS after each tenth, rounded up to whole epochs."""
    if not Path(contender.python).exists():
        raise ContenderError(ABSENT)
    log = WORK / "workers" / "long.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with Worker(contender, log) as worker:
        worker.ask("load", **contender.options)
        done = 0
        for part in range(1, PARTS + 1):
            while done < mosaics * part / PARTS:
                answer = worker.ask("run")
                done += answer["mosaics"]
                tell(f"{done:.0f} of {mosaics} mosaics")
            yield answer["rss_mb"]


if __name__ == "__main__":
    sys.exit(main())
