"""A run's folder, copied to a bucket when all is done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from yolo.bucket import Bucket
from yolo.engine.hooks import Hook

if TYPE_CHECKING:
    from yolo.engine.trainer import Trainer
    from yolo.engine.validator import Validation

logger = logging.getLogger("yolo")


class Upload(Hook):
    """Copies the run to ``<bucket>/<name of the run>``; options and recipe at once, which shows that it works."""

    def __init__(self, run: Path, bucket: Bucket) -> None:
        self._run, self._bucket = run, bucket

    def before_train(self, trainer: Trainer) -> None:
        for name in ("opt.yaml", "hyp.yaml"):
            self._bucket.upload(self._run / name, f"{self._run.name}/{name}")

    def after_run(self, trainer: Trainer, validation: Validation) -> None:
        count = self._bucket.upload_folder(self._run, self._run.name)
        logger.info("%d files copied to %s/%s", count, self._bucket.url, self._run.name)
