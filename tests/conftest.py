"""OneFlow is brought up once, quietly, before any test module imports it; no test is decided by its time or
reaches for the web."""

import dataclasses
import importlib.util
import logging
import os
import shutil
import signal
import sys

import pytest
from hypothesis import settings

from tests.once import made_once
from yolo import runtime

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background ignores it
    # A machine with a GPU may have a Python that OneFlow is not made for: benchmarks.cuda_check picks tests without it.
    if importlib.util.find_spec("oneflow") or os.environ.get("YOLO_TEST_CUDA") != "1":
        runtime.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those that train: of several workers none is left with them at the end.

    The longest tests may take an hour each, whatever else the machine does.
    """
    for item in items:
        if item.get_closest_marker("stress") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3600))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    training = {item.path for item in items if "shop" in item.fixturenames}
    items.sort(key=lambda item: (item.path not in slow, item.path not in training))


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
def own_threads():
    """The process's number of threads, which groups of ranks set, is its cores again behind each test."""
    yield
    if "yolo._native" in sys.modules:
        sys.modules["yolo._native"].set_default_threads(0)


@pytest.fixture(autouse=True)
def no_published_weights(monkeypatch):
    """The published weights are at an address where nobody answers."""
    monkeypatch.setattr("yolo.models.weights.hub.RELEASES", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory):
    """The train command's end (``tests.train.samples.Done``) on coloured rectangles, which its weights find.

    It is trained once for all test processes; the folder is a copy of this one's own.
    """
    from tests.train.samples import Workshop

    def train(folder):
        done = Workshop.make(folder).train("learnt", "--noplots", "--noval", "--json", epochs="120", optimizer="AdamW")
        assert done.code == 0, done.err
        return done

    done = made_once(tmp_path_factory, "learnt", train)
    own = shutil.copytree(done.folder, tmp_path_factory.mktemp("learnt") / "run")
    return dataclasses.replace(done, folder=own)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The folder of the run of ``tests.two_ranks``, trained once for all test processes: nobody writes there."""
    from tests.two_ranks import train

    return made_once(tmp_path_factory, "two_ranks", train)


@pytest.fixture
def three_threads():
    """Loops of this process have three threads, whatever the machine has."""
    from yolo import native

    native.set_default_threads(3)
    yield
    native.set_default_threads(0)
