"""A camera on this machine: images one after the other over HTTP, as network cameras send them."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class Camera:
    """Sends ``frames`` images a connection, then drops it; takes ``connections`` of them, then is gone.

    Image i of all (from 1) is grey of ``8 * i``, 48 x 64 pixels. A context manager.
    """

    def __init__(self, frames: int, connections: int = 1, interval: float = 0.01) -> None:
        self.frames, self.connections, self.interval = frames, connections, interval
        self.sent = self.connected = 0
        camera, self._lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://user:secret@127.0.0.1:{self._server.server_port}/camera"

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            if self.connected >= self.connections:
                request.send_error(503)
                return
            self.connected += 1
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        try:
            for _ in range(self.frames):
                self.sent += 1
                image = np.full((48, 64, 3), min(8 * self.sent, 255), np.uint8)
                content = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                request.wfile.write(head + content + b"\r\n")
                request.wfile.flush()
                time.sleep(self.interval)
        except (BrokenPipeError, ConnectionResetError):
            pass
