"""OneFlow is brought up once, quietly, before any test module imports it; no test is decided by its time or
reaches for the web."""

import logging
import signal

import pytest
from hypothesis import settings

from yolo import runtime

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background ignores it
    runtime.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that of several workers none is left with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_logging():
    """What a test, or what it calls, does to the logger ends with it."""
    logger = logging.getLogger("yolo")
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [], True
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(autouse=True)
def no_published_weights(monkeypatch):
    """The published weights are at an address where nobody answers."""
    monkeypatch.setattr("yolo.models.weights.hub.RELEASES", "http://127.0.0.1:9")
