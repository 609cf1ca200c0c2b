"""ClearML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.loggers.service import RunInfo, Service


class ClearMl(Service):
    """Runs go into ClearML's folder for offline sessions, or to the server with ``--online``.

    A resumed run is a session of its own when offline: an offline session cannot be opened again.
    """

    name = "clearml"

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._task: Any = None
        self._offline = False

    def start(self, info: RunInfo, identity: str | None) -> str | None:
        self._offline = not info.online
        self.library.Task.set_offline(offline_mode=self._offline)
        self._task = self.library.Task.init(
            project_name=info.project,
            task_name=info.folder.name,
            reuse_last_task_id=False,
            continue_last_task=identity if identity and info.online else False,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=False,
            auto_connect_streams=False,
            auto_resource_monitoring=False,
        )
        self._task.connect(dict(info.options), name="Options")
        self._task.connect(dict(info.hyp), name="Hyperparameters")
        return self._task.id

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            title, _, series = name.partition("/")
            self._task.get_logger().report_scalar(title=title, series=series, value=value, iteration=epoch)

    def images(self, files: Sequence[Path], epoch: int) -> None:
        for file in files:
            self._task.get_logger().report_image(title="plots", series=file.stem, iteration=epoch, local_path=str(file))

    def weights(self, file: Path, aliases: Sequence[str], epoch: int) -> None:
        self._task.upload_artifact(name=file.stem, artifact_object=str(file))

    def finish(self, failed: bool) -> str | None:
        session = f"{self._task.get_offline_mode_folder()}.zip" if self._offline else ""
        if failed and not self._offline:
            self._task.mark_failed(status_reason="training broke off")
        self._task.close()
        if not session:
            return None
        return f"python -c \"import clearml; clearml.Task.import_offline_session('{session}')\""
