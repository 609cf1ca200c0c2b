"""``python -m yolo.convert``: a data set in another format to YOLO labels."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.convert")

import logging
from pathlib import Path
from typing import Any

from yolo.command import require_source, run_command
from yolo.config.commands import ConvertConfig
from yolo.data.convert.run import FORMATS, convert, write_dataset_file
from yolo.data.dataset import preset_names
from yolo.data.folders import new_folder
from yolo.errors import ConfigError, DataError

logger = logging.getLogger("yolo")


def run(config: ConvertConfig) -> dict[str, Any]:
    """Convert as ``config`` says; give the command's JSON object without its head."""
    source, output = Path(require_source(config.source, "--source")), Path(config.output)
    if not source.is_dir():
        raise DataError("no such folder", where=source)
    if not config.output:
        raise ConfigError("no folder for the result", where="--output", hint="name a new one")
    names = config.names or (preset_names(FORMATS[config.format][1]) if FORMATS[config.format][1] else None)
    with new_folder(output, source, "--output") as folder:
        done = convert(config.format, source, folder, names, segments=config.segments)
        write_dataset_file(folder, done, source)
    file = output / "data.yaml"
    if not config.json:
        print(file)
    logger.info("check it: python -m yolo.check --data %s", file)
    return {
        "data": str(file),
        "names": list(done.names),
        "pictures": dict(done.images),
        "labels": done.labels,
        "left_out": done.skipped,
        "noticed": done.noticed,
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.convert", ConvertConfig, run, argv)
