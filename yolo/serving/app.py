"""The routes: the detector, its figures, and the page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from yolo.data.images import encode_image
from yolo.errors import DataError, YoloError
from yolo.inference.results import Result
from yolo.serving.body import check_head, read_body
from yolo.serving.guard import App, Guard, Scope, Send
from yolo.serving.limits import RefusedError
from yolo.serving.metrics import CONTENT_TYPE
from yolo.serving.service import ClientGoneError, Service
from yolo.serving.wanted import OPTIONS, Wanted

DETECT = "/v1/detect"
STATIC = Path(__file__).with_name("static")
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
DRAWN = {"image/png": ".png", "image/webp": ".webp"}
"""What an image is answered in where the client accepts it; else JPEG."""
GONE = 499
"""As nginx counts what nobody waited for."""


def make_app(service: Service, names: frozenset[str] | None) -> App:
    """The application; ``names``: by which it may be asked, None: by any (``names_for``)."""
    app = FastAPI(title="YOLOv5", docs_url=None, redoc_url=None)
    _add_answers_for_errors(app)
    _add_figures(app, service)
    _add_page(app)

    @app.post(DETECT, openapi_extra=_described(), response_class=Response)
    async def detect(request: Request) -> Response:
        wanted = Wanted.of_query(request.query_params.multi_items())
        wanted.check(service.detector)
        with service.places.place():
            result = wanted.part_of(await _detected(service, request))
            return await _answer(service, result, _suffix(request.headers.get("accept", ""), wanted.annotated))

    return _Counted(Guard(app, names), service)


def _described() -> dict[str, Any]:
    """Options and body, for ``/openapi.json``: reading them by FastAPI took 0.2 ms a request."""
    image = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": image}}
    content = {"image/*": {"schema": image}, "multipart/form-data": {"schema": form}}
    options = [
        {"name": name, "in": "query", "description": option.takes, "schema": dict(option.schema)}
        for name, option in OPTIONS.items()
    ]
    return {"parameters": options, "requestBody": {"required": True, "content": content}}


async def _detected(service: Service, request: Request) -> Result:
    begin, headers = time.perf_counter(), request.headers
    kind = headers.get("content-type", "")
    check_head(kind, headers.get("content-encoding", ""), headers.get("content-length", ""), service.limits)
    body = await read_body(request.stream(), service.limits)
    service.metrics.stage_seconds["receive"].observe(time.perf_counter() - begin)
    try:
        return await service.detect(body, kind, _gone(request.receive))
    except DataError as error:
        raise RefusedError(422, str(error)) from error
    except (YoloError, MemoryError) as error:
        raise RefusedError(503, str(error) or "there is not enough memory") from error


async def _gone(receive: Callable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(service: Service, result: Result, suffix: str | None) -> Response:
    if suffix is not None:
        loop = asyncio.get_running_loop()
        drawn = await loop.run_in_executor(service.pool, lambda: encode_image(result.plot(), suffix))
        return Response(drawn, media_type=f"image/{suffix[1:].replace('jpg', 'jpeg')}")
    height, width = result.size
    speed = {name: round(value, 2) for name, value in result.speed_ms.items()}
    content = {**result.to_dict(), "height": height, "width": width, "speed_ms": speed}
    return Response(json.dumps(content), media_type="application/json")


def _suffix(accept: str, annotated: bool) -> str | None:
    """Of the drawn image, where one is wanted: ``annotated``, or the type that the client names first is an image."""
    first = accept.partition(",")[0].partition(";")[0].strip().lower()
    return DRAWN.get(first, ".jpg") if annotated or first.startswith("image/") else None


def _add_figures(app: FastAPI, service: Service) -> None:
    detector, limits = service.detector, service.limits

    @app.api_route("/healthz", methods=["GET", "HEAD"])  # load balancers ask for the head alone
    async def healthz() -> Response:
        well = service.batcher.alive
        return _json({"status": "ok" if well else "the network's thread has ended"}, 200 if well else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        gauges = {
            "yolo_queue_length": ("Images that wait for the network.", lambda: len(service.batcher)),
            "yolo_requests_in_progress": ("Requests accepted and not answered yet.", lambda: service.places.taken),
        }
        return Response(service.metrics.text(gauges), media_type=CONTENT_TYPE)

    @app.get("/v1/model")
    async def model() -> Response:
        kept = {"conf": detector.conf, "iou": detector.iou, "max_det": detector.max_det, "imgsz": detector.imgsz}
        names = {number: detector.names[number] for number in detector.classes or range(len(detector.names))}
        most = {"max_bytes": limits.bytes, "max_pixels": limits.pixels, "max_queue": limits.queue}
        return _json({"names": names, **kept, **most})


def _add_page(app: FastAPI) -> None:
    def route(content: bytes, kind: str) -> Callable[[], Response]:
        return lambda: Response(content, media_type=kind)

    for path, (name, kind) in PAGE.items():
        app.add_api_route(path, route((STATIC / name).read_bytes(), kind), methods=["GET"], include_in_schema=False)


def _add_answers_for_errors(app: FastAPI) -> None:
    """Every error is an object of one form."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _error(error.status, error.why, error.headers)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(ClientGoneError)
    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: Exception) -> Response:
        return Response(status_code=GONE)  # which nobody reads


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json({"error": {"status": status, "message": message}}, status, headers)


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, media_type="application/json")


class _Counted:
    """Counts the requests to the detector by how they were answered, whoever answered."""

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._metrics = app, service.metrics

    async def __call__(self, scope: Scope, receive: Callable, send: Send) -> None:
        if scope["path"] != DETECT:
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def send_counted(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        finally:
            self._metrics.count(status)
            if status == 200:
                self._metrics.request_seconds.observe(time.perf_counter() - begin)
