"""OneFlow is brought up once, quietly, before any test module imports it; no test is decided by its time."""

from hypothesis import settings

from yolo import runtime

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config):
    runtime.start()
