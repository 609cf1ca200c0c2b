"""An image between its request and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.serving.client import image_file
from tests.serving.test_batcher import LONG, Slow
from yolo.data.image_file import ImageFile
from yolo.data.letterbox import fit, letterbox
from yolo.inference.inputs import Ready
from yolo.serving.limits import Limits, RefusedError
from yolo.serving.service import ClientGoneError, Service

LIMITS = Limits(bytes=10**6, pixels=10**6, queue=2, receive_seconds=1)


class Detector(Slow):
    """One that gives what it was given, in its own time."""

    def ready(self, image: ImageFile) -> Ready:
        box = fit(image.size, (64, 64), auto=True, stride=32)
        return Ready(image.pixels, letterbox(image.pixels, box), box, 0.0)

    def detect_ready(self, group: Any) -> Any:
        self.running.release()
        self.go.acquire()
        return group


@pytest.fixture
def detector() -> Detector:
    return Detector()


@pytest.fixture
def service(detector: Detector) -> Iterator[Service]:
    service = Service(detector, LIMITS, max_batch=8, max_delay=LONG)
    yield service
    detector.go.release(100)
    service.close(finish=False)


def asked(service: Service, body: bytes, gone: Callable[[], Awaitable[None]]) -> Any:
    async def ask() -> Any:
        return await asyncio.wait_for(service.detect(body, "image/png", gone()), LONG)

    return asyncio.run(ask())


async def never() -> None:
    await asyncio.Event().wait()


def test_pixels_are_let_go_before_an_image_waits(service: Service, detector: Detector) -> None:
    """The file is kept: of a queue of large photographs that is a small part."""
    detector.go.release()
    ready = asked(service, image_file(), never)
    assert isinstance(ready.original, ImageFile) and "pixels" not in vars(ready.original)
    assert ready.original.pixels.shape == (48, 64, 3) and ready.image.shape == (3, 64, 64)


def test_who_goes_away_leaves_the_queue(service: Service, detector: Detector) -> None:
    async def soon() -> None:
        while not len(service.batcher):
            await asyncio.sleep(0.01)

    async def two() -> None:
        first = asyncio.ensure_future(service.detect(image_file(), "image/png", never()))
        await asyncio.get_running_loop().run_in_executor(None, detector.running.acquire)
        with pytest.raises(ClientGoneError):
            await service.detect(image_file(), "image/png", soon())
        assert len(service.batcher) == 0
        detector.go.release()
        assert isinstance(await first, Ready)

    asyncio.run(asyncio.wait_for(two(), LONG))


def test_what_is_refused_is_not_waited_for(service: Service) -> None:
    with pytest.raises(RefusedError):
        asked(service, b"nothing", never)
    assert len(service.batcher) == 0
