"""The thread that alone touches a DALI pipeline, for callers on any thread."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

_Batch = TypeVar("_Batch", contravariant=True)
_Result = TypeVar("_Result", covariant=True)


class BatchPipeline(Protocol[_Batch, _Result]):
    """What is begun is finished in that order. After an error it is of no more use."""

    def start(self, batch: _Batch) -> None: ...

    def finish(self) -> _Result: ...


@dataclass(frozen=True, eq=False)
class _Request:
    batch: object
    future: Future = field(default_factory=Future)


class PipelineThread(Generic[_Batch, _Result]):
    """Takes batches through a pipeline, at most ``depth`` at once, the others wait.

    ``open_pipeline`` makes it when it is first needed, and anew after each error: that is the error of one batch, the
    others on their way begin again.
    """

    def __init__(self, open_pipeline: Callable[[], BatchPipeline[_Batch, _Result]], depth: int) -> None:
        self._open, self._depth = open_pipeline, depth
        self._waiting: deque[_Request] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="dali", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # before DALI's own: it aborts where a pipeline is still in use

    def submit(self, batch: _Batch) -> Future[_Result]:
        """Its future result. Raises RuntimeError when the thread has ended."""
        request = _Request(batch)
        with self._changed:
            if self._closed:
                raise RuntimeError("the renderer is closed")
            self._waiting.append(request)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """End the thread and the pipeline's; batches that are not on their way are cancelled."""
        atexit.unregister(self.close)
        with self._changed:
            self._closed = True
            self._cancel()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        pipeline: BatchPipeline | None = None
        begun: deque[_Request] = deque()
        while begun or self._wait():
            try:
                if pipeline is None:
                    pipeline = self._open()
                while len(begun) < self._depth and (request := self._take()) is not None:
                    begun.append(request)
                    pipeline.start(request.batch)
                result = pipeline.finish() if begun else None
            except Exception as error:  # whatever it is, it is the caller's
                pipeline = None
                self._fail(begun, error)
                continue
            if begun:
                begun.popleft().future.set_result(result)
            del result  # a batch is large: none is held while nothing is asked for

    def _wait(self) -> bool:
        """Until there is something to do; False when there never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def _take(self) -> _Request | None:
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def _fail(self, begun: deque[_Request], error: Exception) -> None:
        """The oldest fails; a pipeline does not say which one it was."""
        failed = begun.popleft() if begun else self._take()
        with self._changed:
            self._waiting.extendleft(reversed(begun))
            begun.clear()
            if self._closed:
                self._cancel()
        if failed is not None:
            failed.future.set_exception(error)

    def _cancel(self) -> None:
        while self._waiting:
            self._waiting.popleft().future.cancel()
