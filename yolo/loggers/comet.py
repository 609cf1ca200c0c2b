"""Comet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.loggers.service import RunInfo, Service, plain_name


class Comet(Service):
    """Runs go into an archive in the run's folder, or to the server with ``--online``."""

    name = "comet"

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._experiment: Any = None
        self._archives: Path | None = None

    def start(self, info: RunInfo, identity: str | None) -> str | None:
        self._archives = None if info.online else info.folder / "comet"
        self._experiment = self._open(info, identity)
        if not identity:
            self._experiment.set_name(info.folder.name)
            self._experiment.log_parameters({**info.options, **info.hyp})
        return self._experiment.get_key()

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        named = {plain_name(name): value for name, value in values.items()}
        self._experiment.log_metrics(named, step=epoch, epoch=epoch)

    def images(self, files: Sequence[Path], epoch: int) -> None:
        for file in files:
            self._experiment.log_image(str(file), name=file.name, step=epoch)

    def weights(self, file: Path, aliases: Sequence[str], epoch: int) -> None:
        self._experiment.log_model("yolo", str(file), file_name=file.name, overwrite=True)

    def finish(self, failed: bool) -> str | None:
        self._experiment.log_other("finished", not failed)
        self._experiment.end()
        return None if self._archives is None else f"comet upload {self._archives}/*.zip"

    def _open(self, info: RunInfo, identity: str | None) -> Any:
        # Comet would otherwise look into other libraries and catch what is printed.
        quiet = {f"auto_{what}_logging": False for what in ("metric", "param", "output")}
        if info.online:
            if identity:
                return self.library.ExistingExperiment(experiment_key=identity, **quiet)
            return self.library.Experiment(project_name=info.project, **quiet)
        self._archives.mkdir(exist_ok=True)
        place = {"offline_directory": str(self._archives), **quiet}
        if identity:
            return self.library.ExistingOfflineExperiment(previous_experiment=identity, **place)
        return self.library.OfflineExperiment(project_name=info.project, **place)
