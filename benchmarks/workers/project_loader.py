"""Worker: training batches by this project's loader, with the renderers that ``--loader`` names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from benchmarks.loading import LoaderTask
from benchmarks.recipe import HYP
from benchmarks.workers.serve import serve
from yolo.config.hyp import load_hyperparameters
from yolo.data.image_cache import open_caches
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.loader import train_loader
from yolo.data.renderers.choice import renderers


class ProjectLoader(LoaderTask):
    """An epoch a run."""

    def load(
        self, data: str, loader: str, size: int, batch: int, workers: int, cached: bool, cores: Sequence[int]
    ) -> None:
        """loader: as ``--loader``; raises ConfigError where what it needs is not installed."""
        os.sched_setaffinity(0, cores)
        chosen, index = renderers(loader), index_split(load_dataset(data), "train")
        options = {"imgsz": size, "batch_size": batch, "workers": workers, "seed": 0, "renderers": chosen}
        self._loader = train_loader(index, load_hyperparameters(HYP), **options)
        if cached:
            self._loader.cache = open_caches("ram", {"train": (index, True)}, size, workers)["train"]
        self._first, self._epoch = chosen[0].__name__, 0

    def epoch(self) -> Mapping[str, float]:
        """plan_share, render_share: of the time in which the stage was busy; queued: finished batches that waited;
        others: samples that the loader's first renderer did not make."""
        mosaics = labels = 0
        for batch in self._loader.batches(self._epoch):
            mosaics += len(batch)
            labels += sum(map(len, batch.labels))
        self._epoch += 1
        report, made = self._loader.report(), self._loader.rendered()
        stages = {f"{name}_share": seconds / report.seconds for name, seconds in report.busy.items()}
        others = sum(made.values()) - made.get(self._first, 0)
        return {"mosaics": mosaics, "labels": labels, "queued": report.queued, "others": others, **stages}


if __name__ == "__main__":
    serve(ProjectLoader())
