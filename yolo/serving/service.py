"""What happens to an image between its request and its answer: decoded in threads, then batched."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable
from concurrent.futures import Future, ThreadPoolExecutor

from yolo.data.image_file import ImageFile
from yolo.inference.detector import Detector
from yolo.inference.pipeline import worker_count
from yolo.inference.results import Result
from yolo.serving.batcher import Batcher
from yolo.serving.body import image_in
from yolo.serving.limits import Limits, Places
from yolo.serving.metrics import Metrics


class ClientGoneError(Exception):
    """The client does not wait for its answer any more."""


class Service:
    """One detector for all requests. ``close`` it at the end."""

    def __init__(self, detector: Detector, limits: Limits, *, max_batch: int, max_delay: float) -> None:
        """``max_delay``: seconds that an image may wait for others of its batch."""
        self.detector, self.limits, self.metrics = detector, limits, Metrics()
        self.batcher = Batcher(detector, max_batch, max_delay, self.metrics)
        self.places = Places(limits.queue, lambda: self.batcher.seconds_each)
        self.pool = ThreadPoolExecutor(worker_count(), thread_name_prefix="decode")

    async def detect(self, body: bytes, content_type: str, gone: Awaitable[None]) -> Result:
        """What is in the image that ``body`` holds; ``gone`` ends when nobody waits for it any more.

        Raises RefusedError and DataError for what is no usable image, ClientGoneError, and what the detector raises.
        """
        found: Future[Result] = Future()
        work = self.pool.submit(self._submit, body, content_type, found)
        answer, watch = asyncio.wrap_future(found), asyncio.ensure_future(gone)
        try:
            await asyncio.wait((answer, watch), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await asyncio.wrap_future(work)  # a request has its place as long as it makes work
                self.batcher.drop(found)
                raise ClientGoneError
            return answer.result()
        finally:
            watch.cancel()

    def _submit(self, body: bytes, content_type: str, found: Future[Result]) -> None:
        """The image made ready and queued; its pixels are let go, the file is kept for whoever wants it drawn."""
        try:
            with self.batcher.coming() as submit:
                begin = time.perf_counter()
                content = image_in(body, content_type)
                self.limits.check_image(content)
                file = ImageFile(None, content)
                ready = dataclasses.replace(self.detector.ready(file), original=file)
                file.forget()
                self.metrics.stage_seconds["decode"].observe(time.perf_counter() - begin)
                submit(ready, found)
        except Exception as error:  # the request's to answer
            found.set_exception(error)

    def close(self, *, finish: bool = True) -> None:
        """End the threads; what is queued is finished first, or else cancelled."""
        self.batcher.close(finish=finish)
        self.pool.shutdown(wait=True, cancel_futures=True)
