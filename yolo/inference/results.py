"""What a detector found in one image."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolo import ops
from yolo.config.values import MOST_LINE_WIDTH
from yolo.data.image_file import ImageFile
from yolo.data.images import write_image
from yolo.data.letterbox import Size
from yolo.errors import ConfigError, DataError
from yolo.inference.boxes import Boxes
from yolo.inference.outputs.crops import CropFiles, cut_out
from yolo.inference.settings import check_range

if TYPE_CHECKING:
    import pandas
    import supervision


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The detections of one image, best first.

    ``rows`` is float32 ``[n, 6]``: x1, y1, x2, y2 (pixels of ``image``), confidence, class. ``len(result)`` is n;
    iterating and ``result[i]`` give rows: ``for x1, y1, x2, y2, confidence, number in result``.
    """

    original: NDArray[np.uint8] | ImageFile
    """The image, or where the network saw a smaller decoding the file, whose bytes are kept."""
    rows: NDArray[np.float32]
    names: tuple[str, ...]
    """Class names; the position is the class."""
    path: Path | None = None
    """The file it came from; None for an array."""
    frame: int | None = None
    """Of a video: which frame, the first is 1."""
    input_size: tuple[int, int] = (0, 0)
    """(height, width) that the network saw."""
    speed_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    """Milliseconds of ``preprocess``, ``inference`` (compilation not counted) and ``nms``."""
    ids: NDArray[np.int64] | None = None
    """Of the tracks, ``[n]``; None where nothing is tracked."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return iter(self.rows)

    def __getitem__(self, place: int | slice) -> NDArray[np.float32]:
        return self.rows[place]

    def __repr__(self) -> str:
        """Short: ``Result(bus.jpg 810x1080: 4 persons, 1 bus)``, width by height."""
        height, width = self.size
        name = [] if self.path is None else [self.path.name]
        frame = [] if self.frame is None else [f"frame {self.frame}"]
        return f"Result({' '.join([*name, *frame, f'{width}x{height}'])}: {self.summary()})"

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]``, without anything drawn on it; a file's is decoded when it is first asked for."""
        return self.original.pixels if isinstance(self.original, ImageFile) else self.original

    @property
    def size(self) -> Size:
        """(height, width) of ``image``, in pixels."""
        return self.original.size if isinstance(self.original, ImageFile) else self.original.shape[:2]

    @property
    def boxes(self) -> Boxes:
        """``.xyxy``, ``.xywh``, ``.xyxyn``, ``.xywhn``, ``.conf``, ``.cls`` and ``.id`` of the detections."""
        return Boxes(self.rows, self.size, self.ids)

    def plot(
        self, *, line_width: int | None = None, hide_labels: bool = False, hide_conf: bool = False
    ) -> NDArray[np.uint8]:
        """A copy of the image with the detections drawn on it, and the ids of tracks: RGB uint8 ``[H, W, 3]``.

        ``line_width`` is in pixels; by default it comes from the image's size. Raises ConfigError out of range.
        """
        from yolo.plots.annotate import annotate  # fonts take longer to load than a network

        if line_width is not None:
            check_range("line_width", line_width, 1, MOST_LINE_WIDTH, whole=True)
            line_width = int(line_width)
        looks = {"line_width": line_width, "hide_labels": hide_labels, "hide_conf": hide_conf}
        return annotate(self.image, self.rows, self.names, ids=self.ids, **looks)

    def save(self, path: str | Path) -> Path:
        """Write the annotated image in the format that the suffix names; raises DataError when that fails."""
        return write_image(_path(path, "a file such as annotated.jpg"), self.plot())

    def crop(self) -> list[NDArray[np.uint8]]:
        """The objects cut out of the image with a little around them, RGB uint8 ``[h, w, 3]`` each, best first."""
        return [cut_out(self.image, box) for box in self.boxes.xyxy] if len(self) else []

    def save_crops(self, folder: str | Path) -> list[Path]:
        """Write what ``crop`` gives as ``--save-crop`` does: ``FOLDER/CLASS/IMAGE.jpg``, ``IMAGE2.jpg`` and so on.

        Gives the files, the best object's last; those that are there already stay. Raises DataError where one cannot
        be written.
        """
        folder, stem = _path(folder, "a folder"), "image" if self.path is None else self.path.stem
        if not len(self):  # its image need not be decoded
            return []
        cut = CropFiles(folder, self.names).cut(self.image, self.boxes, stem)
        return [write_image(path, crop) for path, crop in cut]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``path``, ``frame`` (of a video), ``detections`` with class, name, conf and xyxy (pixels).

        Those of tracks have their ``id`` too.
        """
        found = [
            {"class": int(row[5]), "name": self.names[int(row[5])], "conf": round(float(row[4]), 5), "xyxy": corners}
            for row, corners in zip(self.rows, np.round(self.boxes.xyxy.astype(np.float64), 2).tolist())
        ]
        if self.ids is not None:
            found = [{"id": int(number), **one} for number, one in zip(self.ids, found)]
        place = {} if self.frame is None else {"frame": self.frame}
        return {"path": None if self.path is None else str(self.path), **place, "detections": found}

    def to_json(self) -> str:
        """``to_dict`` as a line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_pandas(self) -> pandas.DataFrame:
        """A row a detection: xmin, ymin, xmax, ymax (pixels), confidence, class, name, as YOLOv5 has it; of tracks id.

        Raises ConfigError where pandas is not installed.
        """
        pandas = _installed("pandas", "to_pandas")
        columns = dict(zip(("xmin", "ymin", "xmax", "ymax"), self.boxes.xyxy.T))
        columns |= {"confidence": self.boxes.conf, "class": self.boxes.cls, "name": self._class_names()}
        return pandas.DataFrame(columns | ({} if self.ids is None else {"id": self.ids}))

    def to_supervision(self) -> supervision.Detections:
        """As supervision's Detections, with ``tracker_id`` of tracks and the names in ``data["class_name"]``.

        Raises ConfigError where supervision is not installed.
        """
        boxes = self.boxes
        return _installed("supervision", "to_supervision").Detections(
            xyxy=boxes.xyxy,
            confidence=boxes.conf,
            class_id=boxes.cls,
            tracker_id=boxes.id,
            data={"class_name": np.array(self._class_names(), np.str_)},
        )

    def label_lines(self, *, confidence: bool = False) -> str:
        """The text of a label file; see ``label_lines``."""
        return label_lines(self.rows, self.size, confidence=confidence, ids=self.ids)

    def summary(self) -> str:
        """What was found in words: ``4 persons, 1 bus``, in the order of the classes."""
        counts = sorted(Counter(self.boxes.cls.tolist()).items())
        words = [f"{count} {self.names[number]}{'s' * (count > 1)}" for number, count in counts]
        return ", ".join(words) or "(no detections)"

    def _class_names(self) -> list[str]:
        return [self.names[number] for number in self.boxes.cls]


def label_lines(
    rows: NDArray[np.float32],
    size: tuple[int, int],
    *,
    confidence: bool = False,
    ids: NDArray[np.int64] | None = None,
) -> str:
    """The text of a label file: a line ``class x y w h [conf] [id]`` for each of ``rows``, divided by width and height.

    rows: float32 ``[n, 6]`` in pixels of an image of ``size`` (height, width). The most confident comes last, as in
    YOLOv5's own files; "" when there are none.
    """
    places = ops.xyxy_to_xywhn(np.ascontiguousarray(rows[:, :4]), size)
    tracks = [""] * len(rows) if ids is None else [f" {track}" for track in ids]
    lines = []
    for row, place, track in zip(rows[::-1], places[::-1], tracks[::-1]):
        values = [*place, row[4]] if confidence else place
        lines.append(" ".join([str(int(row[5])), *(f"{value:g}" for value in values)]) + f"{track}\n")
    return "".join(lines)


def _path(given: object, wanted: str) -> Path:
    if not isinstance(given, (str, os.PathLike)):
        raise DataError(f"a {type(given).__name__} is not a path", hint=f"name {wanted}")
    return Path(given)


def _installed(library: str, what: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ConfigError(f"{what} needs {library}", hint=f"pip install {library}") from error
