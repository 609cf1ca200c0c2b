"""MLflow."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.errors import ConfigError
from yolo.loggers.service import RunInfo, Service, plain_name

MOST_PARAMETERS = 100  # in one call, by MLflow's rule
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""For a server that does not answer: by its own rule each call would wait for 120 s, and seven times."""


class Mlflow(Service):
    """Runs go into ``mlruns`` beside the run's folder, or with ``--online`` to MLFLOW_TRACKING_URI."""

    name = "mlflow"

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._store: Path | None = None

    def start(self, info: RunInfo, identity: str | None) -> str | None:
        self.library.set_tracking_uri(self._place(info))
        self.library.set_experiment(info.project)
        run = self.library.start_run(run_id=identity, run_name=None if identity else info.folder.name)
        if not identity:  # parameters of a run cannot change
            values = [(name, str(value)) for name, value in {**info.options, **info.hyp}.items()]
            while chunk := dict(itertools.islice(values, MOST_PARAMETERS)):
                self.library.log_params(chunk)
                values = values[MOST_PARAMETERS:]
        return run.info.run_id

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        self.library.log_metrics({plain_name(name): value for name, value in values.items()}, step=epoch)

    def images(self, files: Sequence[Path], epoch: int) -> None:
        for file in files:
            self.library.log_artifact(str(file), artifact_path="plots")

    def weights(self, file: Path, aliases: Sequence[str], epoch: int) -> None:
        self.library.log_artifact(str(file), artifact_path="weights")

    def finish(self, failed: bool) -> str | None:
        self.library.end_run(status="FAILED" if failed else "FINISHED")
        return None if self._store is None else f"mlflow ui --backend-store-uri {self._store}"

    def _place(self, info: RunInfo) -> str:
        if info.online:
            if not os.environ.get("MLFLOW_TRACKING_URI"):
                raise ConfigError(
                    "the address of the server is not known", where="--online", hint="set MLFLOW_TRACKING_URI"
                )
            for name, value in PATIENCE.items():
                os.environ.setdefault(name, value)
            return os.environ["MLFLOW_TRACKING_URI"]
        # MLflow 3 wants to be told that a folder will do.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._store = info.folder.parent.absolute() / "mlruns"
        return self._store.as_uri()
