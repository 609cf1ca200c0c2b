"""Which libjpeg-turbo the native renderer decodes by."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import PIL

from yolo import native

_LOG = logging.getLogger("yolo.data")
_SYSTEM = "libjpeg.so.62"


@functools.cache
def jpeg_library() -> str:
    """The path of libjpeg-turbo: Pillow's own, or the system's; "" where there is none of the right kind."""
    beside = Path(PIL.__file__).parent.with_name("pillow.libs")
    for path in (*map(str, sorted(beside.glob("libjpeg-*.so.62*"))), _SYSTEM):
        try:
            native.Renderer(path)
        except RuntimeError as error:
            _LOG.debug("%s does not serve: %s", path, error)
            continue
        return path
    _LOG.info("no libjpeg-turbo was found: OpenCV reads JPEG files, more slowly")
    return ""
