"""``python -m yolo.serve``: the detector behind HTTP."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.serve")

import contextlib
import importlib.util
import logging
from typing import Any

import numpy as np

from yolo.command import run_command
from yolo.config.commands import ServeConfig
from yolo.data.images import limit_opencv_threads
from yolo.errors import ConfigError
from yolo.inference.detector import Detector
from yolo.inference.frame_run import make_detector

logger = logging.getLogger("yolo")

PACKAGES = ("fastapi", "uvicorn", "python_multipart")
EXTRA = ("fastapi==0.162.5", "uvicorn==0.54.0", "python-multipart==0.0.32")
"""As setup.py's extra has them."""


def serve(config: ServeConfig) -> dict[str, Any]:
    """Answer requests until a signal; give the command's JSON object without its head."""
    _require_packages()
    from yolo.serving.app import make_app
    from yolo.serving.guard import is_loopback, names_for
    from yolo.serving.limits import Limits
    from yolo.serving.server import address_of, listen, run
    from yolo.serving.service import Service

    limit_opencv_threads()  # requests have threads of their own
    limits = Limits(
        bytes=int(config.max_megabytes * 1e6),
        pixels=int(config.max_megapixels * 1e6),
        queue=config.max_queue,
        receive_seconds=config.receive_seconds,
    )
    # A port that is taken is said before the weights are loaded.
    with contextlib.closing(listen(config.host, config.port)) as listening:
        address = address_of(listening)
        detector = make_detector(config)
        _warm_up(detector)
        service = Service(detector, limits, max_batch=config.max_batch, max_delay=config.max_delay_ms / 1000)
        try:
            if not is_loopback(config.host):
                logger.warning("everybody who reaches %s may use this server: it has no password", config.host)
            logger.info("listening on %s (a page; POST /v1/detect, /healthz, /metrics); Ctrl-C ends it", address)
            run(make_app(service, names_for(config.host, config.allowed_hosts)), listening, limits.receive_seconds)
        except BaseException:
            service.close(finish=False)
            raise
        service.close()
    answered = service.metrics.statuses
    logger.info("stopped; %s", _answered(answered))
    return {"address": address, "requests": {str(status): count for status, count in answered.items()}}


def _require_packages() -> None:
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            what = f"needs {package.replace('_', '-')}, which is not installed"
            raise ConfigError(what, where="yolo.serve", hint=f"pip install {' '.join(EXTRA)}")


def _warm_up(detector: Detector) -> None:
    """The network runs, and is compiled for the most common shape, before somebody waits for it."""
    detector(np.zeros((*detector.imgsz, 3), np.uint8))


def _answered(statuses: dict[int, int]) -> str:
    total, well = sum(statuses.values()), statuses.get(200, 0)
    refused = f", {total - well} refused or failed" if total > well else ""
    return f"{well} request{'' if well == 1 else 's'} answered{refused}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.serve", ServeConfig, serve, argv)
