"""OneFlow is brought up once, quietly, before any test module imports it."""

from yolo import runtime


def pytest_configure(config):
    runtime.start()
