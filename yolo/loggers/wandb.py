"""Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from numpy.typing import NDArray

from yolo.data.records import Index
from yolo.errors import DataError
from yolo.loggers.service import FoundObjects, RunInfo, Service

ARTIFACT = "wandb-artifact://"


class Wandb(Service):
    """Runs go into the run's folder (``wandb/offline-run-…``), or to the server with ``--online``.

    ``upload_dataset`` ("", "all", or a split's name) makes the data set an artifact called ``alias``.
    """

    name = "wandb"

    def __init__(self, library: Any, *, entity: str = "", upload_dataset: str = "", alias: str = "latest") -> None:
        super().__init__(library)
        self._entity, self._upload, self._alias = entity, upload_dataset, alias
        self._run: Any = None
        self._names: tuple[str, ...] = ()
        self._online = False

    def start(self, info: RunInfo, identity: str | None) -> str | None:
        self._names, self._online = info.names, info.online
        self._run = self.library.init(
            project=info.project,
            entity=self._entity or None,
            name=info.folder.name,
            id=identity,
            resume="allow" if identity and info.online else None,  # offline, one identity is enough
            dir=str(info.folder),
            mode="online" if info.online else "offline",
            job_type="train",
            config={**info.options, "hyp": dict(info.hyp)},
        )
        if self._upload and not identity:
            self._log_dataset(info)
        return self._run.id

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def images(self, files: Sequence[Path], epoch: int) -> None:
        self._run.log({"plots": [self.library.Image(str(file), caption=file.stem) for file in files]}, step=epoch)

    def found(self, objects: Sequence[FoundObjects], epoch: int) -> None:
        names = dict(enumerate(self._names))
        shown = [
            self.library.Image(
                one.image,
                caption=one.name,
                boxes={"predictions": {"box_data": [_box(row, names) for row in one.rows], "class_labels": names}},
            )
            for one in objects
        ]
        self._run.log({"validation": shown}, step=epoch)

    def weights(self, file: Path, aliases: Sequence[str], epoch: int) -> None:
        artifact = self.library.Artifact(f"run_{self._run.id}_model", type="model", metadata={"epoch": epoch})
        artifact.add_file(str(file), name=file.name)
        self._run.log_artifact(artifact, aliases=list(aliases))

    def finish(self, failed: bool) -> str | None:
        folder = Path(self._run.dir).parent
        self._run.finish(exit_code=1 if failed else 0)
        return None if self._online else f"wandb sync {folder}"

    def _log_dataset(self, info: RunInfo) -> None:
        """Images and labels in YOLO's folders, with a data set YAML that is right wherever they are downloaded."""
        artifact = self.library.Artifact(info.dataset, type="dataset", metadata={"names": list(info.names)})
        splits = [split for split in info.splits if self._upload in ("all", split)]
        for split in splits:
            for number, image in enumerate(info.splits[split].paths):
                name = f"{number:06}_{image.name}"
                artifact.add_file(str(image), name=f"images/{split}/{name}")
                with artifact.new_file(f"labels/{split}/{Path(name).stem}.txt", mode="w") as stream:
                    stream.write(_label_lines(info.splits[split], number))
        with artifact.new_file("data.yaml", mode="w") as stream:
            stream.write(_dataset_yaml(splits, info.names))
        self._run.log_artifact(artifact, aliases=[self._alias])


def download_dataset(library: Any, url: str, alias: str, folder: Path) -> Path:
    """Fetch ``wandb-artifact://entity/project/name`` of version ``alias`` into ``folder``; give its data.yaml.

    Needs the server. Raises DataError when it cannot be had.
    """
    name = f"{url.removeprefix(ARTIFACT)}:{alias}"
    try:
        artifact = library.Api().artifact(name, type="dataset")
        found = Path(artifact.download(root=str(folder / name.replace("/", "_").replace(":", "_"))))
    except Exception as error:  # whatever the library and the network come up with
        raise DataError(f"cannot be downloaded from W&B ({error})", where=url, hint="see 'wandb login'") from error
    if not (found / "data.yaml").is_file():
        raise DataError("holds no data.yaml", where=url, hint="make it with --upload_dataset")
    return found / "data.yaml"


def _box(row: NDArray, names: Mapping[int, str]) -> dict[str, Any]:
    """A detection as wandb.Image wants it, in pixels."""
    x1, y1, x2, y2, confidence, category = (float(value) for value in row)
    return {
        "position": {"minX": x1, "minY": y1, "maxX": x2, "maxY": y2},
        "class_id": int(category),
        "box_caption": f"{names[int(category)]} {confidence:.2f}",
        "scores": {"confidence": confidence},
        "domain": "pixel",
    }


def _label_lines(index: Index, number: int) -> str:
    """The image's label file: polygons where it has them, else boxes."""
    lines = []
    for row, polygon in zip(index.labels[number], index.segments[number]):
        values = polygon.reshape(-1) if len(polygon) else row[1:]
        lines.append(" ".join((str(int(row[0])), *(f"{value:.6g}" for value in values))) + "\n")
    return "".join(lines)


def _dataset_yaml(splits: Sequence[str], names: Sequence[str]) -> str:
    # Without one of the two a data set is no data set: then the other stands for it.
    folders = {split: f"images/{split if split in splits else splits[0]}" for split in ("train", "val")}
    return yaml.safe_dump({"path": ".", **folders, "names": dict(enumerate(names))}, sort_keys=False)
