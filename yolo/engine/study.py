"""How speed and accuracy change with the image size: the files that a study leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolo.engine.report import validation_json
from yolo.engine.validator import Validation
from yolo.inference.outputs.names import UniqueNames
from yolo.io.files import write_text_atomic
from yolo.plots.study import Curve, plot_study


class Study:
    """Collects validations of several weights at several sizes; ``finish`` writes them into ``folder``."""

    def __init__(self, folder: Path, data: str, names: tuple[str, ...], *, plots: bool = True) -> None:
        """``data``: the data set's name, which is in the files' names; ``names``: of the classes."""
        self._folder, self._data, self._names, self._plots = folder, data, names, plots
        self._found: dict[str, list[tuple[int, Validation]]] = {}

    def add(self, weights: str, imgsz: int, validation: Validation) -> None:
        """Note what ``weights`` gave at ``imgsz`` pixels."""
        self._found.setdefault(weights, []).append((imgsz, validation))

    def finish(self) -> dict[str, Any]:
        """Write a ``study_<data>_<weights>.txt`` each and, with ``plots``, ``study.png``; give the JSON object.

        A line a size, YOLOv5's columns: P, R, mAP50, mAP50-95; box, obj and cls loss (0: not computed); milliseconds an
        image of preprocessing, inference and NMS.
        """
        names, found, curves = UniqueNames(), [], []
        for weights, sizes in self._found.items():
            name = names.take(f"study_{self._data}_{Path(weights).stem}", ".txt")
            path = write_text_atomic(self._folder / name, "".join(_line(validation) for _, validation in sizes))
            rows = []
            for imgsz, validation in sizes:
                numbers = validation_json(validation, self._names)
                rows.append({"imgsz": imgsz, "metrics": numbers["metrics"], "speed_ms": numbers["speed_ms"]})
            found.append({"weights": weights, "file": str(path), "sizes": rows})
            curves.append(_curve(weights, sizes))
        plot = str(plot_study(curves, self._folder / "study.png")) if self._plots else None
        return {"save_dir": str(self._folder), "study": found, "picture": plot}


def _line(validation: Validation) -> str:
    metrics = validation.metrics
    losses = validation.losses or (0.0, 0.0, 0.0)
    values = (
        metrics.precision,
        metrics.recall,
        metrics.map50,
        metrics.map50_95,
        *losses,
        *validation.speed_ms.values(),
    )
    return " ".join(f"{value:10.4g}" for value in values) + "\n"


def _curve(weights: str, sizes: list[tuple[int, Validation]]) -> Curve:
    times = [sum(validation.speed_ms.values()) for _, validation in sizes]
    return Curve(Path(weights).stem, [size for size, _ in sizes], times, [v.metrics.map50_95 for _, v in sizes])
