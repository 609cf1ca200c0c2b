"""``--resume`` on several ranks: the first one's run goes on, on machines too that have never seen its folder."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from yolo.config.commands import TrainConfig
from yolo.engine.resume import Resumed, find_run
from yolo.links import Links, agreed

FILES = ("opt.yaml", "weights/last.safetensors")


def find_run_together(asked: TrainConfig, links: Links | None) -> Resumed:
    """What ``find_run`` finds on the first rank, on all ranks; raises as it does, on all of them."""
    if links is None:
        return find_run(asked)
    found, first = None, links.ranks.first
    with agreed(links):
        found = find_run(asked) if first else None
    told = links.tell(_packed(found.folder) if found else {})[0]
    return found or _unpacked(told, asked)


def _packed(folder: Path) -> dict[str, np.ndarray]:
    present = [name for name in FILES if (folder / name).is_file()]
    files = {name: np.frombuffer((folder / name).read_bytes(), np.uint8) for name in present}
    return {"folder": np.array(str(folder)), **files}


def _unpacked(told: dict[str, np.ndarray], asked: TrainConfig) -> Resumed:
    with tempfile.TemporaryDirectory() as place:
        for name in FILES:
            if name in told:
                (Path(place) / name).parent.mkdir(exist_ok=True)
                (Path(place) / name).write_bytes(told[name].tobytes())
        resumed = find_run(dataclasses.replace(asked, resume=place))
    return dataclasses.replace(resumed, folder=Path(str(told["folder"])))
