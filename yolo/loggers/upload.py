"""A run's folder, copied to a bucket when all is done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from yolo.engine.hooks.base import Hook, Training
from yolo.io.bucket import Bucket, BucketError

if TYPE_CHECKING:
    from yolo.engine.validator import Validation

logger = logging.getLogger("yolo")


class Upload(Hook):
    """Copies the run to ``<bucket>/<name of the run>``: options and recipe at once, everything when all is done.

    Raises BucketError, which names what was not copied. A training that stops or breaks off copies no more: it says so.
    """

    def __init__(self, run: Path, bucket: Bucket) -> None:
        self._run, self._bucket = run, bucket

    def before_train(self, trainer: Training) -> None:
        files = {f"{self._run.name}/{name}": self._run / name for name in ("opt.yaml", "hyp.yaml")}
        try:
            self._bucket.upload_all(files, lambda: trainer.stop_asked)
        except BucketError as error:
            if not trainer.stop_asked:
                raise
            logger.warning("%s", error)

    def on_error(self, trainer: Training, error: BaseException) -> None:
        logger.info("not copied to %s: the results are in %s", self._bucket.url, self._run)

    def after_run(self, trainer: Training, validation: Validation) -> None:
        try:
            count = self._bucket.upload_folder(self._run, self._run.name)
        except BucketError as error:
            hint = f"training is done and {self._run} has all results: copy it once the bucket can be reached"
            raise BucketError(error.what, where=error.where, hint=hint) from error
        logger.info("%d files copied to %s/%s", count, self._bucket.url, self._run.name)
