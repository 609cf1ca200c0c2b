"""Frames of images that a program holds, and of what it makes while they are looked at."""

from __future__ import annotations

import functools
import numbers
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from yolo.data.image_file import ImageFile
from yolo.data.images import is_image_name
from yolo.inference.originals import ImageLike, Original, is_remote
from yolo.inference.sources.base import Frame, Task


def are_images(source: object) -> bool:
    """Whether it gives images or frames by itself, and names no source.

    An iterator does, a list in which something is no name, a list of images by name with URLs among them, and a lone
    image that is no name.
    """
    if isinstance(source, (list, tuple)):
        return not all(map(_is_name, source)) or _has_urls(source)
    return not _is_name(source) and not isinstance(source, (numbers.Number, type(None)))


def is_lazy(images: object) -> bool:
    """Whether it is an iterator over images; what can be read is one image."""
    return isinstance(images, Iterator) and not hasattr(images, "read")


def image_tasks(source: object, original: Callable[[ImageLike], Original]) -> Iterator[Task]:
    """What gives the frames of ``source``, of which ``are_images`` is true, one after the other.

    ``original`` is called in the threads of the tasks. What can be called is a frame's task already.
    """
    items: Iterable = source if is_lazy(source) or isinstance(source, (list, tuple)) else [source]
    for position, item in enumerate(items, 1):
        yield item if callable(item) else functools.partial(_frame, item, position, original)


def _frame(image: ImageLike, position: int, original: Callable[[ImageLike], Original]) -> Frame:
    found = original(image)
    path = found.path if isinstance(found, ImageFile) else None
    return Frame(found, path or Path(f"image{position}.jpg"), position, place=position)


def _is_name(one: object) -> bool:
    return isinstance(one, (str, os.PathLike)) or (isinstance(one, numbers.Integral) and not isinstance(one, bool))


def _has_urls(names: Iterable[object]) -> bool:
    """Whether all are images by their names, and some of them on the web."""
    texts = [str(name) for name in names]
    remote = [text for text in texts if is_remote(text)]
    try:
        return bool(remote) and all(is_image_name(urlsplit(text).path if text in remote else text) for text in texts)
    except ValueError:  # no URL: whoever opens it says so
        return False
